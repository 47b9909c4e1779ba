/** Remembers what became of the newest events: of all controllers, because every one hears every `content.distributed`. */
import type { Bus, Streams } from '@sluice/bus';
import { CONTENT_DISTRIBUTED, type ContentDistributed, STREAMS } from '@sluice/contracts';
import type { Logger } from '@sluice/runtime';
import { LRUCache } from 'lru-cache';

const DISTRIBUTIONS_MAX = 10_000;
/** Outcomes of single edges kept over all distributions; about 200 bytes each. */
const OUTCOMES_MAX = 500_000;
const RECENT_MAX = 1_000;

export class OutcomeJournal {
  readonly #distributions: LRUCache<string, ContentDistributed>;

  constructor(
    limits: { readonly distributionsMax: number; readonly outcomesMax: number } = {
      distributionsMax: DISTRIBUTIONS_MAX,
      outcomesMax: OUTCOMES_MAX,
    },
  ) {
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
      const earlier = await streams.recent(STREAMS.OUTCOMES, CONTENT_DISTRIBUTED, RECENT_MAX);
      const heardMeanwhile = this.newest(Number.POSITIVE_INFINITY).reverse();
      for (const message of [...earlier, ...heardMeanwhile]) this.add(message);
    } catch (err) {
      log.warn({ err }, 'earlier outcomes could not be read');
    }
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
