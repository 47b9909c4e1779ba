/**
 * Named values in the order in which they came. A Map has that order too, but whoever begins at its beginning passes by the places of all that was deleted there:
 * measured, 15 µs for each item of a queue of 10,000 that lets one go for each that comes. So this one goes on where it was.
 */
export class Fifo<Value> {
  readonly #items = new Map<string, Value>();
  /** Stands before the oldest: what it has passed by has left. */
  #oldest = this.#items.entries();

  get size(): number {
    return this.#items.size;
  }

  has(name: string): boolean {
    return this.#items.has(name);
  }

  get(name: string): Value | undefined {
    return this.#items.get(name);
  }

  /** Puts a name that is not there behind all others; one that is there keeps its place. */
  set(name: string, value: Value): void {
    this.#items.set(name, value);
  }

  delete(name: string): boolean {
    return this.#items.delete(name);
  }

  /** Takes the oldest out. */
  shift(): [name: string, value: Value] | undefined {
    let next = this.#oldest.next();
    if (next.done) {
      // An iterator that was at the end once stays there.
      this.#oldest = this.#items.entries();
      next = this.#oldest.next();
      if (next.done) return undefined;
    }
    this.#items.delete(next.value[0]);
    return next.value;
  }
}
