/** Brings the bytes of a manifest onto this edge: not at all, as a patch, or whole in parallel ranges. Always verified. */
import { BlobMismatchError, type BlobRef, type BlobStore, DiskFullError } from '@sluice/blobs';
import { SluiceError, type TransferKind } from '@sluice/contracts';
import { applyPatch, isDeltaCandidate } from '@sluice/delta';
import type { Logger } from '@sluice/runtime';
import PQueue from 'p-queue';
import type { Content } from '../domain/content-coding.ts';
import { blobRanges } from './blob-ranges.ts';
import type { DiskBudget } from './disk-budget.ts';
import type { Fills } from './fills.ts';
import type { OriginPort } from './origin-port.ts';

/**
 * From here on one stream is cheaper than messages (measured, 100 MB to ten edges take a fifth of the time), and visitors are sent what has come while the rest comes. What is
 * smaller comes in one piece or two.
 */
const STREAMED_MIN_BYTES = 1024 * 1024;
/** Blobs that are brought at the same time. */
const CONCURRENT_TRANSFERS = 24;
/** Blobs that may wait for their turn. */
export const WAITING_TRANSFERS_MAX = 2_000;

/** How often somebody joins a transfer of others that fails: it may have been failing already. */
const JOIN_ATTEMPTS = 2;
const OTHERWISE_NEXT_TIME: ReadonlySet<string> = new Set(['BLOB_MISMATCH', 'DISK_FULL']);

/** Whether bytes that did not come may come with another transfer: unlike those of an origin that is silent. */
function mayComeNextTime(error: unknown): boolean {
  return error instanceof SluiceError && OTHERWISE_NEXT_TIME.has(error.code);
}

/**
 * Joins what others have under way, or begins, in the turn in which there is nothing to join: so nobody begins beside another one. Where what was joined fails, and the next one
 * may not, that is joined or begun.
 */
export async function joinOrBegin<Result>(running: () => Promise<Result> | undefined, begin: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt++) {
    const others = running();
    if (others === undefined) return begin();
    try {
      return await others;
    } catch (error) {
      if (attempt === JOIN_ATTEMPTS || !mayComeNextTime(error)) throw error;
    }
  }
}

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
  readonly #fills: Fills;
  readonly #queue = new PQueue({ concurrency: CONCURRENT_TRANSFERS });
  /** One transfer per checksum, however many want it. */
  readonly #running = new Map<string, Promise<Transfer>>();

  constructor(parts: {
    blobs: BlobStore;
    budget: DiskBudget;
    origin: OriginPort;
    fills: Fills;
    log: Logger;
    observer: TransferObserver;
  }) {
    this.#blobs = parts.blobs;
    this.#budget = parts.budget;
    this.#origin = parts.origin;
    this.#log = parts.log;
    this.#observer = parts.observer;
    this.#fills = parts.fills;
  }

  /** Transfers under way or waiting. */
  get pending(): number {
    return this.#running.size;
  }

  /**
   * Returns when the bytes of `manifest` are on this edge. Who joins a transfer that is under way moves no bytes of its own, and has another one begun when it fails.
   * @throws {SluiceError} TOO_LARGE, EDGE_BUSY, DISK_FULL, or what the origin answered
   */
  async ensure(manifest: Content, sources: Sources): Promise<Transfer> {
    // What came along has moved already; storing it again changes nothing.
    if (sources.content === undefined && this.#blobs.has(manifest.sha256)) return { kind: 'same', bytes: 0 };
    return joinOrBegin(
      () => this.#running.get(manifest.sha256)?.then((): Transfer => ({ kind: 'same', bytes: 0 })),
      () => {
        const transfer = this.#transfer(manifest, sources).finally(() => this.#running.delete(manifest.sha256));
        this.#running.set(manifest.sha256, transfer);
        return transfer;
      },
    );
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
      if (transfer !== undefined) {
        this.#budget.arrived(manifest.sha256);
        this.#observer.transferred(transfer, manifest);
      }
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
      const patch = Buffer.concat(await Array.fromAsync(blobRanges(this.#origin, { sha256, size })));
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
    if (size < STREAMED_MIN_BYTES) await this.#bringSmall({ sha256, size }, rank);
    else await this.#fills.bring({ sha256, size }, rank);
    return { kind: 'full', bytes: size };
  }

  async #bringSmall(ref: BlobRef, rank: number): Promise<void> {
    const writer = this.#blobs.writer(rank);
    try {
      for await (const piece of blobRanges(this.#origin, ref)) await writer.write(piece);
      await writer.finish(ref);
    } finally {
      await writer.discard();
    }
  }
}
