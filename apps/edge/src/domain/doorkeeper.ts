import { fnv1a } from './fnv.ts';

/**
 * Lets a name pass when it has come before, so that what is asked for once takes no place from what is asked for again: the doorkeeper of TinyLFU (Einziger, Friedman,
 * Manes: TinyLFU, ACM Transactions on Storage 13(4), 2017, §3.4.2). Instead of being emptied now and then it forgets a name when another one takes its place; a name
 * that passes because another one has the same hash costs no more than a place.
 */
export class Doorkeeper {
  readonly #hashes: Uint32Array;

  /** Names it knows at most; a power of two. */
  constructor(places: number) {
    this.#hashes = new Uint32Array(places);
  }

  passes(name: string): boolean {
    const hash = fnv1a(name);
    const place = hash & (this.#hashes.length - 1);
    if (this.#hashes[place] === hash) return true;
    this.#hashes[place] = hash;
    return false;
  }
}
