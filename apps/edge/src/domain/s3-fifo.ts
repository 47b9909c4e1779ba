/**
 * A bounded cache by S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: FIFO queues are all you need for cache eviction, SOSP 2023, https://dl.acm.org/doi/10.1145/3600006.3613147):
 * what comes new passes through a small queue and gets into the main one only when it was asked for again meanwhile, so a scan of things that nobody asks for twice flushes
 * a tenth of the cache at most. What just left the small queue is remembered by name, and goes straight into the main one when it comes back.
 *
 * A Map keeps its order of insertion, so each queue is one.
 */
interface Item<Value> {
  readonly value: Value;
  readonly sizeBytes: number;
  /** Uses since it came into its queue, at most {@link FREQUENCY_MAX}. */
  frequency: number;
}

const FREQUENCY_MAX = 3;
/** Share of the small queue (§4.2 of the paper). */
const SMALL_SHARE = 0.1;
/** Uses in the small queue that bring an item into the main one. */
const PROMOTED_AT = 1;

export class S3Fifo<Value> {
  readonly #maxBytes: number;
  readonly #small = new Map<string, Item<Value>>();
  readonly #main = new Map<string, Item<Value>>();
  /** Names that left the small queue, oldest first; as many as the main queue has items. */
  readonly #ghosts = new Set<string>();
  #smallBytes = 0;
  #mainBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get sizeBytes(): number {
    return this.#smallBytes + this.#mainBytes;
  }
  get count(): number {
    return this.#small.size + this.#main.size;
  }
  /** Names remembered without a value. */
  get ghosts(): number {
    return this.#ghosts.size;
  }

  /** What is larger is not taken: it would flush the small queue. */
  get itemMaxBytes(): number {
    return this.#maxBytes * SMALL_SHARE;
  }

  /** Looks without counting as a use. */
  has(name: string): boolean {
    return this.#main.has(name) || this.#small.has(name);
  }

  get(name: string): Value | undefined {
    const item = this.#main.get(name) ?? this.#small.get(name);
    if (item === undefined) return undefined;
    if (item.frequency < FREQUENCY_MAX) item.frequency += 1;
    return item.value;
  }

  /** Takes a value in, unless it is there already or too large. */
  set(name: string, value: Value, sizeBytes: number): void {
    if (this.has(name) || sizeBytes > this.itemMaxBytes) return;
    const item = { value, sizeBytes, frequency: 0 };
    if (this.#ghosts.delete(name)) this.#addToMain(name, item);
    else {
      this.#small.set(name, item);
      this.#smallBytes += sizeBytes;
    }
    while (this.sizeBytes > this.#maxBytes) this.#evict();
  }

  delete(name: string): void {
    this.#smallBytes -= this.#small.get(name)?.sizeBytes ?? 0;
    this.#mainBytes -= this.#main.get(name)?.sizeBytes ?? 0;
    this.#small.delete(name);
    this.#main.delete(name);
    this.#ghosts.delete(name);
  }

  #addToMain(name: string, item: Item<Value>): void {
    item.frequency = 0;
    this.#main.set(name, item);
    this.#mainBytes += item.sizeBytes;
  }

  #evict(): void {
    if (this.#smallBytes > this.#maxBytes * SMALL_SHARE || this.#main.size === 0) this.#evictFromSmall();
    else this.#evictFromMain();
  }

  #evictFromSmall(): void {
    const [oldest] = this.#small;
    if (oldest === undefined) return;
    const [name, item] = oldest;
    this.#small.delete(name);
    this.#smallBytes -= item.sizeBytes;
    if (item.frequency >= PROMOTED_AT) {
      this.#addToMain(name, item);
      return;
    }
    this.#ghosts.add(name);
    while (this.#ghosts.size > Math.max(1, this.#main.size)) this.#ghosts.delete(this.#ghosts.values().next().value as string);
  }

  /** The oldest that was not asked for in its last round goes; the others go round once more for each use. */
  #evictFromMain(): void {
    const [oldest] = this.#main;
    if (oldest === undefined) return;
    const [name, item] = oldest;
    this.#main.delete(name);
    if (item.frequency > 0) {
      item.frequency -= 1;
      this.#main.set(name, item);
    } else this.#mainBytes -= item.sizeBytes;
  }
}
