import { LRUCache } from 'lru-cache';

/** Bytes of recently read ranges that are kept: edges ask for the same ones at nearly the same time. */
const KEPT_MAX_BYTES = 4 * 1024 * 1024;

export type ReadRange = (sha256: string, offset: number, length: number) => Promise<Uint8Array>;

/** Ranges of blobs, each read once for all that ask within a short time. Content never changes under its name, so nothing gets stale; of a source it may turn out to be other content. */
export class RangeCache {
  readonly #read: ReadRange;
  readonly #kept: LRUCache<string, Uint8Array>;
  readonly #underWay = new Map<string, Promise<Uint8Array>>();

  constructor(read: ReadRange, maxBytes = KEPT_MAX_BYTES) {
    this.#read = read;
    this.#kept = new LRUCache({ maxSize: maxBytes, sizeCalculation: (bytes) => Math.max(1, bytes.byteLength) });
  }

  /** Bytes kept. */
  get sizeBytes(): number {
    return this.#kept.calculatedSize;
  }

  /** Bytes `offset … offset+length-1`, fewer at the end. Do not change them. */
  read(sha256: string, offset: number, length: number): Promise<Uint8Array> {
    const range = `${sha256}:${offset}:${length}`;
    const kept = this.#kept.get(range);
    if (kept !== undefined) return Promise.resolve(kept);
    const underWay = this.#underWay.get(range);
    if (underWay !== undefined) return underWay;
    const reading: Promise<Uint8Array> = this.#read(sha256, offset, length)
      .then((bytes) => {
        // Not what was forgotten meanwhile.
        if (this.#underWay.get(range) === reading) this.#kept.set(range, bytes);
        return bytes;
      })
      .finally(() => {
        if (this.#underWay.get(range) === reading) this.#underWay.delete(range);
      });
    this.#underWay.set(range, reading);
    return reading;
  }

  /** What was read of a blob may have been other bytes. */
  forget(sha256: string): void {
    for (const ranges of [this.#kept, this.#underWay]) {
      for (const range of ranges.keys()) if (range.startsWith(sha256)) ranges.delete(range);
    }
  }
}
