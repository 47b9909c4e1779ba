/**
 * A bounded cache by S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: FIFO queues are all you need for cache eviction, SOSP 2023, https://dl.acm.org/doi/10.1145/3600006.3613147):
 * what comes new passes through a small queue and gets into the main one only when it was asked for again meanwhile, so a scan of things that nobody asks for twice flushes
 * a tenth of the cache at most. What just left the small queue is remembered by name, and goes straight into the main one when it comes back.
 *
 * The two queues are apart, so that every serving thread can have a small one of its own while all share the main one.
 */
import { Fifo } from './fifo.ts';

/** Share of the small queues of all the bytes (§4.2 of the paper). */
export const SMALL_SHARE = 0.1;
/** Uses in the small queue that bring an item into the main one. */
const PROMOTED_AT = 1;
/** The main queue counts uses up to this. */
export const FREQUENCY_MAX = 3;
/**
 * Bytes that an item takes besides its own, in names, maps and what describes memory that threads share: measured with one serving thread, and 600 more for each further
 * one.
 */
export const ITEM_OVERHEAD_BYTES = 1536;

interface SmallItem<Value> {
  readonly value: Value;
  readonly sizeBytes: number;
  uses: number;
}

/** What leaves the small queue for the main one. */
export interface Promoted<Value> {
  readonly name: string;
  readonly value: Value;
  /** Bytes of the value alone. */
  readonly sizeBytes: number;
}

export class SmallQueue<Value> {
  readonly #maxBytes: number;
  readonly #items = new Fifo<SmallItem<Value>>();
  /** Names that left without having been used. */
  readonly #ghosts = new Fifo<true>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get sizeBytes(): number {
    return this.#bytes;
  }
  get count(): number {
    return this.#items.size;
  }
  /** Names remembered without a value. */
  get ghosts(): number {
    return this.#ghosts.size;
  }
  /** What is larger than this finds no place. */
  get itemMaxBytes(): number {
    return this.#maxBytes - ITEM_OVERHEAD_BYTES;
  }

  /** Looks without counting as a use. */
  has(name: string): boolean {
    return this.#items.has(name);
  }

  get(name: string): Value | undefined {
    const item = this.#items.get(name);
    if (item === undefined) return undefined;
    item.uses += 1;
    return item.value;
  }

  /**
   * Takes a value in, of at most {@link itemMaxBytes}, and returns what goes into the main queue now: the value itself when its name is remembered, and of what makes
   * room for it that which was used meanwhile, or all of it while the main queue is not full. As many of the others are remembered as the main queue has items.
   */
  add(name: string, value: Value, sizeBytes: number, main: { readonly count: number; readonly isFull: boolean }): Promoted<Value>[] {
    if (this.has(name) || sizeBytes > this.itemMaxBytes) return [];
    if (this.#ghosts.delete(name)) return [{ name, value, sizeBytes }];
    this.#items.set(name, { value, sizeBytes, uses: 0 });
    this.#bytes += sizeBytes + ITEM_OVERHEAD_BYTES;
    const promoted: Promoted<Value>[] = [];
    while (this.#bytes > this.#maxBytes) {
      const [oldest, item] = this.#items.shift() as [string, SmallItem<Value>];
      this.#bytes -= item.sizeBytes + ITEM_OVERHEAD_BYTES;
      if (item.uses >= PROMOTED_AT || !main.isFull) promoted.push({ name: oldest, value: item.value, sizeBytes: item.sizeBytes });
      else this.#remember(oldest, main.count);
    }
    return promoted;
  }

  #remember(name: string, ghostsMax: number): void {
    this.#ghosts.set(name, true);
    while (this.#ghosts.size > Math.max(1, ghostsMax)) this.#ghosts.shift();
  }

  delete(name: string): void {
    const item = this.#items.get(name);
    if (item !== undefined) this.#bytes -= item.sizeBytes + ITEM_OVERHEAD_BYTES;
    this.#items.delete(name);
    this.#ghosts.delete(name);
  }
}

interface MainItem {
  readonly sizeBytes: number;
  readonly slot: number;
}

/** The order of the main queue. The uses of an item are counted by whoever reads it, in `uses[slot]`, up to {@link FREQUENCY_MAX}. */
export class MainQueue {
  readonly #maxBytes: number;
  readonly #uses: Uint8Array;
  readonly #items = new Fifo<MainItem>();
  readonly #freeSlots: number[] = [];
  #nextSlot = 0;
  #bytes = 0;

  /** `uses`: as many bytes as there may be items. */
  constructor(maxBytes: number, uses: Uint8Array) {
    this.#maxBytes = maxBytes;
    this.#uses = uses;
  }

  get sizeBytes(): number {
    return this.#bytes;
  }
  get count(): number {
    return this.#items.size;
  }

  slotOf(name: string): number | undefined {
    return this.#items.get(name)?.slot;
  }

  /** Takes an item in and returns its slot, and the names that made room for it. Undefined when it is larger than the queue. */
  add(name: string, sizeBytes: number): { readonly slot: number; readonly evicted: string[] } | undefined {
    const bytes = sizeBytes + ITEM_OVERHEAD_BYTES;
    if (this.#items.has(name) || bytes > this.#maxBytes) return undefined;
    const evicted: string[] = [];
    while (this.#bytes + bytes > this.#maxBytes || this.#items.size >= this.#uses.length) {
      const name = this.#evict();
      if (name !== undefined) evicted.push(name);
    }
    const slot = this.#freeSlots.pop() ?? this.#nextSlot++;
    this.#uses[slot] = 0;
    this.#items.set(name, { sizeBytes, slot });
    this.#bytes += bytes;
    return { slot, evicted };
  }

  /** The oldest goes when it was not used in its last round, and its name is returned; else it goes round once more for each use. */
  #evict(): string | undefined {
    const [name, item] = this.#items.shift() as [string, MainItem];
    const uses = this.#uses[item.slot] ?? 0;
    if (uses === 0) {
      this.#letGo(item);
      return name;
    }
    this.#uses[item.slot] = uses - 1;
    this.#items.set(name, item);
    return undefined;
  }

  delete(name: string): boolean {
    const item = this.#items.get(name);
    if (item === undefined) return false;
    this.#items.delete(name);
    this.#letGo(item);
    return true;
  }

  #letGo({ slot, sizeBytes }: MainItem): void {
    this.#freeSlots.push(slot);
    this.#bytes -= sizeBytes + ITEM_OVERHEAD_BYTES;
  }
}
