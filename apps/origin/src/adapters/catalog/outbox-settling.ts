import type { Clock } from '@sluice/runtime';
import type { CatalogCore } from './catalog-core.ts';
import type { OutboxEntry } from './outbox.ts';

/** Published events whose removal does not wait for another transaction any more. */
const SETTLED_MAX = 512;
/** Pause after their removal has failed. */
const SETTLE_RETRY_MS = 5_000;

export interface OutboxSettlingOptions {
  readonly clock: Clock;
  /** Called when published events could not be removed from the outbox; it is tried again. */
  readonly onSettleFailed?: (error: unknown) => void;
}

/** Removes published events from the outbox, with transactions that are made anyway. */
export class OutboxSettling {
  readonly #core: CatalogCore;
  readonly #options: OutboxSettlingOptions;
  #settling = false;

  constructor(core: CatalogCore, options: OutboxSettlingOptions) {
    this.#core = core;
    this.#options = options;
  }

  /**
   * The stream has acknowledged these events: they are not offered again, and leave the disk with the next transaction or within a second. One that a
   * crash brings back is published again, and the stream knows its id.
   */
  settle(published: readonly OutboxEntry[]): void {
    const { outbox } = this.#core;
    outbox.acknowledge(published);
    if (!this.#settling) void this.#removeSettled();
    if (outbox.acknowledged >= SETTLED_MAX) this.#core.hurry();
  }

  async #removeSettled(): Promise<void> {
    this.#settling = true;
    const { outbox } = this.#core;
    const { clock, onSettleFailed } = this.#options;
    try {
      while (outbox.acknowledged > 0) {
        const done = await this.#core.write(() => outbox.removeAcknowledged(), 'later');
        done();
      }
    } catch (error) {
      onSettleFailed?.(error);
      // A full disk, most likely. What waits is no more than what was in the outbox.
      clock.after(SETTLE_RETRY_MS, () => void this.#removeSettled());
      return;
    }
    this.#settling = false;
  }
}
