/** Runs work on one key in order, one piece at a time; work on different keys runs side by side. Holds only keys that have work. */
export class KeyLock {
  readonly #last = new Map<string, Promise<void>>();

  /** Keys that have work. */
  get size(): number {
    return this.#last.size;
  }

  /** Runs `work` when all earlier work on `key` has ended, however it ended. */
  async run<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
    const before = this.#last.get(key);
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    this.#last.set(key, ended);
    await before;
    try {
      return await work();
    } finally {
      if (this.#last.get(key) === ended) this.#last.delete(key);
      end();
    }
  }
}
