/** What a client of an origin does and is told, and what must be true of the origin afterwards, wherever it died. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Bus } from '@sluice/bus';
import { contentOf, eventually, sha256Of } from '@sluice/testkit';
import { expect } from 'vitest';
import { type RunningOrigin, startOrigin } from '../../apps/origin/src/app.ts';
import { originConfig, silent } from '../../apps/origin/src/testing/origin.fixture.ts';
import type { Operate } from './crash-points.ts';
import { hurriedClock } from './hurried-clock.ts';
import { checkStoredBlobs, heldIn, query } from './stored-blobs.ts';

/** Half of the contents go into the database, half into files. */
const SMALL = [1, 2, 3, 4].map((seed) => contentOf(1_000, seed)) as [Buffer<ArrayBuffer>, ...Buffer<ArrayBuffer>[]];
const LARGE = [5, 6, 7].map((seed) => contentOf(100_000, seed)) as [Buffer<ArrayBuffer>, ...Buffer<ArrayBuffer>[]];
/** Tries of one request: each scenario has one failure. */
const ATTEMPTS = 4;

/** SHA-256 of a content; null: there is no such key. */
type Content = string | null;

/** What a client knows. */
export interface Told {
  /** The last change of each key that was confirmed. */
  readonly confirmed: Record<string, { version: number; content: Content }>;
  /** What requests without an answer, or with a failure, may have made of a key. */
  readonly unclear: Record<string, Content[]>;
  /** The ids of the events of all that was confirmed. */
  readonly events: string[];
  readonly invalidations: number[];
  /** An upload in parts of which at least these were confirmed, and the end was not. */
  upload: { readonly id: string; readonly etags: string[]; readonly content: string } | undefined;
}

export function nothingTold(): Told {
  return { confirmed: {}, unclear: {}, events: [], invalidations: [], upload: undefined };
}

/** The steps of the scenario with the labels that each must pass: a path that loses one of them is not tested any more. */
export const ORIGIN_STEPS: Readonly<Record<string, readonly string[]>> = {
  start: ['BLOB_OPEN:CLEAR_INCOMING', 'BLOB_OPEN:SYNC_DIRECTORY', 'BLOB_OPEN:FORGET_UNSYNCED'],
  'upload of a small content': ['BLOB_COMMIT:TRANSACTION', 'BLOB_COMMIT:SYNC_LOG', 'CATALOG_COMMIT:TRANSACTION'],
  'upload of a large content': [
    ...['BLOB_WRITE:CREATE', 'BLOB_WRITE:WRITE', 'BLOB_COMMIT:SYNC', 'BLOB_COMMIT:CREATE_DIRECTORY', 'BLOB_COMMIT:RENAME'],
    ...['BLOB_COMMIT:SYNC_DIRECTORY', 'BLOB_COMMIT:TRANSACTION', 'BLOB_COMMIT:SYNC_LOG', 'CATALOG_COMMIT:TRANSACTION'],
  ],
  'upload of the same content': ['BLOB_COMMIT:STAT', 'BLOB_COMMIT:DROP_TEMPORARY', 'CATALOG_COMMIT:TRANSACTION'],
  copy: ['CATALOG_COMMIT:TRANSACTION'],
  'upload in parts': ['BLOB_COMMIT:RENAME', 'CATALOG_COMMIT:TRANSACTION'],
  'end of an upload in parts': ['BLOB_COMMIT:RENAME', 'CATALOG_COMMIT:TRANSACTION'],
  'newer versions': ['BLOB_COMMIT:TRANSACTION', 'CATALOG_COMMIT:TRANSACTION'],
  rollback: ['CATALOG_COMMIT:TRANSACTION'],
  invalidation: ['CATALOG_COMMIT:TRANSACTION'],
  delete: ['CATALOG_COMMIT:TRANSACTION'],
  'refused upload': ['BLOB_WRITE:DISCARD'],
};

/** And those that are passed beside the steps, whenever their turn comes. */
export const ORIGIN_BACKGROUND: readonly string[] = [
  ...['STREAM_PUBLISH:content.uploaded', 'STREAM_PUBLISH:content.invalidated', 'STREAM_PUBLISH:content.removed'],
  ...['STREAM_DELIVER:origin-intake', 'STREAM_ACK:origin-intake', 'BLOB_DELETE:ROW', 'BLOB_DELETE:FILE'],
];

/** A client that goes on after a failure, and notes what it was told. */
export class Client {
  readonly told: Told;
  readonly #url: string;

  constructor(url: string, told: Told) {
    this.#url = url;
    this.told = told;
  }

  /** The first answer that is no failure of the origin's. @throws when there is none, or the connection breaks */
  async #ask(path: string, init: RequestInit): Promise<Response> {
    for (let attempt = 1; ; attempt++) {
      const response = await fetch(`${this.#url}${path}`, init);
      if (response.status < 500) return response;
      const said = await response.text();
      if (attempt === ATTEMPTS) throw new Error(`${init.method} ${path}: ${response.status} ${said}`);
    }
  }

  /** A request that makes `content` of a key. Until it is answered nobody knows whether it did. */
  async change(key: string, content: Content, path: string, init: RequestInit): Promise<number> {
    const unclear = this.told.unclear[key] ?? [];
    this.told.unclear[key] = [...unclear, content];
    const response = await this.#ask(path, init);
    expect(response.ok, `${init.method} ${path}: ${response.status}`).toBe(true);
    const text = await response.text();
    const version = this.#noteEvent(response, text);
    this.told.confirmed[key] = { version, content };
    this.told.unclear[key] = [];
    return version;
  }

  #noteEvent(response: Response, text: string): number {
    const rolledBack = text.startsWith('{"rolledBack"') ? JSON.parse(text).rolledBack[0] : undefined;
    const id = rolledBack?.id ?? response.headers.get('x-sluice-event-id');
    const version = rolledBack?.version ?? Number(response.headers.get('x-sluice-version'));
    expect(id).toBeTruthy();
    this.told.events.push(id);
    return version;
  }

  put(key: string, bytes: Buffer<ArrayBuffer>, headers: Record<string, string> = {}): Promise<number> {
    return this.change(key, sha256Of(bytes), `/${key}`, { method: 'PUT', body: bytes, headers });
  }

  async invalidate(prefix: string): Promise<void> {
    const response = await this.#ask('/-/invalidations', { method: 'POST', body: JSON.stringify({ prefix }) });
    expect(response.status).toBe(202);
    this.told.invalidations.push(this.#noteEvent(response, await response.text()));
  }

  /** Leaves it open. */
  async putInParts(key: string, parts: readonly Buffer<ArrayBuffer>[]): Promise<void> {
    const created = await (await this.#ask(`/${key}?uploads`, { method: 'POST' })).text();
    const id = /<UploadId>(\w+)</.exec(created)?.[1] as string;
    const upload = { id, etags: [] as string[], content: sha256Of(Buffer.concat(parts)) };
    for (const [position, body] of parts.entries()) {
      const answer = await this.#ask(`/${key}?uploadId=${id}&partNumber=${position + 1}`, { method: 'PUT', body });
      expect(answer.status).toBe(200);
      upload.etags.push(answer.headers.get('etag') as string);
    }
    this.told.upload = upload;
  }

  /** May be asked again: the answer is remembered. */
  async completeUpload(key: string): Promise<void> {
    const { id, etags, content } = this.told.upload as NonNullable<Told['upload']>;
    const parts = etags.map((etag, position) => `<Part><PartNumber>${position + 1}</PartNumber><ETag>${etag}</ETag></Part>`);
    const body = `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`;
    await this.change(key, content, `/${key}?uploadId=${id}`, { method: 'POST', body });
    this.told.upload = undefined;
  }
}

/** One of everything that an origin with a store of its own does. `step` is called as each begins. */
export async function originScenario(client: Client, dir: string, step: (name: string) => void = () => {}): Promise<void> {
  step('upload of a small content');
  const first = await client.put('site/a', SMALL[0]);
  step('upload of a large content');
  await client.put('site/b', LARGE[0]);
  step('upload of the same content');
  await client.put('site/c', LARGE[0]);
  step('copy');
  await client.change('site/d', sha256Of(LARGE[0]), '/site/d', { method: 'PUT', headers: { 'x-amz-copy-source': '/site/b' } });
  step('upload in parts');
  await client.putInParts('site/m', [LARGE[1] as Buffer<ArrayBuffer>, SMALL[3] as Buffer<ArrayBuffer>]);
  step('end of an upload in parts');
  await client.completeUpload('site/m');
  step('newer versions');
  await client.put('site/a', SMALL[1] as Buffer<ArrayBuffer>);
  step('rollback');
  const rollback = { key: 'site/a', to: first };
  await client.change('site/a', sha256Of(SMALL[0]), '/-/rollbacks', { method: 'POST', body: JSON.stringify(rollback) });
  for (const bytes of [SMALL[2], LARGE[2], SMALL[0]]) await client.put('site/a', bytes as Buffer<ArrayBuffer>);
  step('invalidation');
  await client.invalidate('site/');
  step('delete');
  await client.change('site/c', null, '/site/c', { method: 'DELETE' });
  step('refused upload');
  const refused = contentOf(100_000, 99);
  await expect(client.put('site/e', refused, { 'x-amz-content-sha256': sha256Of(SMALL[0]) })).rejects.toThrow(': 400');
  client.told.unclear['site/e'] = [];
  await eventually(() => expect(outboxOf(dir)).toEqual([]));
}

/** Waits until all events are on the stream and no bytes are left that nothing names. */
export async function settled(dir: string): Promise<void> {
  await eventually(() => {
    expect(outboxOf(dir)).toEqual([]);
    expect(heldIn(join(dir, 'blobs'))).toEqual(referencedIn(dir));
  });
}

function outboxOf(dir: string): string[] {
  return query<{ id: string }>(join(dir, 'catalog.db'), 'SELECT event_id AS id FROM outbox').map(({ id }) => id);
}

/** The bytes that the catalog names. */
function referencedIn(dir: string): string[] {
  const sql = `
    SELECT sha256 FROM objects UNION SELECT previous_sha256 FROM objects UNION SELECT sha256 FROM history UNION SELECT patch_sha256 FROM patches
    UNION SELECT variant_sha256 FROM variants UNION SELECT sha256 FROM multipart_parts ORDER BY 1`;
  return query<{ sha256: string | null }>(join(dir, 'catalog.db'), sql).flatMap(({ sha256 }) => sha256 ?? []);
}

/** Every event that comes out, by its id. */
export class EventWatch {
  readonly seen = new Set<string>();
  /** Events that were told in two ways. */
  readonly contradictions: string[] = [];
  readonly #told = new Map<string, string>();
  readonly #heard: string[] = [];

  constructor(bus: Bus) {
    bus.connection.subscribe('content.*', {
      callback: (_error, message) => {
        const { id, key } = message.json<{ id: string; key?: string }>();
        this.#heard.push(id);
        // Once or more, and always the same. Copies of one catalog that run side by side may give the same id to different keys.
        const name = `${id} ${key}`;
        if ((this.#told.get(name) ?? message.string()) !== message.string()) this.contradictions.push(name);
        this.#told.set(name, message.string());
        this.seen.add(id);
      },
    });
  }

  /** A place to ask {@link since} from. */
  get now(): number {
    return this.#heard.length;
  }
  since(place: number): ReadonlySet<string> {
    return new Set(this.#heard.slice(place));
  }
}

export async function openOrigin(dir: string, natsUrl: string, operate?: Operate): Promise<{ origin: RunningOrigin; url: string }> {
  const seams = { partMinBytes: 1, clock: hurriedClock, ...(operate && { operate }) };
  const origin = await startOrigin(originConfig(dir, natsUrl, { ORIGIN_CODING_THREADS: 0 }), silent, seams);
  return { origin, url: `http://127.0.0.1:${origin.port}` };
}

/** Starts an origin on what another one left, and holds it against what its client was told. */
export async function checkOrigin(dir: string, natsUrl: string, told: Told, events: EventWatch): Promise<void> {
  const place = events.now;
  const waiting = existsSync(join(dir, 'catalog.db')) ? outboxOf(dir) : [];
  const { origin, url } = await openOrigin(dir, natsUrl);
  try {
    // Every event of what was confirmed is out, or waits and comes now.
    for (const id of told.events) expect(waiting.includes(id) || events.seen.has(id), `event ${id}`).toBe(true);
    await eventually(() => expect([...events.since(place)]).toEqual(expect.arrayContaining(waiting)));
    expect(events.contradictions).toEqual([]);
    await checkKeys(dir, url, told);
    const invalidations = query<{ version: number }>(join(dir, 'catalog.db'), 'SELECT version FROM invalidations');
    expect(invalidations.map(({ version }) => version)).toEqual(expect.arrayContaining(told.invalidations));
    const client = new Client(url, structuredClone(told));
    if (told.upload !== undefined) await client.completeUpload('site/m');
    const newest = Math.max(0, ...told.invalidations, ...Object.values(told.confirmed).map(({ version }) => version));
    expect(await client.put('site/afterwards', SMALL[1] as Buffer<ArrayBuffer>)).toBeGreaterThan(newest);
    await settled(dir);
  } finally {
    await origin.stop();
  }
  checkStoredBlobs(join(dir, 'blobs'));
}

async function checkKeys(dir: string, url: string, told: Told): Promise<void> {
  const sql = 'SELECT key, version, sha256 AS content FROM objects UNION ALL SELECT key, version, NULL FROM tombstones';
  const rows = query<{ key: string; version: number; content: Content }>(join(dir, 'catalog.db'), sql);
  const found = new Map(rows.map((row) => [row.key, row]));
  for (const key of new Set([...Object.keys(told.confirmed), ...Object.keys(told.unclear)])) {
    const { version = 0, content = null } = told.confirmed[key] ?? {};
    const now = found.get(key) ?? { version: 0, content: null };
    expect(now.version, key).toBeGreaterThanOrEqual(version);
    // Nothing but what was confirmed, or may have been done since.
    const allowed: Content[] = now.version === version ? [content] : (told.unclear[key] ?? []);
    expect(allowed, key).toContain(now.content);
    const response = await fetch(`${url}/${key}`);
    const body = Buffer.from(await response.arrayBuffer());
    expect(response.status === 404 ? null : sha256Of(body), key).toBe(now.content);
  }
}
