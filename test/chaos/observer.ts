/** Listens to what is announced and confirmed, at the broker itself, past everything that disturbs events for others. */
import { Bus } from '@sluice/bus';
import { CONTENT_DISTRIBUTED, CONTENT_INVALIDATED, CONTENT_UPLOADED, isConfirmed, selectorOf, uploadedVersion } from '@sluice/contracts';
import { silentLog } from '@sluice/testkit';
import type { Invalidations } from './checker/invalidations.ts';

const API_TIMEOUT_MS = 5_000;

export class Observer implements AsyncDisposable {
  readonly #bus: Bus;

  private constructor(bus: Bus) {
    this.#bus = bus;
  }

  static async open(natsUrl: string, invalidations: Invalidations, now: () => number): Promise<Observer> {
    const bus = await Bus.connect({ servers: [natsUrl], name: 'chaos observer', log: silentLog });
    bus.subscribe(CONTENT_UPLOADED, ({ key, version, manifest }) => {
      if (version !== undefined && manifest !== undefined) invalidations.contentAnnounced(key, version, uploadedVersion(manifest));
    });
    bus.subscribe(CONTENT_INVALIDATED, (message) => {
      const { id, version, mode, cause } = message;
      if (id !== undefined && version !== undefined) invalidations.announced({ id, cause, selector: selectorOf(message), mode, version });
    });
    bus.subscribe(CONTENT_DISTRIBUTED, ({ id, event, edges }) => {
      if (event !== 'invalidated') return;
      for (const { edge, outcome } of edges) if (isConfirmed(outcome)) invalidations.confirmed(id, `edge ${edge}`, now());
    });
    void (async () => {
      for await (const { type } of bus.connection.status()) if (type === 'disconnect' || type === 'reconnect') invalidations.forgetAll();
    })();
    await bus.flush();
    return new Observer(bus);
  }

  /** Events of the stream that each consumer has not acknowledged yet, by its name. */
  async unacknowledged(): Promise<ReadonlyMap<string, number>> {
    const reply = await this.#bus.connection.request('$JS.API.CONSUMER.LIST.CONTENT', '', { timeout: API_TIMEOUT_MS });
    const { consumers = [] } = reply.json<{ consumers?: { name: string; num_pending: number; num_ack_pending: number }[] }>();
    return new Map(consumers.map(({ name, num_pending, num_ack_pending }) => [name, num_pending + num_ack_pending]));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#bus.close();
  }
}
