/**
 * Names in the order of their UTF-8 bytes. Sorted piece by piece and merged while they are taken: all at once, a million of them would hold up everything
 * else for seconds.
 */
import { compareUtf8 } from '../../domain/key-order.ts';

const PIECE = 8_192;

export class SortedNames implements Iterable<string> {
  readonly #pieces: string[][] = [];
  #incoming: string[] = [];

  add(name: string): void {
    this.#incoming.push(name);
    if (this.#incoming.length === PIECE) this.#finishPiece();
  }

  /** To be taken once. */
  *[Symbol.iterator](): Iterator<string> {
    this.#finishPiece();
    // Last first: the end of an array is where it is cheap to take from.
    for (const piece of this.#pieces) piece.reverse();
    for (let first = this.#first(); first !== undefined; first = this.#first()) yield first;
  }

  #finishPiece(): void {
    if (this.#incoming.length > 0) this.#pieces.push(this.#incoming.sort(compareUtf8));
    this.#incoming = [];
  }

  #first(): string | undefined {
    let from: string[] | undefined;
    for (const piece of this.#pieces) {
      const name = piece.at(-1);
      if (name !== undefined && (from === undefined || compareUtf8(name, from.at(-1) as string) < 0)) from = piece;
    }
    return from?.pop();
  }
}
