/** An edge as it runs, between a real broker and an origin that a test holds in its hands. */
import { rm } from 'node:fs/promises';
import type { Bus } from '@sluice/bus';
import { edgePush, type Manifest, type PushCommand } from '@sluice/contracts';
import { createLogger, type Logger, readConfig, systemClock } from '@sluice/runtime';
import { eventually, temporaryDirectory, testBroker } from '@sluice/testkit';
import { expect } from 'vitest';
import { type RunningEdge, startEdge } from './app.ts';
import { edgeVariables } from './config.ts';
import { ScriptedOrigin } from './scripted-origin.fixture.ts';

/** An edge in this process, a scripted origin, and a test that plays the controller. */
export class Scene implements AsyncDisposable {
  readonly bus: Bus;
  readonly origin: ScriptedOrigin;
  readonly #broker: Awaited<ReturnType<typeof testBroker>>;
  readonly #dir: Awaited<ReturnType<typeof temporaryDirectory>>;
  /** Of the edge, from its next start on. */
  readonly variables: Record<string, string>;
  edge: RunningEdge | undefined;
  /** What the edge has logged as errors: fields and message. */
  readonly failures: unknown[][] = [];
  readonly #said: { level: string; message: unknown }[] = [];
  /** How far the edge's clock is ahead of the machine's. */
  aheadMs = 0;

  private constructor(broker: Scene['_broker'], dir: Scene['_dir'], bus: Bus, variables: Record<string, string>) {
    this.#broker = broker;
    this.#dir = dir;
    this.bus = bus;
    this.origin = new ScriptedOrigin(bus);
    this.variables = { ...variables };
  }
  declare readonly _broker: Awaited<ReturnType<typeof testBroker>>;
  declare readonly _dir: Awaited<ReturnType<typeof temporaryDirectory>>;

  static async start(variables: Record<string, string> = {}): Promise<Scene> {
    const broker = await testBroker();
    const scene = new Scene(broker, await temporaryDirectory(), await broker.connect(), variables);
    await scene.origin.start();
    await scene.startEdge();
    return scene;
  }

  /** Starts the edge on the scene's directory and waits until it has caught up. */
  async startEdge(): Promise<void> {
    const config = readConfig(
      edgeVariables,
      {
        NATS_URL: this.#broker.url,
        EDGE_ID: 'us-1',
        EDGE_PORT: '0',
        EDGE_DATA_DIR: this.#dir.path,
        EDGE_CATCH_UP_INTERVAL_MS: '600000',
        // On this thread, so that a test can set its clock.
        EDGE_SERVING_THREADS: '0',
        ...this.variables,
      },
      [],
    );
    const clock = { ...systemClock, nowMs: () => Date.now() + this.aheadMs };
    const note = (level: string) => (_fields: unknown, message: unknown) => void this.#said.push({ level, message });
    const log: Logger = Object.assign(Object.create(createLogger('edge', 'silent')), {
      error: (...said: unknown[]) => this.failures.push(said),
      info: note('info'),
      warn: note('warn'),
    });
    this.edge = await startEdge(config, log, { clock });
    await eventually(async () => expect((await fetch(this.url('readyz'))).status).toBe(200));
  }
  async stopEdge(): Promise<void> {
    await this.edge?.lifecycle.stop('test');
    this.edge = undefined;
  }
  /** Stops the edge and takes its disk away. */
  async wipeEdge(): Promise<void> {
    await this.stopEdge();
    await rm(this.#dir.path, { recursive: true });
  }
  /** The messages that the edge has logged at a level. */
  said(level: 'info' | 'warn'): unknown[] {
    return this.#said.filter((entry) => entry.level === level).map(({ message }) => message);
  }
  /** The edge's data directory. */
  get dir(): string {
    return this.#dir.path;
  }
  url(path: string): string {
    return `http://127.0.0.1:${this.edge?.port}/${path}`;
  }
  push(command: object) {
    return this.bus.request(edgePush('us-1'), { eventId: 'e', ...command } as PushCommand, { timeoutMs: 10_000 });
  }
  pushStore(manifest: Manifest, transfer: object = { kind: 'full' }) {
    return this.push({ op: 'store', manifest, transfer });
  }
  invalidate(fields: object) {
    this.origin.version += 1;
    return this.push({ op: 'invalidate', version: this.origin.version, mode: 'stale', ...fields });
  }
  async get(key: string, headers: Record<string, string> = {}) {
    const response = await fetch(this.url(key), { headers });
    return {
      status: response.status,
      body: Buffer.from(await response.arrayBuffer()),
      headers: response.headers,
      cache: response.headers.get('cache-status'),
    };
  }
  async metric(name: string): Promise<number> {
    const text = await (await fetch(this.url('metrics'))).text();
    return Number(
      text
        .split('\n')
        .find((line) => line.startsWith(name))
        ?.split(' ')
        .at(-1),
    );
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopEdge();
    await this.#broker[Symbol.asyncDispose]();
    await this.#dir[Symbol.asyncDispose]();
  }
}
