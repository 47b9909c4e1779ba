/** A controller in this process against a real broker, with an origin and edges that the test plays. */
import { randomUUID } from 'node:crypto';
import type { Bus } from '@sluice/bus';
import { Streams } from '@sluice/bus';
import {
  CONTENT_DISTRIBUTED,
  CONTENT_INVALIDATED,
  CONTENT_REJECTED,
  CONTENT_REMOVED,
  CONTENT_UPLOADED,
  type ContentDistributed,
  type ContentRejected,
  controllerRegister,
  type EdgeReport,
  edgeHeartbeat,
  edgePush,
  type Manifest,
  ORIGIN_FETCH,
  type PreviousVersion,
  type PushCommand,
  type PushReply,
  STREAMS,
} from '@sluice/contracts';
import { type Logger, readConfig } from '@sluice/runtime';
import { edgeReport, silentLog, testBroker } from '@sluice/testkit';
import pRetry from 'p-retry';
import { type Controller, startController } from './app.ts';
import { controllerVariables } from './config.ts';

/** Fast enough for tests, in the proportions of the defaults. */
export const FAST: Readonly<Record<string, string>> = {
  CONTROLLER_PORT: '0',
  CONTROLLER_HEARTBEAT_MS: '100',
  CONTROLLER_LEASE_MS: '1000',
  CONTROLLER_ACK_WAIT_MS: '2000',
  CONTROLLER_DRAIN_MS: '200',
};

export function aManifest(fields: Partial<Manifest> & { version: number }): Manifest {
  return {
    key: 'site/app.js',
    sha256: fields.version.toString(16).padStart(64, '0'),
    size: 10_000,
    contentType: 'text/javascript',
    meta: {},
    regions: [],
    tags: [],
    uploadedAt: '2026-01-01T00:00:00.000Z',
    ...fields,
  };
}

/** What the test's origin answers for a key. */
export interface OriginState {
  readonly manifest?: Manifest;
  readonly previous?: PreviousVersion;
  readonly removed?: { version: number };
}

/** The origin as the controller sees it: `origin.fetch`, and the events that it publishes. */
export class FakeOrigin {
  readonly states = new Map<string, OriginState>();
  readonly resolved: string[] = [];
  newest = 0;
  readonly #bus: Bus;
  readonly #streams: Streams;
  #stop: (() => void) | undefined;

  constructor(bus: Bus) {
    this.#bus = bus;
    this.#streams = new Streams(bus, silentLog);
  }

  async start(): Promise<void> {
    await this.#streams.ensure();
    this.#stop = this.#bus.serve(
      ORIGIN_FETCH,
      (request) => {
        if (request.op !== 'resolve') throw new Error('the controller reads no bytes');
        this.resolved.push(request.key);
        const { manifest, previous, removed } = this.states.get(request.key) ?? {};
        const asOf = this.newest;
        if (manifest === undefined) return { ok: true, found: false, ...(removed === undefined ? {} : { removed }), asOf } as const;
        return { ok: true, found: true, manifest, ...(previous === undefined ? {} : { previous }), asOf } as const;
      },
      { queue: 'origin' },
    );
    await this.#bus.flush();
  }

  async goAway(): Promise<void> {
    this.#stop?.();
    await this.#bus.flush();
  }

  hold(manifest: Manifest, previous?: PreviousVersion): void {
    this.states.set(manifest.key, previous === undefined ? { manifest } : { manifest, previous });
    this.newest = Math.max(this.newest, manifest.version);
  }

  /** Commits a version and announces it; the event's id. */
  async upload(manifest: Manifest, previous?: PreviousVersion, cause?: string): Promise<string> {
    this.hold(manifest, previous);
    const id = `up-${manifest.version}-${randomUUID()}`;
    const { key, version } = manifest;
    await this.#streams.publish(CONTENT_UPLOADED, { id, key, version, manifest, ...(cause === undefined ? {} : { cause }) }, id);
    return id;
  }

  async remove(key: string, version: number): Promise<string> {
    this.states.set(key, { removed: { version } });
    this.newest = Math.max(this.newest, version);
    const id = `rm-${version}-${randomUUID()}`;
    await this.#streams.publish(CONTENT_REMOVED, { id, key, version }, id);
    return id;
  }

  async invalidate(version: number, prefix: string): Promise<string> {
    this.newest = Math.max(this.newest, version);
    const id = `inv-${version}-${randomUUID()}`;
    await this.#streams.publish(CONTENT_INVALIDATED, { id, prefix, version, mode: 'purge' }, id);
    return id;
  }

  /** Publishes anything on the stream, as the nats CLI would. */
  async publishRaw(subject: string, payload: string): Promise<void> {
    await this.#streams.publishEncoded(subject, Buffer.from(payload), randomUUID());
  }
}

type Answer = (command: PushCommand) => Promise<PushReply> | PushReply;

/** Answers every command as an edge does that had nothing to do with the key before. */
export const obedient: Answer = (command) => {
  if (command.op === 'store') return { ok: true, outcome: 'stored', transfer: command.transfer.kind, bytes: command.manifest.size };
  return { ok: true, outcome: command.op === 'remove' ? 'removed' : 'invalidated', bytes: 0 };
};

/** Never answers. */
export const hung: Answer = () => new Promise(() => {});

export class FakeEdge {
  readonly report: EdgeReport;
  readonly commands: PushCommand[] = [];
  answer: Answer;
  readonly bus: Bus;
  readonly #waiting = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;
  #unserve: () => void = () => {};

  constructor(bus: Bus, id: string, region: string, answer: Answer = obedient) {
    this.bus = bus;
    this.answer = answer;
    this.report = edgeReport({ id, instance: randomUUID(), region });
  }

  /** Serves pushes, registers and keeps its lease. */
  async join(heartbeatMs = 100): Promise<this> {
    this.#unserve = this.bus.serve(edgePush(this.report.id), (command) => {
      this.commands.push(command);
      for (const wake of this.#waiting) wake();
      return this.answer(command);
    });
    await pRetry(() => this.bus.request(controllerRegister(this.report.id), this.report, { timeoutMs: 5_000 }), {
      minTimeout: 20,
      factor: 1,
      retries: 250,
    });
    this.#timer = setInterval(() => this.beat(), heartbeatMs);
    return this;
  }

  beat(fields: Partial<EdgeReport> = {}): void {
    this.bus.publish(edgeHeartbeat(this.report.id), { ...this.report, ...fields });
  }

  /** Says goodbye, and goes on answering. */
  async leave(): Promise<void> {
    clearInterval(this.#timer);
    this.beat({ draining: true });
    await this.bus.flush();
  }

  /** Heartbeats stop without a word; requests reach nobody who answers. */
  die(): void {
    clearInterval(this.#timer);
    this.answer = hung;
  }

  /** Also its subscription is gone. */
  vanish(): void {
    this.#unserve();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#unserve();
  }

  /** Resolves with the commands when there are `count`. */
  async received(count: number): Promise<PushCommand[]> {
    while (this.commands.length < count) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
    return this.commands;
  }
}

/** Everything that comes out on `OUTCOMES`, by waiting for it. */
export class Outcomes {
  readonly distributed: ContentDistributed[] = [];
  readonly rejected: ContentRejected[] = [];
  readonly #waiting = new Set<() => void>();

  constructor(bus: Bus) {
    bus.subscribe(CONTENT_DISTRIBUTED, (message) => this.#note(() => this.distributed.push(message)));
    bus.subscribe(CONTENT_REJECTED, (message) => this.#note(() => this.rejected.push(message)));
  }

  #note(add: () => void): void {
    add();
    for (const wake of [...this.#waiting]) wake();
  }

  async #until<Value>(find: () => Value | undefined): Promise<Value> {
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
    }
  }

  of(eventId: string): Promise<ContentDistributed> {
    return this.#until(() => this.distributed.find(({ id }) => id === eventId));
  }
  rejection(eventId?: string): Promise<ContentRejected> {
    return this.#until(() => this.rejected.find(({ id }) => eventId === undefined || id === eventId));
  }
}

export async function testStage(variables: Readonly<Record<string, string>> = {}) {
  const environment = await testBroker();
  const originBus = await environment.connect('origin');
  const origin = new FakeOrigin(originBus);
  await origin.start();
  const observer = await environment.connect('observer');
  const outcomes = new Outcomes(observer);
  await observer.flush();
  const controllers: Controller[] = [];
  const edges: FakeEdge[] = [];
  const config = readConfig(controllerVariables, { ...FAST, NATS_URL: environment.url, ...variables }, ['CONTROLLER_']);
  return {
    environment,
    origin,
    outcomes,
    config,
    /** The messages that the stream OUTCOMES holds. */
    async stored(): Promise<ContentDistributed[]> {
      return new Streams(observer, silentLog).recent(STREAMS.OUTCOMES, CONTENT_DISTRIBUTED, 10_000);
    },
    /** Starts a controller and waits until it distributes. */
    async controller(): Promise<Controller> {
      const controller = await startController(config, quiet);
      controllers.push(controller);
      await controller.working;
      return controller;
    },
    async edge(id: string, region: string, answer?: Answer): Promise<FakeEdge> {
      const edge = new FakeEdge(await environment.connect(id), id, region, answer);
      edges.push(edge);
      return edge.join();
    },
    /** Resolves when every bus of the stage has its broker again. */
    async reconnected(): Promise<void> {
      for (const bus of [originBus, observer, ...edges.map((edge) => edge.bus)]) {
        if (!bus.connected) await new Promise<void>((resolve) => bus.onReconnect(resolve));
      }
    },
    /** Events that the controllers have been given and have not acknowledged, and those that wait. */
    async unacknowledged(): Promise<number> {
      const reply = await observer.connection.request('$JS.API.CONSUMER.INFO.CONTENT.controller', '', { timeout: 2_000 });
      const { num_ack_pending: given, num_pending: waiting } = reply.json<{ num_ack_pending: number; num_pending: number }>();
      return given + waiting;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(controllers.map((controller) => controller.lifecycle.stop('test over')));
      for (const edge of edges) edge.stop();
      await environment[Symbol.asyncDispose]();
    },
  };
}

const quiet = { ...silentLog, debug() {}, trace() {}, fatal() {} } as unknown as Logger;

export async function getJson<Body>(url: string): Promise<{ status: number; body: Body }> {
  const response = await fetch(url);
  return { status: response.status, body: (await response.json()) as Body };
}
