/** Brings the bytes of a manifest onto this edge: not at all, as a patch, or whole in parallel ranges. Always verified. */
import {
  BlobMismatchError,
  type BlobReader,
  type BlobStore,
  type BlobWriter,
  DiskFullError,
  INLINE_MAX_BYTES,
  type IncomingFile,
} from '@sluice/blobs';
import { SluiceError, type TransferKind } from '@sluice/contracts';
import { applyPatch, isDeltaCandidate } from '@sluice/delta';
import type { Logger } from '@sluice/runtime';
import PQueue from 'p-queue';
import type { Content } from '../domain/content-coding.ts';
import type { DiskBudget } from './disk-budget.ts';
import type { OriginPort } from './origin-port.ts';

/** From here on one stream is cheaper than messages: measured, 100 MB to ten edges take a fifth of the time. */
const DIRECT_MIN_BYTES = 1024 * 1024;
/** Ranges of one blob that are asked for at the same time. */
const RANGES_IN_FLIGHT = 4;
/** Blobs that are brought at the same time. */
const CONCURRENT_TRANSFERS = 24;
/** Blobs that may wait for their turn. */
export const WAITING_TRANSFERS_MAX = 2_000;

/** Objects too large to keep that are on the disk at the same time, each until its visitor has it, and how many visitors may wait. */
const CONCURRENT_DETACHED = 4;
const WAITING_DETACHED_MAX = 64;

/** Where the bytes may come from, besides the origin as a whole. */
export interface Sources {
  /** Checksums of versions that may be held and patched, best first. */
  readonly bases: readonly string[];
  /** The bytes themselves in base64, as they came with the message. */
  readonly content?: string | undefined;
}

export interface Transfer {
  readonly kind: TransferKind;
  /** Content bytes that came over the network. */
  readonly bytes: number;
}

/** There is more to bring than may wait. What is refused is brought by catching up. */
export class TransfersBusyError extends SluiceError {
  constructor() {
    super('EDGE_BUSY', 'too many transfers wait on this edge', { retryable: true });
    this.name = 'TransfersBusyError';
  }
}

/** The bytes are larger than the room this edge has for content. */
export class TooLargeError extends SluiceError {
  constructor(sizeBytes: number) {
    super('TOO_LARGE', `${sizeBytes} bytes do not fit the capacity of this edge`);
    this.name = 'TooLargeError';
  }
}

export interface TransferObserver {
  transferred(transfer: Transfer, manifest: Content): void;
  failed(error: unknown): void;
}

export class Transfers {
  readonly #blobs: BlobStore;
  readonly #budget: DiskBudget;
  readonly #origin: OriginPort;
  readonly #log: Logger;
  readonly #observer: TransferObserver;
  readonly #queue = new PQueue({ concurrency: CONCURRENT_TRANSFERS });
  readonly #detachedQueue = new PQueue({ concurrency: CONCURRENT_DETACHED });
  /** One transfer per checksum, however many want it. */
  readonly #running = new Map<string, Promise<Transfer>>();

  constructor(parts: { blobs: BlobStore; budget: DiskBudget; origin: OriginPort; log: Logger; observer: TransferObserver }) {
    this.#blobs = parts.blobs;
    this.#budget = parts.budget;
    this.#origin = parts.origin;
    this.#log = parts.log;
    this.#observer = parts.observer;
  }

  /** Transfers under way or waiting. */
  get pending(): number {
    return this.#running.size;
  }

  /**
   * Returns when the bytes of `manifest` are on this edge. Who joins a transfer that is under way moves no bytes of its own.
   * @throws {SluiceError} TOO_LARGE, EDGE_BUSY, DISK_FULL, or what the origin answered
   */
  async ensure(manifest: Content, sources: Sources): Promise<Transfer> {
    // What came along has moved already; storing it again changes nothing.
    if (sources.content === undefined && this.#blobs.has(manifest.sha256)) return { kind: 'same', bytes: 0 };
    const running = this.#running.get(manifest.sha256);
    if (running !== undefined) {
      await running;
      return { kind: 'same', bytes: 0 };
    }
    const transfer = this.#transfer(manifest, sources);
    this.#running.set(manifest.sha256, transfer);
    try {
      return await transfer;
    } finally {
      this.#running.delete(manifest.sha256);
    }
  }

  /** What came along needs no turn; what has to be fetched waits for one. */
  async #transfer(manifest: Content, { bases, content }: Sources): Promise<Transfer> {
    const inline = content === undefined ? undefined : await this.#bring(manifest, () => this.#takeInline(manifest, content));
    if (inline !== undefined) return inline;
    if (this.#queue.size >= WAITING_TRANSFERS_MAX) throw new TransfersBusyError();
    return this.#queue.add(() =>
      this.#bring(manifest, async () => (await this.#tryDelta(manifest, bases)) ?? (await this.#bringWhole(manifest))),
    );
  }

  /** Makes room for the bytes and lets them come the given way; undefined when that way turns out to be none. */
  async #bring<Result extends Transfer | undefined>(manifest: Content, way: () => Promise<Result>): Promise<Result> {
    const room = this.#budget.reserve(manifest.size);
    if (room === undefined) throw new TooLargeError(manifest.size);
    try {
      const transfer = await way();
      if (transfer !== undefined) this.#observer.transferred(transfer, manifest);
      return transfer;
    } catch (error) {
      this.#observer.failed(error);
      if (error instanceof DiskFullError) this.#budget.evictTo(this.#blobs.totals.bytes - 2 * manifest.size);
      throw error;
    } finally {
      room.release();
    }
  }

  /** Undefined when other bytes than the manifest's came along. */
  async #takeInline(manifest: Content, content: string): Promise<Transfer | undefined> {
    try {
      await this.#blobs.put(Buffer.from(content, 'base64'), manifest.sha256, this.#budget.initialRank(manifest.size));
      return { kind: 'full', bytes: manifest.size };
    } catch (error) {
      if (!(error instanceof BlobMismatchError)) throw error;
      this.#log.warn({ key: manifest.key, err: error }, 'content that came along is not the manifest’s, fetching it');
      return undefined;
    }
  }

  /** Undefined when there is no base, no offer, or the patch turns out not to make the right bytes. */
  async #tryDelta(manifest: Content, bases: readonly string[]): Promise<Transfer | undefined> {
    const held = bases.filter((base) => isDeltaCandidate(this.#blobs.size(base) ?? 0, manifest.size));
    if (held.length === 0) return undefined;
    try {
      const resolution = await this.#origin.resolve(manifest.key, held);
      if (!resolution.found || resolution.patch === undefined || resolution.manifest.sha256 !== manifest.sha256) return undefined;
      const { base, sha256, size } = resolution.patch;
      const patch = Buffer.concat(await Array.fromAsync(this.#ranges(sha256, size)));
      const bytes = await applyPatch(await this.#blobs.readAll(base), patch, manifest.size);
      await this.#blobs.put(bytes, manifest.sha256, this.#budget.initialRank(manifest.size));
      return { kind: 'delta', bytes: size };
    } catch (error) {
      if (error instanceof DiskFullError) throw error;
      this.#log.warn({ key: manifest.key, err: error }, 'patch not usable, taking the whole');
      return undefined;
    }
  }

  async #bringWhole(manifest: Content): Promise<Transfer> {
    const { sha256, size } = manifest;
    const rank = this.#budget.initialRank(size);
    const direct = await this.#downloaded(manifest, (file) => file.adopt({ sha256, size }, rank));
    if (direct === undefined) await this.#bringInRanges(manifest, this.#blobs.writer(rank), (writer) => writer.finish({ sha256, size }));
    return { kind: 'full', bytes: size };
  }

  /** What `take` makes of the file with the bytes of a large blob, undefined when it has to be brought in ranges. */
  async #downloaded<Taken>({ sha256, size }: Content, take: (file: IncomingFile) => Promise<Taken>): Promise<{ taken: Taken } | undefined> {
    if (size < DIRECT_MIN_BYTES) return undefined;
    const file = this.#blobs.incoming();
    try {
      return (await this.#origin.download(sha256, size, file.path)) ? { taken: await take(file) } : undefined;
    } finally {
      await file.discard();
    }
  }

  async #bringInRanges<Taken>({ sha256, size }: Content, writer: BlobWriter, take: (writer: BlobWriter) => Promise<Taken>): Promise<Taken> {
    try {
      for await (const piece of this.#ranges(sha256, size)) await writer.write(piece);
      return await take(writer);
    } finally {
      await writer.discard();
    }
  }

  /**
   * Brings bytes that this edge cannot keep, verifies them, and opens them. They vanish when the reader is closed.
   * @throws {SluiceError} EDGE_BUSY, DISK_FULL, or what the origin answered
   */
  async bringDetached(manifest: Content): Promise<BlobReader> {
    // Small ones stay in memory: they are over as soon as they have come, however slowly they are read.
    if (manifest.size <= INLINE_MAX_BYTES) {
      if (this.#queue.size >= WAITING_TRANSFERS_MAX) throw new TransfersBusyError();
      return this.#queue.add(() => this.#openDetached(manifest));
    }
    if (this.#detachedQueue.size >= WAITING_DETACHED_MAX) throw new TransfersBusyError();
    return new Promise((resolve, reject) => {
      void this.#detachedQueue.add(async () => {
        try {
          const reader = await this.#openDetached(manifest);
          resolve(reader);
          // Its place is free when its bytes are off the disk.
          await reader.closed;
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  async #openDetached(manifest: Content): Promise<BlobReader> {
    const ref = { sha256: manifest.sha256, size: manifest.size };
    const direct = await this.#downloaded(manifest, (file) => file.open(ref));
    const reader = direct?.taken ?? (await this.#bringInRanges(manifest, this.#blobs.writer(), (writer) => writer.finishDetached(ref)));
    this.#observer.transferred({ kind: 'full', bytes: manifest.size }, manifest);
    return reader;
  }

  /** The bytes of a blob over the broker in order, a few ranges ahead. */
  async *#ranges(sha256: string, sizeBytes: number): AsyncGenerator<Uint8Array> {
    const chunkBytes = this.#origin.chunkBytes;
    const ahead: Promise<Uint8Array>[] = [];
    let asked = 0;
    try {
      while (asked < sizeBytes || ahead.length > 0) {
        while (asked < sizeBytes && ahead.length < RANGES_IN_FLIGHT) {
          const length = Math.min(chunkBytes, sizeBytes - asked);
          const range = this.#readExactly(sha256, asked, length);
          range.catch(() => {}); // a failure is seen when its turn comes, or not at all when an earlier one failed
          ahead.push(range);
          asked += length;
        }
        yield await (ahead.shift() as Promise<Uint8Array>);
      }
    } finally {
      await Promise.allSettled(ahead);
    }
  }

  async #readExactly(sha256: string, offset: number, length: number): Promise<Uint8Array> {
    const bytes = await this.#origin.read(sha256, offset, length);
    if (bytes.byteLength !== length) throw new BlobMismatchError(`asked for ${length} bytes at ${offset}, got ${bytes.byteLength}`);
    return bytes;
  }
}
