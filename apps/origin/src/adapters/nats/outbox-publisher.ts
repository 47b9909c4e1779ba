import { type Bus, NoListenerError, type Streams } from '@sluice/bus';
import type { Clock, Logger, Rng } from '@sluice/runtime';
import { backoffMs } from '../../domain/backoff.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { OutboxEntry } from '../catalog/outbox.ts';
import type { OriginMetrics } from '../metrics.ts';

/** Events in flight at once. */
const BATCH_MAX = 64;
/** Far below the stream's duplicate window, so that a repetition is always recognised. */
const BACKOFF = { firstMs: 200, maxMs: 15_000 };

export interface OutboxPublisherOptions {
  readonly bus: Pick<Bus, 'connected' | 'onReconnect'>;
  readonly streams: Pick<Streams, 'ensure' | 'publishEncoded'>;
  readonly catalog: Pick<Catalog, 'outbox' | 'settle'>;
  /** What goes out of an event: signed at that moment, so that another key applies at once. */
  readonly seal?: (entry: Pick<OutboxEntry, 'subject' | 'payload'>) => Uint8Array;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly metrics: OriginMetrics;
  readonly log: Logger;
}

/** Brings the outbox to the stream in its order, repeating for as long as it takes. The event id makes a repetition harmless. */
export class OutboxPublisher {
  readonly #options: OutboxPublisherOptions;
  readonly #running: Promise<void>;
  readonly #stopListening: () => void;
  #stopped = false;
  #streamsReady = false;
  #failures = 0;
  #wakeIdle: (() => void) | undefined;
  #wakeBackoff: (() => void) | undefined;

  constructor(options: OutboxPublisherOptions) {
    this.#options = options;
    this.#stopListening = options.bus.onReconnect(() => this.#retryNow());
    this.#running = this.#run();
  }

  /** There is something new in the outbox. Does not cut a pause after a failure short. */
  wake(): void {
    this.#wakeIdle?.();
  }

  #retryNow(): void {
    this.#wakeIdle?.();
    this.#wakeBackoff?.();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopListening();
    this.#retryNow();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const { bus, catalog, clock, rng, metrics, log } = this.#options;
      try {
        const batch = bus.connected ? catalog.outbox.oldest(BATCH_MAX) : [];
        if (batch.length === 0) {
          await new Promise<void>((resolve) => {
            this.#wakeIdle = resolve;
          });
          continue;
        }
        await this.#publish(batch);
        this.#failures = 0;
      } catch (err) {
        if (err instanceof NoListenerError) this.#streamsReady = false;
        this.#failures += 1;
        metrics.publishFailures.inc();
        if (this.#stopped) return;
        const delayMs = backoffMs(this.#failures, BACKOFF, rng);
        log.warn({ err, failures: this.#failures, delayMs }, 'events could not be published');
        await new Promise<void>((resolve) => {
          this.#wakeBackoff = resolve;
          clock.after(delayMs, resolve);
        });
      }
    }
  }

  /** @throws the first failure, after what was acknowledged has left the outbox */
  async #publish(batch: readonly OutboxEntry[]): Promise<void> {
    const { streams, catalog, metrics, seal = ({ payload }) => payload } = this.#options;
    if (!this.#streamsReady) {
      await streams.ensure();
      this.#streamsReady = true;
    }
    const results = await Promise.allSettled(batch.map((entry) => streams.publishEncoded(entry.subject, seal(entry), entry.eventId)));
    const published = batch.filter((_, index) => results[index]?.status === 'fulfilled');
    if (published.length > 0) {
      metrics.published.inc(published.length);
      catalog.settle(published);
    }
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }
}
