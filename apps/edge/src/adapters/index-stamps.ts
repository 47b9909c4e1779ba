/**
 * Tells readers in other threads whether what they remember of the index still holds: a sequence lock (Lameter, Effective synchronization on Linux/NUMA systems, 2005)
 * for each of many groups of keys, in shared memory. The writer makes the stamps of what it changes odd before the commit and even after it. So what was read under an
 * even stamp that has not moved since is what the last commit left, on every thread at once: no reader goes back behind another one.
 */
import { fnv1a } from '../domain/fnv.ts';

const GROUPS = 8192;
/** The group of every key. */
const ALL = 0;

export class IndexStamps {
  /** For {@link IndexStamps} in another thread. */
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(4 * (1 + GROUPS))) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
  }

  /** The writer, before it commits changes of these keys. Call the result after the commit or its failure. */
  change(keys: Iterable<string> | 'all'): () => void {
    const groups = keys === 'all' ? [ALL] : [...new Set(Array.from(keys, groupOf))];
    for (const group of groups) Atomics.add(this.#words, group, 1);
    return () => {
      for (const group of groups) Atomics.add(this.#words, group, 1);
    };
  }

  /** A reader, before it reads. Undefined while the key is being changed: what is read now is not to be remembered. */
  stamp(key: string): Stamp | undefined {
    const group = groupOf(key);
    const all = Atomics.load(this.#words, ALL);
    const own = Atomics.load(this.#words, group);
    return (all & 1) === 1 || (own & 1) === 1 ? undefined : { group, own, all };
  }

  /** Whether nothing has changed since the stamp was taken. */
  holds({ group, own, all }: Stamp): boolean {
    return Atomics.load(this.#words, group) === own && Atomics.load(this.#words, ALL) === all;
  }
}

export interface Stamp {
  readonly group: number;
  readonly own: number;
  readonly all: number;
}

function groupOf(key: string): number {
  return 1 + (fnv1a(key) % GROUPS);
}
