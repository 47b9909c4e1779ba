/** Everything the origin does over the broker. It begins when the broker is first reached, however long that takes. */
import { type BrokerAccess, Bus, type Operate, Streams } from '@sluice/bus';
import { type Exchange, ORIGIN_CHANGES, ORIGIN_FETCH } from '@sluice/contracts';
import type { Clock, Logger, Rng } from '@sluice/runtime';
import { type SigningKey, type Statement, signReply, signStatement } from '@sluice/signing';
import type { OriginMetrics } from './adapters/metrics.ts';
import { StoreAnnouncer } from './adapters/nats/announcer.ts';
import { ContentIntake } from './adapters/nats/content-intake.ts';
import { FetchService } from './adapters/nats/fetch-service.ts';
import { OutboxPublisher } from './adapters/nats/outbox-publisher.ts';
import { sealedEvent } from './adapters/nats/sealed-event.ts';
import { StoreSource } from './adapters/source/store-source.ts';
import { originIdOf } from './services/origin-peers.ts';
import type { SourceSide } from './source-side.ts';
import type { Storage } from './storage.ts';

/** Origins of one catalog would share the requests. */
const QUEUE = { queue: 'origin' };

export interface BrokerSideOptions {
  readonly servers: readonly string[];
  readonly access: BrokerAccess;
  readonly streamReplicas: number;
  readonly storage: Storage;
  readonly sourceSide?: SourceSide | undefined;
  /** Undefined: this origin does not sign. */
  readonly signingKey: () => SigningKey | undefined;
  /** Whether purges are taken from the broker although this origin signs. */
  readonly takesPurges: boolean;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly metrics: OriginMetrics;
  readonly log: Logger;
  readonly operate?: Operate;
}

export class BrokerSide {
  readonly #options: BrokerSideOptions;
  #bus: Bus | undefined;
  #publisher: OutboxPublisher | undefined;
  #intake: ContentIntake | undefined;
  #fetches: FetchService | undefined;
  #ends: (() => void)[] = [];
  #stopped = false;

  constructor(options: BrokerSideOptions) {
    this.#options = options;
  }

  get connected(): boolean {
    return this.#bus?.connected ?? false;
  }
  /** Whether the streams are there: what is published by hand before that is lost. */
  get taking(): boolean {
    return this.#intake?.taking ?? false;
  }

  /** There is something new in the outbox. */
  wake(): void {
    this.#publisher?.wake();
  }

  /** `blobsUrl`: where edges may read blobs over HTTP. */
  async start(blobsUrl: string): Promise<void> {
    const { servers, access, storage, sourceSide, signingKey, takesPurges, clock, rng, metrics, log, operate } = this.#options;
    const { blobs, catalog, patches, blocks, ranges } = storage;
    const bus = await Bus.connect({ servers, access, name: 'sluice-origin', inbox: 'origin', log, operate });
    if (this.#stopped) return bus.close();
    this.#bus = bus;
    sourceSide?.connect(bus, originIdOf(clock.nowMs()));
    // Until then others answer, who know more.
    await sourceSide?.caughtUpOnce();
    if (this.#stopped) return;
    const lookUp = sourceSide === undefined ? undefined : (key: string) => sourceSide.lookUp(key);
    const sign = (statement: Statement) => {
      const key = signingKey();
      return key && signStatement(key, statement);
    };
    const serving = {
      ...QUEUE,
      sign: (exchange: Exchange) => {
        const key = signingKey();
        return key && signReply(key, exchange);
      },
    };
    const fetches = new FetchService({
      lookUp,
      reach: sourceSide && ((version) => sourceSide.reach(version)),
      elsewhere: sourceSide && ((sha256, offset, length) => sourceSide.readElsewhere(sha256, offset, length)),
      bus,
      catalog,
      ranges,
      sizeOf: (sha256) => blobs.size(sha256),
      patches,
      blocks,
      sign,
      clock,
      metrics,
    });
    this.#fetches = fetches;
    const fetching = bus.serve(ORIGIN_FETCH, (request) => fetches.handle(request), serving);
    const telling = bus.serve(
      ORIGIN_CHANGES,
      async (request) => {
        await sourceSide?.requireFeed(request);
        const page = catalog.changes(request);
        metrics.changesPages.inc({ kind: page.reset ? 'reset' : 'continued' });
        return { ...page, blobsUrl };
      },
      serving,
    );
    this.#ends = [fetching, telling];
    const streams = new Streams(bus, log, { replicas: this.#options.streamReplicas });
    this.#publisher = new OutboxPublisher({ bus, streams, catalog, seal: (entry) => sealedEvent(entry, sign), clock, rng, metrics, log });
    const announcer = sourceSide ?? new StoreAnnouncer(new StoreSource({ catalog, blobs }), catalog);
    this.#intake = new ContentIntake({
      ...{ streams, catalog, announcer, clock, metrics, log },
      takesPurges: () => takesPurges || signingKey() === undefined,
    });
    log.info({}, 'connected to the broker');
  }

  /** Takes no more requests and events; those under way come to their end. */
  async leave(): Promise<void> {
    this.#stopped = true;
    for (const end of this.#ends.splice(0)) end();
    await this.#intake?.stop();
    await this.#fetches?.idle();
  }

  async stop(): Promise<void> {
    await this.leave();
    await this.#publisher?.stop();
    await this.#bus?.close();
  }
}
