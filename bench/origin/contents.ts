import { randomBytes } from 'node:crypto';

/** Contents of one size, each another one: bytes that are the same would be stored once. Made in advance of a measurement, from few random bytes. */
export class Contents {
  readonly #random: Buffer;
  #made = 0;

  constructor(bytes: number) {
    this.#random = randomBytes(bytes);
  }

  /** A copy of its own, that begins with its number. */
  next(): Buffer {
    const content = Buffer.allocUnsafeSlow(this.#random.byteLength);
    this.#random.copy(content);
    this.#stamp(content);
    return content;
  }

  /** The next one in the place of the last that this gave; for large ones, one at a time. */
  again(): Buffer {
    this.#stamp(this.#random);
    return this.#random;
  }

  #stamp(content: Buffer): void {
    this.#made += 1;
    content.writeDoubleBE(this.#made);
  }
}
