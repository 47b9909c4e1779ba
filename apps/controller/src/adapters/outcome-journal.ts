/**
 * Remembers what became of the newest events: of all controllers, because every one hears every `content.distributed`. What one did not hear, because it was paused or away, it reads when
 * it has to know.
 */
import type { Bus, StreamReading, Streams } from '@sluice/bus';
import { CONTENT_DISTRIBUTED, type ContentDistributed, STREAMS } from '@sluice/contracts';
import type { Logger } from '@sluice/runtime';
import { LRUCache } from 'lru-cache';

const DISTRIBUTIONS_MAX = 10_000;
/** Outcomes of single edges kept over all distributions; about 200 bytes each. */
const OUTCOMES_MAX = 500_000;

export class OutcomeJournal {
  readonly #distributions: LRUCache<string, ContentDistributed>;
  readonly #readMax: number;
  /** Everything up to this place of the stream is here, or was. */
  #readUpTo = 0;
  #reading: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(
    limits: { readonly distributionsMax: number; readonly outcomesMax: number } = {
      distributionsMax: DISTRIBUTIONS_MAX,
      outcomesMax: OUTCOMES_MAX,
    },
  ) {
    this.#readMax = limits.distributionsMax;
    this.#distributions = new LRUCache({
      max: limits.distributionsMax,
      maxSize: limits.outcomesMax,
      sizeCalculation: ({ edges }) => 1 + edges.length,
    });
  }

  /** Listens from now on; the returned function ends that. */
  follow(bus: Bus): () => void {
    return bus.subscribe(CONTENT_DISTRIBUTED, (message) => this.add(message));
  }

  /** Reads what was distributed before this process started. A failure costs only the history. */
  async recall(streams: Streams, log: Logger): Promise<void> {
    try {
      await streams.ensure();
      await this.refresh(streams);
    } catch (err) {
      log.warn({ err }, 'earlier outcomes could not be read');
    }
  }

  /**
   * Resolves when everything is here that was distributed before this was called, of the newest that are remembered. Who asks while it is being read waits for one more reading,
   * together with all others who do. @throws {SluiceError} when the stream cannot be read
   */
  refresh(streams: Pick<Streams, 'read'>): Promise<void> {
    if (this.#reading === undefined) return this.#begin(streams);
    this.#next ??= this.#reading
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        return this.#begin(streams);
      });
    return this.#next;
  }

  #begin(streams: Pick<Streams, 'read'>): Promise<void> {
    const reading = this.#read(streams).finally(() => {
      if (this.#reading === reading) this.#reading = undefined;
    });
    this.#reading = reading;
    return reading;
  }

  async #read(streams: Pick<Streams, 'read'>): Promise<void> {
    const { messages, upTo }: StreamReading<ContentDistributed> = await streams.read(STREAMS.OUTCOMES, CONTENT_DISTRIBUTED, {
      after: this.#readUpTo,
      count: this.#readMax,
    });
    this.#readUpTo = upTo;
    // Those that were heard meanwhile are the newer ones.
    const heard = this.newest(Number.POSITIVE_INFINITY).reverse();
    const read = new Set(messages.map(({ id }) => id));
    for (const message of [...messages, ...heard.filter(({ id }) => !read.has(id))]) this.add(message);
  }

  add(message: ContentDistributed): void {
    this.#distributions.set(message.id, message);
  }

  has(id: string): boolean {
    return this.#distributions.has(id);
  }

  get(id: string): ContentDistributed | undefined {
    return this.#distributions.peek(id);
  }

  /** The last `limit`, newest first. */
  newest(limit: number): ContentDistributed[] {
    return [...this.#distributions.values()].slice(0, limit);
  }
}
