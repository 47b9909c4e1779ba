/** Chance that a seed decides: the same numbers for the same words, on every machine. */

/** sfc32 of Chris Doty-Humphrey's PractRand: 128 bits of state, a nanosecond or two for each number. Not for secrets. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** `seed` names a run, `stream` one of many in it. Both are whole numbers below 2^32. */
  constructor(seed: number, stream: number, salt = 0) {
    this.#a = seed | 0;
    this.#b = stream | 0;
    this.#c = salt | 0;
    for (let round = 0; round < 12; round += 1) this.u32();
  }

  /** A whole number from 0 to 2^32 - 1. */
  u32(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum;
    return sum >>> 0;
  }

  /** A whole number from 0 to `limit` - 1; `limit` is below 2^32. */
  below(limit: number): number {
    return Math.floor((this.u32() / 2 ** 32) * limit);
  }

  /** A whole number with both bounds. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** Once in `n`. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)] as Item;
  }

  /** Mostly small, seldom up to `most`: bounds are looked for at both ends. */
  size(most: number): number {
    return this.below(2 ** this.between(0, Math.ceil(Math.log2(most + 1)))) % (most + 1);
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.u32() & 0xff);
  }
}
