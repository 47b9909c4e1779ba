/**
 * Coalesces work by key. While a round of a key is under way, further items for it wait together for the next one, so a key has at most
 * one running and one waiting round. `maxRounds` run at once; the others take their turn in order.
 */
import PQueue from 'p-queue';

export class KeyRounds<Item> {
  readonly #work: (key: string, items: readonly Item[]) => Promise<void>;
  readonly #queue: PQueue;
  /** The items that the next round of a key takes, for every key with a round running or waiting. */
  readonly #next = new Map<string, Item[]>();

  /** `work` must not reject. */
  constructor(maxRounds: number, work: (key: string, items: readonly Item[]) => Promise<void>) {
    this.#queue = new PQueue({ concurrency: maxRounds });
    this.#work = work;
  }

  /** Keys with a round running or waiting. */
  get keys(): number {
    return this.#next.size;
  }

  add(key: string, item: Item): void {
    const waiting = this.#next.get(key);
    if (waiting !== undefined) {
      waiting.push(item);
      return;
    }
    this.#next.set(key, [item]);
    this.#schedule(key);
  }

  #schedule(key: string): void {
    void this.#queue.add(async () => {
      const items = this.#next.get(key) ?? [];
      this.#next.set(key, []);
      await this.#work(key, items);
      if ((this.#next.get(key) ?? []).length > 0) this.#schedule(key);
      else this.#next.delete(key);
    });
  }
}
