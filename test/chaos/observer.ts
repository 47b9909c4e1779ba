/** Listens to what is announced and confirmed, at the broker itself, past everything that disturbs events for others. */
import { Bus, type BusLogger } from '@sluice/bus';
import { CONTENT_DISTRIBUTED, CONTENT_INVALIDATED, CONTENT_UPLOADED, isConfirmed, selectorOf, uploadedVersion } from '@sluice/contracts';
import { silentLog } from '@sluice/testkit';
import type { Invalidations } from './checker/invalidations.ts';

/** Outcomes whose announcement was not heard before. */
export interface Heard {
  readonly outcomes: number;
}

export class Observer implements AsyncDisposable {
  readonly #bus: Bus;
  #outcomes = 0;

  private constructor(bus: Bus) {
    this.#bus = bus;
  }

  static async open(natsUrl: string, invalidations: Invalidations, now: () => number, log: BusLogger = silentLog): Promise<Observer> {
    const bus = await Bus.connect({ servers: [natsUrl], name: 'chaos observer', log });
    const observer = new Observer(bus);
    bus.subscribe(CONTENT_UPLOADED, ({ key, version, manifest }) => {
      if (version !== undefined && manifest !== undefined) invalidations.contentAnnounced(key, version, uploadedVersion(manifest));
    });
    bus.subscribe(CONTENT_INVALIDATED, (message) => {
      const { id, version, mode, cause } = message;
      if (id !== undefined && version !== undefined) invalidations.announced({ id, cause, selector: selectorOf(message), mode, version });
    });
    bus.subscribe(CONTENT_DISTRIBUTED, ({ id, event, edges }) => {
      observer.#outcomes += 1;
      if (event !== 'invalidated') return;
      for (const { edge, outcome } of edges) if (isConfirmed(outcome)) invalidations.confirmed(id, `edge ${edge}`, now());
    });
    void (async () => {
      for await (const { type } of bus.connection.status()) if (type === 'disconnect' || type === 'reconnect') invalidations.forgetAll();
    })();
    await bus.flush();
    return observer;
  }

  get heard(): Heard {
    return { outcomes: this.#outcomes };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#bus.close();
  }
}
