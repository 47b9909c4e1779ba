/** Keeps the bytes on disk within the edge's capacity, dropping the least valuable first. */
import type { BlobStore } from '@sluice/blobs';
import { LRUCache } from 'lru-cache';
import { isOutdated, rank, UNNEEDED_RANK } from '../domain/value.ts';

/** Blobs whose use is counted in memory. */
export const COUNTED_MAX = 100_000;
/** Blobs remembered as let go: far more than are in the second after which the last uses of one are told. */
const UNNEEDED_MAX = 10_000;
/** Candidates looked at together when room is needed. */
const EVICTION_BATCH = 64;
/** Rank changes that wait to be written; more are dropped, which only makes the ranks a little older. */
export const PENDING_RANKS_MAX = 10_000;
/** Background refills stop at this share of the capacity, so that they never push out what visitors use. */
const REFILL_SHARE = 0.9;

/** Of a blob. */
interface Used {
  uses: number;
  /** The last one that was written, or waits to be. */
  rank: number;
}

export class DiskBudget {
  readonly #blobs: BlobStore;
  readonly #capacityBytes: number;
  readonly #used = new LRUCache<string, Used>({ max: COUNTED_MAX });
  readonly #pendingRanks = new Map<string, number>();
  /** Blobs that were let go a while ago: threads tell of uses when those are over. */
  readonly #unneeded = new LRUCache<string, true>({ max: UNNEEDED_MAX });
  #reservedBytes = 0;
  #inflation: number;
  #evictedBytes = 0;
  #evictedBlobs = 0;

  constructor(blobs: BlobStore, capacityBytes: number) {
    this.#blobs = blobs;
    this.#capacityBytes = capacityBytes;
    this.#inflation = Math.max(0, blobs.lowest(1)[0]?.rank ?? 0);
  }

  get capacityBytes(): number {
    return this.#capacityBytes;
  }
  get evicted(): { readonly blobs: number; readonly bytes: number } {
    return { blobs: this.#evictedBlobs, bytes: this.#evictedBytes };
  }
  /** Blobs whose use is counted. */
  get countedBlobs(): number {
    return this.#used.size;
  }
  /** Ranks waiting to be written. */
  get pendingRanks(): number {
    return this.#pendingRanks.size;
  }

  /**
   * Makes room for bytes that are about to be written and holds it until `release`. Undefined when they can never fit, or not
   * beside what is being written now.
   */
  reserve(sizeBytes: number): { release(): void } | undefined {
    if (this.#reservedBytes + sizeBytes > this.#capacityBytes) return undefined;
    this.#reservedBytes += sizeBytes;
    this.evictTo(this.#capacityBytes - this.#reservedBytes);
    let held = true;
    return {
      release: () => {
        if (held) this.#reservedBytes -= sizeBytes;
        held = false;
      },
    };
  }

  /** Whether a background refill of so many bytes leaves room for what comes. */
  hasRoomToRefill(sizeBytes: number): boolean {
    return this.#blobs.totals.bytes + this.#reservedBytes + sizeBytes <= this.#capacityBytes * REFILL_SHARE;
  }

  /** Drops the lowest-ranked blobs until at most `bytes` are left. */
  evictTo(bytes: number): void {
    if (this.#blobs.totals.bytes <= bytes) return;
    this.flushRanks();
    while (this.#blobs.totals.bytes > bytes) {
      const candidates = this.#blobs.lowest(EVICTION_BATCH);
      if (candidates.length === 0) return;
      for (const candidate of candidates) {
        if (this.#blobs.totals.bytes <= bytes) return;
        this.#inflation = Math.max(this.#inflation, candidate.rank);
        this.#evictedBytes += this.#blobs.delete(candidate.sha256);
        this.#evictedBlobs += 1;
      }
    }
  }

  /** The rank for bytes that arrive now. */
  initialRank(sizeBytes: number): number {
    return rank(this.#inflation, 1, sizeBytes);
  }

  /** Counts uses of a blob, unless nothing needs it any more. */
  touch(sha256: string, sizeBytes: number, times = 1): void {
    if (this.#unneeded.has(sha256)) return;
    let used = this.#used.get(sha256);
    if (used === undefined) {
      used = { uses: 0, rank: Number.NEGATIVE_INFINITY };
      this.#used.set(sha256, used);
    }
    used.uses += times;
    const now = rank(this.#inflation, used.uses, sizeBytes);
    if (!isOutdated(used.rank, now, this.#inflation)) return;
    if (this.#pendingRanks.size >= PENDING_RANKS_MAX && !this.#pendingRanks.has(sha256)) return;
    used.rank = now;
    this.#pendingRanks.set(sha256, now);
  }

  /** Lets bytes that nothing needs go first. */
  demote(sha256: string): void {
    this.#used.delete(sha256);
    this.#unneeded.set(sha256, true);
    this.#setRank(sha256, UNNEEDED_RANK);
  }

  /** Something needs these bytes, whether they are here or not: their uses count. */
  needed(sha256: string): void {
    this.#unneeded.delete(sha256);
  }

  /** Bytes that were there already are needed (again). */
  promote(sha256: string, sizeBytes: number): void {
    this.#setRank(sha256, this.initialRank(sizeBytes));
    this.arrived(sha256);
  }

  /** Bytes have come with an {@link initialRank}: what was written of their uses before is not theirs any more, so their next use is written. */
  arrived(sha256: string): void {
    const used = this.#used.peek(sha256);
    if (used !== undefined) used.rank = Number.NEGATIVE_INFINITY;
  }

  /** One that finds no place among the waiting ones is written at once: it says what is needed, not only how much. */
  #setRank(sha256: string, value: number): void {
    if (this.#pendingRanks.size >= PENDING_RANKS_MAX && !this.#pendingRanks.has(sha256)) this.flushRanks();
    this.#pendingRanks.set(sha256, value);
  }

  /** Writes the ranks that changed. Call it now and then. What cannot be written, on a full disk for example, waits for the next time while there is room for it. */
  flushRanks(): void {
    if (this.#pendingRanks.size === 0) return;
    try {
      this.#blobs.setRanks(this.#pendingRanks);
    } catch {
      if (this.#pendingRanks.size < PENDING_RANKS_MAX) return;
      for (const sha256 of this.#pendingRanks.keys()) this.arrived(sha256); // as if they had come now: their next use is written
    }
    this.#pendingRanks.clear();
  }
}
