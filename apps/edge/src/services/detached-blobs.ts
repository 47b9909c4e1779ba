/** Bytes that this edge may not or cannot keep: brought for one pull, verified, and gone when they have been sent. */

import { createHash } from 'node:crypto';
import { BlobMismatchError, type BlobRef, type BlobStore, INLINE_MAX_BYTES } from '@sluice/blobs';
import type { Manifest } from '@sluice/contracts';
import PQueue from 'p-queue';
import { blobRanges } from './blob-ranges.ts';
import { fillFile } from './fills.ts';
import type { OriginPort } from './origin-port.ts';
import type { Detached } from './serving-messages.ts';
import { type TransferObserver, TransfersBusyError } from './transfers.ts';

/** Small ones are over as soon as they have come, however slowly they are read: they stay in memory. How many are brought at the same time, and how many visitors may wait. */
const CONCURRENT_SMALL = 24;
export const WAITING_SMALL_MAX = 2_000;
/** Large ones that are on the disk at the same time, each until its visitor has it, and how many visitors may wait, and for how long. */
const CONCURRENT_LARGE = 4;
export const WAITING_LARGE_MAX = 64;

export class DetachedBlobs {
  readonly #blobs: Pick<BlobStore, 'incoming'>;
  readonly #origin: OriginPort;
  readonly #observer: Pick<TransferObserver, 'transferred'>;
  readonly #small = new PQueue({ concurrency: CONCURRENT_SMALL });
  readonly #large = new PQueue({ concurrency: CONCURRENT_LARGE });
  readonly #releases = new Map<number, () => void>();
  #nextId = 1;

  constructor(parts: { blobs: Pick<BlobStore, 'incoming'>; origin: OriginPort; observer: Pick<TransferObserver, 'transferred'> }) {
    this.#blobs = parts.blobs;
    this.#origin = parts.origin;
    this.#observer = parts.observer;
  }

  /**
   * Resolves when small bytes are here, or when the first of large ones can be read; {@link release} those.
   * @throws {SluiceError} EDGE_BUSY, DISK_FULL, or what the origin answered
   */
  async bring(manifest: Manifest): Promise<Detached> {
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
    if (this.#large.size >= WAITING_LARGE_MAX) throw new TransfersBusyError();
    return new Promise((resolve, reject) => {
      // Its place is free when its bytes are off the disk.
      void this.#large.add(() => this.#hold(ref, resolve).then(transferred, reject));
    });
  }

  async #collect(ref: BlobRef): Promise<Uint8Array> {
    const bytes = Buffer.concat(await Array.fromAsync(blobRanges(this.#origin, ref)));
    if (createHash('sha256').update(bytes).digest('hex') !== ref.sha256) throw new BlobMismatchError(`got other bytes than ${ref.sha256}`);
    return bytes;
  }

  async #hold(ref: BlobRef, readable: (detached: Detached) => void): Promise<void> {
    const id = this.#nextId++;
    const file = this.#blobs.incoming();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    this.#releases.set(id, () => {
      // Changes nothing when all has come; else whoever brings the rest stops.
      file.growth.fail();
      release();
    });
    const told = file.growth.reach(1).then(() => readable({ kind: 'file', id, path: file.path, growth: file.growth.buffer }));
    told.catch(() => {}); // it has failed before there was anything to read
    try {
      await fillFile(this.#origin, ref, file, { isWanted: (): boolean => this.#releases.has(id) });
      await released;
    } finally {
      this.#releases.delete(id);
      await file.discard();
    }
  }

  /** The visitor has it, or has left. */
  release(id: number): void {
    this.#releases.get(id)?.();
    this.#releases.delete(id);
  }
}
