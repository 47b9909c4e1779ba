/** Keeps the bytes of the local cache within a bound: what was used longest ago goes first. */
import type { BlobStore } from '@sluice/blobs';
import type { Clock } from '@sluice/runtime';
import { every } from '@sluice/runtime';

/** What a blob takes beside its bytes: its row and its places in the indexes. So that very small ones are bounded too. */
export const BLOB_OVERHEAD_BYTES = 512;
/** Candidates looked at together when room is needed. */
const EVICTION_BATCH = 64;
/** Uses that wait to be written, and how often they are. A process that is killed loses them, which only makes the order a little older. */
export const PENDING_USES_MAX = 10_000;
const FLUSH_MS = 5_000;
/** After the disk was full, how long nothing is kept: what is asked for is read from the source. */
export const FULL_REST_MS = 10_000;
/** Two uses in the same millisecond still have an order; a double near the present time in milliseconds tells so much apart. */
const TICK = 0.001;

export interface CacheBudgetParts {
  readonly store: Pick<BlobStore, 'totals' | 'lowest' | 'delete' | 'setRanks'>;
  /** See {@link BLOB_OVERHEAD_BYTES} for what counts. */
  readonly maxBytes: number;
  /** Bytes that must stay although nothing reads them now. */
  readonly isPinned: (sha256: string) => boolean;
  readonly clock: Clock;
  /** Bytes of a blob have gone. */
  readonly onEvicted?: (bytes: number) => void;
}

export interface Room {
  /** Harmless more than once. */
  release(): void;
}

export class CacheBudget {
  readonly #parts: CacheBudgetParts;
  readonly #pendingUses = new Map<string, number>();
  readonly #stopFlushing: () => void;
  #lastRank = 0;
  #reservedBytes = 0;
  #restsUntilMs = Number.NEGATIVE_INFINITY;

  /** A store that holds more than it may, because it was allowed more before, lets that go. */
  constructor(parts: CacheBudgetParts) {
    this.#parts = parts;
    this.#stopFlushing = every(parts.clock, FLUSH_MS, () => this.flush());
    this.#evict();
  }

  get maxBytes(): number {
    return this.#parts.maxBytes;
  }
  /** What is held, and what is held free for what is being written. */
  get usedBytes(): number {
    const { bytes, count } = this.#parts.store.totals;
    return bytes + count * BLOB_OVERHEAD_BYTES;
  }
  get reservedBytes(): number {
    return this.#reservedBytes;
  }
  /** Uses waiting to be written. */
  get pendingUses(): number {
    return this.#pendingUses.size;
  }

  /** Makes room for a blob that is about to be written and holds it until `release`. Undefined: there is none now. */
  reserve(bytes: number): Room | undefined {
    return this.#hold(bytes + BLOB_OVERHEAD_BYTES);
  }

  /** Like {@link reserve}, for more of one that has its room already. */
  reserveMore(bytes: number): Room | undefined {
    return this.#hold(bytes);
  }

  #hold(bytes: number): Room | undefined {
    const { clock, maxBytes } = this.#parts;
    if (clock.monotonicMs() < this.#restsUntilMs || this.#reservedBytes + bytes > maxBytes) return undefined;
    this.#reservedBytes += bytes;
    let isHeld = true;
    const release = (): void => {
      if (isHeld) this.#reservedBytes -= bytes;
      isHeld = false;
    };
    if (this.#evict()) return { release };
    release();
    return undefined;
  }

  /** The disk is full although the bound is not reached: nothing is kept for a while. */
  rest(): void {
    this.#restsUntilMs = this.#parts.clock.monotonicMs() + FULL_REST_MS;
  }

  /** The rank of what is used now: higher than all given out before. About milliseconds since the epoch, so that the order outlives the process. */
  nextRank(): number {
    this.#lastRank = Math.max(this.#parts.clock.nowMs(), this.#lastRank + TICK);
    return this.#lastRank;
  }

  /** A blob that is held is used. */
  used(sha256: string): void {
    this.#pendingUses.set(sha256, this.nextRank());
    if (this.#pendingUses.size >= PENDING_USES_MAX) this.flush();
  }

  /** Writes the uses. What cannot be written, on a full disk for example, is forgotten. */
  flush(): void {
    if (this.#pendingUses.size === 0) return;
    try {
      this.#parts.store.setRanks(this.#pendingUses);
    } catch {}
    this.#pendingUses.clear();
  }

  /** Lets the least recently used go until what is held leaves the room that is held free. Whether it does. */
  #evict(): boolean {
    const { store, maxBytes, isPinned, onEvicted } = this.#parts;
    const isWithin = (): boolean => this.usedBytes + this.#reservedBytes <= maxBytes;
    if (isWithin()) return true;
    this.flush();
    // Pinned ones move to the end; once all have been looked at, nothing is left that may go.
    for (let left = store.totals.count; left > 0; ) {
      const candidates = store.lowest(Math.min(EVICTION_BATCH, left));
      if (candidates.length === 0) break;
      left -= candidates.length;
      for (const { sha256, size } of candidates) {
        if (isPinned(sha256)) {
          this.used(sha256);
          continue;
        }
        store.delete(sha256);
        onEvicted?.(size);
        if (isWithin()) return true;
      }
      this.flush();
    }
    return isWithin();
  }

  stop(): void {
    this.#stopFlushing();
    this.flush();
  }
}
