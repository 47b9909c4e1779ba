/** What an edge is told by a controller and an origin that a test plays, and what must be true of it afterwards, wherever it died. */

import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Bus } from '@sluice/bus';
import { controllerRegister, edgePush, type Manifest, type PushCommand } from '@sluice/contracts';
import { createLogger } from '@sluice/runtime';
import { contentOf, eventually, sha256Of, testBroker } from '@sluice/testkit';
import { expect } from 'vitest';
import { startEdge } from '../../apps/edge/src/app.ts';
import { ScriptedOrigin } from '../../apps/edge/src/scripted-origin.fixture.ts';
import type { Operate } from './crash-points.ts';
import { CAPACITY_BYTES, edgeConfig, ID } from './edge-config.ts';
import { hurriedClock } from './hurried-clock.ts';
import { checkStoredBlobs, heldIn, query } from './stored-blobs.ts';

const STREAMED_BYTES = 1_200_000;
const ATTEMPTS = 4;
const BEHIND_MS = 1_500;

/** What the controller knows. */
export interface Told {
  /** The last change of each key that was confirmed; null: removed. */
  readonly confirmed: Record<string, { version: number; content: string | null }>;
  readonly invalidations: { prefix: string; version: number }[];
}

export function nothingTold(): Told {
  return { confirmed: {}, invalidations: [] };
}

/** The steps of the scenario with the labels that each must pass: a path that loses one of them is not tested any more. */
export const EDGE_STEPS: Readonly<Record<string, readonly string[]>> = {
  start: [
    ...[
      'BLOB_OPEN:CLEAR_INCOMING',
      'BLOB_OPEN:FORGET_UNSYNCED',
      'INDEX_OPEN:REGION',
      'INDEX_OPEN:BOOT',
      'NATS_REQUEST:controller.register',
    ],
    ...['NATS_REQUEST:origin.changes', 'INDEX_APPLY:PAGE', 'INDEX_CATCH_UP:WATERMARK'],
  ],
  'small content': ['BLOB_COMMIT:TRANSACTION', 'INDEX_APPLY:PUSH', 'NATS_REPLY:edge.push'],
  'large content': [
    ...['NATS_REQUEST:origin.fetch', 'BLOB_WRITE:CREATE', 'BLOB_WRITE:WRITE', 'BLOB_COMMIT:CREATE_DIRECTORY', 'BLOB_COMMIT:RENAME'],
    ...['BLOB_COMMIT:TRANSACTION', 'INDEX_APPLY:PUSH', 'NATS_REPLY:edge.push'],
  ],
  delta: ['NATS_REQUEST:origin.fetch', 'BLOB_COMMIT:RENAME', 'INDEX_APPLY:PUSH', 'NATS_REPLY:edge.push'],
  'same content': ['INDEX_APPLY:PUSH', 'NATS_REPLY:edge.push'],
  'streamed content': ['HTTP_DOWNLOAD:blob', 'NATS_REQUEST:origin.fetch', 'BLOB_COMMIT:RENAME', 'INDEX_APPLY:PUSH'],
  variants: ['INDEX_APPLY:PUSH', 'NATS_REQUEST:origin.fetch'],
  removal: ['INDEX_APPLY:PUSH', 'NATS_REPLY:edge.push'],
  invalidation: ['INDEX_APPLY:PUSH', 'NATS_REPLY:edge.push'],
  purge: ['INDEX_APPLY:PUSH', 'BLOB_DELETE:ROW', 'BLOB_DELETE:FILE', 'NATS_REPLY:edge.push'],
  eviction: ['BLOB_DELETE:ROW', 'BLOB_DELETE:FILE', 'INDEX_APPLY:PUSH'],
  'catch-up': ['NATS_REQUEST:origin.changes', 'INDEX_APPLY:PAGE', 'INDEX_CATCH_UP:WATERMARK', 'BLOB_COMMIT:RENAME'],
  'another catalog': ['NATS_REQUEST:origin.changes', 'INDEX_APPLY:PAGE', 'INDEX_CATCH_UP:FORGET', 'INDEX_CATCH_UP:WATERMARK'],
};

/** And those that are passed beside the steps, whenever their turn comes. */
export const EDGE_BACKGROUND: readonly string[] = ['BLOB_RANK:TRANSACTION', 'NATS_PUBLISH:edge.heartbeat'];

/** A broker with nobody on it but one edge, a controller and an origin. */
export interface Place extends AsyncDisposable {
  readonly natsUrl: string;
  readonly bus: Bus;
}

export async function openPlace(): Promise<Place> {
  const broker = await testBroker();
  const bus = await broker.connect();
  bus.serve(controllerRegister('*'), () => ({ ok: true as const, heartbeatMs: 1_000, leaseMs: 5_000 }));
  await bus.flush();
  return { natsUrl: broker.url, bus, [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose]() };
}

/** The origin, with all that it ever was: every version of every key, and null for a removal. */
export class World {
  readonly origin: ScriptedOrigin;
  readonly versions = new Map<string, Map<number, string | null>>();
  #releaseFeed: () => void = () => {};

  constructor(bus: Bus, like?: World) {
    this.origin = new ScriptedOrigin(bus);
    if (like === undefined) return;
    const { origin } = like;
    for (const [sha256, bytes] of origin.blobs) this.origin.blobs.set(sha256, bytes);
    for (const [key, manifest] of origin.current) this.origin.current.set(key, manifest);
    this.origin.changes.push(...origin.changes);
    this.origin.catalogId = origin.catalogId;
    this.origin.version = origin.version;
    for (const [key, versions] of like.versions) this.versions.set(key, new Map(versions));
  }

  #note(key: string, version: number, content: string | null): void {
    const versions = this.versions.get(key) ?? new Map<number, string | null>();
    this.versions.set(key, versions.set(version, content));
  }

  upload(key: string, bytes: Buffer, fields: Partial<Manifest> = {}): Manifest {
    const manifest = this.origin.upload(key, bytes, { contentType: 'application/octet-stream', ...fields });
    this.#note(key, manifest.version, manifest.sha256);
    return manifest;
  }
  uploadCoded(key: string, text: string): Manifest {
    const manifest = this.origin.uploadCoded(key, text);
    this.#note(key, manifest.version, manifest.sha256);
    return manifest;
  }
  remove(key: string): number {
    const version = ++this.origin.version;
    this.#forget(key);
    this.origin.changes.push({ op: 'remove', key, version, reason: 'deleted' });
    this.#note(key, version, null);
    return version;
  }
  #forget(key: string): void {
    this.origin.current.delete(key);
    const place = this.origin.changes.findIndex((change) => change.op === 'store' && change.manifest.key === key);
    if (place !== -1) this.origin.changes.splice(place, 1);
  }
  invalidate(prefix: string, mode: 'stale' | 'purge'): number {
    const version = ++this.origin.version;
    this.origin.changes.push({ op: 'invalidate', prefix, version, mode });
    return version;
  }

  /** Another catalog of the same content but one key, of which it knows nothing. */
  beginAnew(without: string): void {
    const { origin } = this;
    origin.catalogId = 'catalog-2';
    const before = [...origin.current.values()];
    origin.current.clear();
    origin.changes.splice(0);
    this.#note(without, ++origin.version, null);
    for (const { key, sha256, version: _old, ...fields } of before) {
      if (key !== without) this.upload(key, Buffer.from(origin.blobs.get(sha256) as Uint8Array), fields);
    }
  }

  /** Nobody is told what has changed, until {@link releaseFeed}. */
  holdFeed(): void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#releaseFeed = resolve;
    this.origin.interfere = (what) => (what === 'changes' ? promise : undefined);
  }
  releaseFeed(): void {
    this.#releaseFeed();
  }
}

/** Starts and stops the edge: in this process or as one of its own. */
export interface Host {
  /** @returns where it serves */
  start(): Promise<string>;
  stop(): Promise<void>;
  /** Rejects when it has died. */
  readonly died: Promise<never>;
}

export function hostHere(dir: string, natsUrl: string, operate?: Operate): Host {
  let running: Awaited<ReturnType<typeof startEdge>> | undefined;
  return {
    async start() {
      const open = () =>
        startEdge(edgeConfig(dir, natsUrl), createLogger('edge', 'silent'), { clock: hurriedClock, ...(operate && { operate }) });
      // One that cannot open its directory says so and is started again.
      running = await open().catch(open);
      return `http://127.0.0.1:${running.port}`;
    },
    async stop() {
      if (running !== undefined) expect(await running.lifecycle.stop('test')).toBe('stopped');
      running = undefined;
    },
    died: new Promise(() => {}),
  };
}

async function caughtUp(url: string): Promise<void> {
  await eventually(async () => expect((await fetch(`${url}/readyz`)).status).toBe(200));
}

/** A controller that tries a command as often as the real one, and notes what was confirmed. */
class Pushing {
  readonly #bus: Bus;
  readonly told: Told;
  readonly #host: Host;

  constructor(bus: Bus, told: Told, host: Host) {
    this.#bus = bus;
    this.told = told;
    this.#host = host;
  }

  async #push(command: object): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const reply = this.#bus.request(edgePush(ID), { eventId: 'e', ...command } as PushCommand, { timeoutMs: 2_000 });
      reply.catch(() => {});
      const failure = await Promise.race([reply, this.#host.died]).then(
        () => undefined,
        (error: Error) => error,
      );
      if (failure === undefined) return;
      if (attempt === ATTEMPTS) throw failure;
      await pause(20);
    }
  }

  async store(manifest: Manifest, transfer: object = { kind: 'full' }): Promise<void> {
    await this.#push({ op: 'store', manifest, transfer });
    this.told.confirmed[manifest.key] = { version: manifest.version, content: manifest.sha256 };
  }
  async remove(key: string, version: number): Promise<void> {
    await this.#push({ op: 'remove', key, version, reason: 'deleted' });
    this.told.confirmed[key] = { version, content: null };
  }
  async invalidate(prefix: string, version: number, mode: 'stale' | 'purge'): Promise<void> {
    await this.#push({ op: 'invalidate', prefix, version, mode });
    this.told.invalidations.push({ prefix, version });
  }
}

/**
 * One of everything that an edge is told. `step` is called as each begins. `enough`: whether the edge need not be started again with more to tell, because it will be anyway, to be
 * checked.
 */
export async function edgeScenario(
  { bus, world, host, told, dir }: { bus: Bus; world: World; host: Host; told: Told; dir: string },
  step: (name: string) => void = () => {},
  enough: () => boolean = () => false,
): Promise<void> {
  const pushing = new Pushing(bus, told, host);
  const [small, large] = [contentOf(1_000, 1), contentOf(100_000, 2)];
  const changed = Buffer.from(large);
  changed.fill('changed', 50_000, 50_100);
  world.upload('old/there', contentOf(500, 7));
  await caughtUp(await host.start());
  step('small content');
  await pushing.store(world.upload('site/a', small), { kind: 'full', content: small.toString('base64') });
  step('large content');
  await pushing.store(world.upload('site/b', large));
  step('delta');
  await pushing.store(world.upload('site/b', changed), { kind: 'delta', base: sha256Of(large) });
  step('same content');
  await pushing.store(world.upload('site/c', changed), { kind: 'same' });
  step('streamed content');
  await pushing.store(world.upload('big/1', contentOf(STREAMED_BYTES, 3)));
  step('variants');
  const coded = world.uploadCoded('site/t.txt', 'the same again and again. '.repeat(200));
  await pushing.store(coded);
  await broughtBehind(
    dir,
    (coded.variants ?? []).map(({ sha256 }) => sha256),
  );
  step('removal');
  await pushing.remove('site/a', world.remove('site/a'));
  step('invalidation');
  await pushing.invalidate('site/', world.invalidate('site/', 'stale'), 'stale');
  step('purge');
  await pushing.invalidate('big/1', world.invalidate('big/1', 'purge'), 'purge');
  step('eviction');
  await pushing.store(world.upload('big/2', contentOf(STREAMED_BYTES, 4)));
  await pushing.store(world.upload('big/3', contentOf(STREAMED_BYTES, 5)));
  await host.stop();
  if (enough()) return;
  step('catch-up');
  world.remove('site/c');
  world.invalidate('site/', 'stale');
  const brought = world.upload('site/d', contentOf(80_000, 6));
  await caughtUp(await host.start());
  await broughtBehind(dir, [brought.sha256]);
  await host.stop();
  if (enough()) return;
  step('another catalog');
  world.beginAnew('site/d');
  await caughtUp(await host.start());
  await host.stop();
}

/** Waits for what comes in the background. What fails there is tried again when the edge next catches up, and that is not waited for. */
async function broughtBehind(dir: string, checksums: readonly string[]): Promise<void> {
  await eventually(() => expect(heldIn(join(dir, 'blobs'))).toEqual(expect.arrayContaining([...checksums])), BEHIND_MS).catch(() => {});
}

interface EntryRow {
  readonly key: string;
  readonly version: number;
  readonly manifest: string | null;
  readonly sha256: string | null;
}
function entriesOf(dir: string): EntryRow[] {
  return query<EntryRow>(join(dir, 'index.db'), 'SELECT key, version, manifest, sha256 FROM entries ORDER BY key');
}

/** Starts an edge on what another one left, and holds it against what the controller was told and against the origin. */
export async function checkEdge(dir: string, natsUrl: string, told: Told, world: World): Promise<void> {
  world.holdFeed();
  world.origin.counts.changes = 0;
  const host = hostHere(dir, natsUrl);
  const url = await host.start();
  try {
    // It can reach the origin, and has been told nothing yet: what it knows is what it remembers.
    await eventually(() => expect(world.origin.counts.changes).toBeGreaterThan(0));
    const held = new Map(entriesOf(dir).map((entry) => [entry.key, entry]));
    for (const [key, { version }] of Object.entries(told.confirmed)) {
      // A tombstone is forgotten when everything up to it is known.
      const known = held.get(key)?.version ?? (await watermarkOf(dir));
      expect(known, `${key} is known`).toBeGreaterThanOrEqual(version);
      await checkServed(url, key, version, world, mustAsk(held.get(key), told));
    }
    world.releaseFeed();
    await caughtUp(url);
    const current = [...world.origin.current.values()];
    await eventually(() => {
      expect(entriesOf(dir).map(({ key, version, sha256 }) => ({ key, version, sha256 }))).toEqual(
        current.map(({ key, version, sha256 }) => ({ key, version, sha256 })).sort((one, other) => (one.key < other.key ? -1 : 1)),
      );
    });
    checkIndex(dir, world);
    for (const { key, version } of current) await checkServed(url, key, version, world, false);
    for (const key of world.versions.keys())
      if (!world.origin.current.has(key)) expect((await fetch(`${url}/${key}`)).status, key).toBe(404);
  } finally {
    world.releaseFeed();
    await host.stop();
  }
  await eventually(() => checkStoredBlobs(join(dir, 'blobs')));
  const [total] = query<{ bytes: number }>(join(dir, 'blobs', 'blobs.db'), 'SELECT coalesce(sum(size), 0) AS bytes FROM blobs');
  expect(total?.bytes).toBeLessThanOrEqual(CAPACITY_BYTES);
}

async function watermarkOf(dir: string): Promise<number> {
  const [row] = query<{ value: string }>(join(dir, 'index.db'), "SELECT value FROM meta WHERE name = 'watermark'");
  return Number(row?.value ?? 0);
}

/** Whether what is held is covered by an invalidation that was confirmed. */
function mustAsk(entry: EntryRow | undefined, { invalidations }: Told): boolean {
  if (entry === undefined || entry.manifest === null) return false;
  return invalidations.some(({ prefix, version }) => entry.key.startsWith(prefix) && entry.version <= version);
}

/** What is served is a version of the key, none before `atLeast`, and the origin was asked where it has to be. */
async function checkServed(url: string, key: string, atLeast: number, world: World, mustAsk: boolean): Promise<void> {
  const asked = world.origin.counts.resolve;
  const response = await fetch(`${url}/${key}`);
  const body = Buffer.from(await response.arrayBuffer());
  expect([200, 404], key).toContain(response.status);
  const allowed = [...(world.versions.get(key) ?? [])].flatMap(([version, content]) => (version >= atLeast ? [content] : []));
  expect(allowed, key).toContain(response.status === 404 ? null : sha256Of(body));
  if (mustAsk) expect(world.origin.counts.resolve, `${key} is covered by an invalidation`).toBeGreaterThan(asked);
}

/** Everything up to the newest version is known, and nothing is kept that only late messages needed. */
function checkIndex(dir: string, { origin }: World): void {
  const path = join(dir, 'index.db');
  expect(query(path, "SELECT value FROM meta WHERE name = 'watermark'")).toEqual([{ value: String(origin.version) }]);
  for (const left of [
    'SELECT * FROM invalidations',
    'SELECT * FROM entry_tags WHERE key NOT IN (SELECT key FROM entries)',
    'SELECT * FROM entry_variants WHERE key NOT IN (SELECT key FROM entries)',
  ]) {
    expect(query(path, left), left).toEqual([]);
  }
  expect(query(path, "SELECT value FROM meta WHERE name = 'objects'")).toEqual([{ value: String(origin.current.size) }]);
}
