/** Bytes that this edge may not or cannot keep: brought for one pull, verified, and gone when they have been sent. */

import { createHash } from 'node:crypto';
import { BlobMismatchError, type BlobRef, type BlobStore, INLINE_MAX_BYTES, whenReadable } from '@sluice/blobs';
import type { Manifest } from '@sluice/contracts';
import type { Clock } from '@sluice/runtime';
import PQueue from 'p-queue';
import { blobRanges } from './blob-ranges.ts';
import { DetachedPlaces, type Place } from './detached-places.ts';
import { fillFile } from './fills.ts';
import type { OriginPort } from './origin-port.ts';
import type { Detached } from './serving-messages.ts';
import { type TransferObserver, TransfersBusyError } from './transfers.ts';

/** Small ones are over as soon as they have come, however slowly they are read: they stay in memory. How many are brought at the same time, and how many visitors may wait. */
const CONCURRENT_SMALL = 24;
export const WAITING_SMALL_MAX = 2_000;
/** Of the capacity for what is kept: what large ones may take beside it until their visitors have them. */
const DISK_SHARE = 0.1;

export interface DetachedBlobsParts {
  readonly blobs: Pick<BlobStore, 'incoming'>;
  readonly origin: OriginPort;
  readonly observer: Pick<TransferObserver, 'transferred'>;
  /** Of this edge for content that is kept. */
  readonly capacityBytes: number;
  readonly clock: Clock;
}

export class DetachedBlobs {
  readonly #blobs: Pick<BlobStore, 'incoming'>;
  readonly #origin: OriginPort;
  readonly #observer: Pick<TransferObserver, 'transferred'>;
  readonly #small = new PQueue({ concurrency: CONCURRENT_SMALL });
  readonly #places: DetachedPlaces;
  readonly #releases = new Map<number, () => void>();
  #nextId = 1;

  constructor(parts: DetachedBlobsParts) {
    this.#blobs = parts.blobs;
    this.#origin = parts.origin;
    this.#observer = parts.observer;
    this.#places = new DetachedPlaces(parts.capacityBytes * DISK_SHARE, parts.clock);
  }

  /**
   * Resolves when small bytes are here, or when the first of large ones can be read; {@link release} those. `withdrawn`: nobody waits
   * for them any more.
   * @throws {SluiceError} EDGE_BUSY, DISK_FULL, or what the origin answered
   */
  async bring(manifest: Manifest, withdrawn: AbortSignal): Promise<Detached> {
    const ref = { sha256: manifest.sha256, size: manifest.size };
    const transferred = (): void => this.#observer.transferred({ kind: 'full', bytes: ref.size }, manifest);
    if (ref.size <= INLINE_MAX_BYTES) {
      if (this.#small.size >= WAITING_SMALL_MAX) throw new TransfersBusyError();
      return this.#small.add(async () => {
        const bytes = await this.#collect(ref);
        transferred();
        return { kind: 'bytes', bytes } as const;
      });
    }
    const place = await this.#places.take(ref.size, withdrawn);
    return new Promise((resolve, reject) => {
      this.#hold(ref, place, withdrawn, resolve).then(() => {
        transferred();
        // Only when it was withdrawn before there was anything to read.
        reject(new BlobMismatchError('nobody waits for these bytes any more'));
      }, reject);
    });
  }

  async #collect(ref: BlobRef): Promise<Uint8Array> {
    const bytes = Buffer.concat(await Array.fromAsync(blobRanges(this.#origin, ref)));
    if (createHash('sha256').update(bytes).digest('hex') !== ref.sha256) throw new BlobMismatchError(`got other bytes than ${ref.sha256}`);
    return bytes;
  }

  async #hold(ref: BlobRef, place: Place, withdrawn: AbortSignal, readable: (detached: Detached) => void): Promise<void> {
    const id = this.#nextId++;
    const file = this.#blobs.incoming();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    this.#releases.set(id, () => {
      // Changes nothing when all has come; else whoever brings the rest stops.
      file.growth.fail();
      release();
    });
    whenReadable(file, () => readable({ kind: 'file', id, path: file.path, growth: file.growth.buffer }));
    const giveUp = (): void => this.release(id);
    withdrawn.addEventListener('abort', giveUp);
    try {
      await fillFile(this.#origin, ref, file, { isWanted: (): boolean => this.#releases.has(id) });
      place.complete();
      await released;
    } finally {
      withdrawn.removeEventListener('abort', giveUp);
      this.#releases.delete(id);
      // Also when the file cannot be removed: the next start does that.
      await file.discard().finally(() => place.leave());
    }
  }

  /** The visitor has it, or has left. */
  release(id: number): void {
    this.#releases.get(id)?.();
    this.#releases.delete(id);
  }
}
