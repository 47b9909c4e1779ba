import type { Clock } from '@sluice/runtime';
import type { OpenBlob, OriginBlobs } from '../../services/origin-blobs.ts';

/** Files kept open between two reads. */
const OPEN_MAX = 32;
/** A file nobody read for so long is closed, so that the space of a deleted one becomes free. */
const IDLE_MS = 10_000;

interface SharedBlob {
  readonly reader: Promise<OpenBlob>;
  readers: number;
  usedAtMs: number;
  evicted: boolean;
}

/** Blobs that stay open while ranges of them are being read, one opening for all that ask at once. */
export class OpenBlobs {
  readonly #blobs: Pick<OriginBlobs, 'reader'>;
  readonly #clock: Clock;
  readonly #maxOpen: number;
  /** Least recently used first. */
  readonly #open = new Map<string, SharedBlob>();
  #cancelSweep: (() => void) | undefined;

  constructor(blobs: Pick<OriginBlobs, 'reader'>, clock: Clock, maxOpen = OPEN_MAX) {
    this.#blobs = blobs;
    this.#clock = clock;
    this.#maxOpen = maxOpen;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Bytes `offset … offset+length-1`, fewer at the end. @throws {BlobMissingError} */
  async read(sha256: string, offset: number, length: number): Promise<Uint8Array> {
    const entry = this.#take(sha256);
    try {
      return await (await entry.reader).read(offset, length);
    } catch (error) {
      // It may be repaired under the same name.
      this.#evict(sha256, entry);
      throw error;
    } finally {
      entry.readers -= 1;
      entry.usedAtMs = this.#clock.monotonicMs();
      if (entry.evicted && entry.readers === 0) closeQuietly(entry);
    }
  }

  #take(sha256: string): SharedBlob {
    const nowMs = this.#clock.monotonicMs();
    const entry = this.#open.get(sha256) ?? { reader: this.#blobs.reader(sha256), readers: 0, usedAtMs: nowMs, evicted: false };
    entry.readers += 1;
    this.#open.delete(sha256);
    this.#open.set(sha256, entry);
    // What could not be opened is asked for again the next time.
    if (entry.readers === 1) entry.reader.catch(() => this.#evict(sha256, entry));
    for (const [oldest, candidate] of this.#open) {
      if (this.#open.size <= this.#maxOpen) break;
      this.#evict(oldest, candidate);
    }
    this.#cancelSweep ??= this.#clock.after(IDLE_MS, () => this.#sweep());
    return entry;
  }

  #evict(sha256: string, entry: SharedBlob): void {
    if (this.#open.get(sha256) === entry) this.#open.delete(sha256);
    if (entry.evicted) return;
    entry.evicted = true;
    if (entry.readers === 0) closeQuietly(entry);
  }

  #sweep(): void {
    this.#cancelSweep = undefined;
    const idleSinceMs = this.#clock.monotonicMs() - IDLE_MS;
    for (const [sha256, entry] of this.#open) if (entry.readers === 0 && entry.usedAtMs <= idleSinceMs) this.#evict(sha256, entry);
    if (this.#open.size > 0) this.#cancelSweep = this.#clock.after(IDLE_MS, () => this.#sweep());
  }

  close(): void {
    this.#cancelSweep?.();
    for (const [sha256, entry] of this.#open) this.#evict(sha256, entry);
  }
}

function closeQuietly(entry: SharedBlob): void {
  // Whoever read through it has learned of a failure; closing has nothing to add.
  entry.reader.then((reader) => reader.close()).catch(() => {});
}
