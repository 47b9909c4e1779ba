/** Two origins on one bucket with everything around them as processes, somebody who writes into the bucket, and readers at every edge. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import { Bus, Streams } from '@sluice/bus';
import {
  CONTENT_DISTRIBUTED,
  CONTENT_REMOVED,
  CONTENT_UPLOADED,
  type ContentDistributed,
  ORIGIN_CHANGES,
  ORIGIN_FETCH,
  STREAMS,
} from '@sluice/contracts';
import { type Member, Stack } from '@sluice/stack';
import { eventually, silentLog, temporaryDirectory } from '@sluice/testkit';
import PQueue from 'p-queue';
import { expect } from 'vitest';
import { s3BucketFixture } from '../../apps/origin/src/testing/s3-bucket.fixture.ts';
import type { S3Account } from '../../apps/origin/src/testing/s3-server.fixture.ts';
import { bucketProxy } from './bucket-proxy.ts';
import { Readers, type States } from './readers.ts';

export const EDGES = [
  { id: 'us-1', region: 'US' },
  { id: 'us-2', region: 'US' },
  { id: 'in-1', region: 'IN' },
];
export const CATCH_UP_MS = 5_000;
/** Redelivered to another origin when the first has died with it, and tried again by the controller, on a machine that has others to serve. */
const DISTRIBUTED_MS = 60_000;
const RECENT_MAX = 2_000;
const NOTIFICATIONS = 's3.events';
const RESCAN_SECONDS = 10;
/** What nobody was told of is found by the next listing. */
const FOUND_MS = 2 * RESCAN_SECONDS * 1000 + 2 * CATCH_UP_MS;
const timeoutMs = 5_000;

export type Scene = Awaited<ReturnType<typeof scene>>;

export interface SceneOptions {
  /** What is in the bucket before anybody looks. */
  readonly initial?: Readonly<Record<string, string | Buffer>>;
  readonly origins?: number;
  readonly edges?: typeof EDGES;
  readonly env?: Readonly<Record<string, string>>;
}

export async function scene(server: S3Account, { initial = {}, origins = 2, edges = EDGES, env = {} }: SceneOptions = {}) {
  const cleanup = new AsyncDisposableStack();
  try {
    const dir = cleanup.use(await temporaryDirectory());
    const bucket = cleanup.use(await s3BucketFixture(server));
    const proxy = cleanup.use(await bucketProxy(server.endpoint));
    const states = new Map<string, States>();
    const put = async (path: string, content: string | Buffer): Promise<void> => {
      const key = `site/${path}`;
      const bytes = Buffer.from(content);
      const before = states.get(key) ?? [undefined];
      states.set(key, before);
      if (before.at(-1)?.equals(bytes) !== true) before.push(bytes);
      await bucket.put(path, bytes, { ContentType: path.endsWith('.html') ? 'text/html' : 'application/octet-stream' });
    };
    const uploads = new PQueue({ concurrency: 16 });
    await uploads.addAll(
      Object.entries(initial).map(
        ([path, content]) =>
          () =>
            put(path, content),
      ),
    );
    const stack = cleanup.use(
      await Stack.start({
        dataDir: join(dir.path, 'stack'),
        ...{ edges, origins, readyTimeoutMs: 150_000 },
        env: {
          origin: {
            ORIGIN_SOURCE: 's3',
            ORIGIN_SOURCE_BUCKET: 'site',
            ORIGIN_SOURCE_S3_ENDPOINT: proxy.endpoint,
            ORIGIN_SOURCE_S3_BUCKET: bucket.name,
            ORIGIN_SOURCE_S3_ACCESS_KEY_ID: server.accessKeyId,
            ORIGIN_SOURCE_S3_SECRET_ACCESS_KEY: server.secretAccessKey,
            ORIGIN_SOURCE_S3_NOTIFICATIONS: NOTIFICATIONS,
            ORIGIN_SOURCE_RESCAN_SECONDS: String(RESCAN_SECONDS),
            ...env,
          },
          edge: { EDGE_CATCH_UP_INTERVAL_MS: String(CATCH_UP_MS) },
        },
      }),
    );
    const bus = await Bus.connect({ servers: [stack.natsUrl], name: 'test', log: silentLog });
    cleanup.defer(() => bus.close());
    const streams = new Streams(bus, silentLog);
    const readers = new Readers(states);
    cleanup.defer(() => readers.stop());
    let announced = 0;
    return {
      ...{ stack, bucket, proxy, bus, streams, states, readers, put },
      async remove(path: string): Promise<void> {
        states.get(`site/${path}`)?.push(undefined);
        await bucket.client.send(new DeleteObjectCommand({ Bucket: bucket.name, Key: path }));
      },
      /** Tells of a change, as whoever made it. Returns the request's id. */
      async announce(path: string): Promise<string> {
        announced += 1;
        const id = `test-${announced}`;
        await eventually(() => streams.publish(CONTENT_UPLOADED, { id, key: `site/${path}` }, id), 20_000);
        return id;
      },
      /** Tells of a change as the object store does: nobody answers, and one that gets lost is not sent again. */
      notify(path: string): void {
        const s3 = { bucket: { name: bucket.name }, object: { key: encodeURIComponent(path) } };
        const record = { eventVersion: '2.1', eventSource: 'aws:s3', eventName: 'ObjectCreated:Put', s3 };
        bus.connection.publish(NOTIFICATIONS, JSON.stringify({ Records: [record] }));
      },
      /** The outcome of the announcement that a request came to. */
      distributed: (cause: string): Promise<ContentDistributed> =>
        eventually(async () => {
          const uploads = await streams.recent(STREAMS.CONTENT, CONTENT_UPLOADED, RECENT_MAX);
          const event = uploads.find((each) => each.cause === cause);
          expect(event, `the announcement that answers ${cause}`).toBeDefined();
          return outcomeOf(streams, event?.id as string);
        }, DISTRIBUTED_MS),
      /** The outcome of the newest removal of a key. */
      removalDistributed: (path: string): Promise<ContentDistributed> =>
        eventually(async () => {
          const removal = (await streams.recent(STREAMS.CONTENT, CONTENT_REMOVED, RECENT_MAX)).findLast(
            ({ key }) => key === `site/${path}`,
          );
          expect(removal, `the removal of ${path}`).toBeDefined();
          return outcomeOf(streams, removal?.id as string);
        }, DISTRIBUTED_MS),
      /** What an edge serves of a key now is the newest that was written. */
      servesNewest: (edge: Member, path: string): Promise<void> =>
        eventually(async () => {
          const newest = states.get(`site/${path}`)?.at(-1);
          const response = await fetch(`${edge.url}/site/${path}`);
          const body = Buffer.from(await response.arrayBuffer());
          expect([edge.name, path, response.status]).toEqual([edge.name, path, newest === undefined ? 404 : 200]);
          if (newest !== undefined) expect(newest.equals(body), `${edge.name} serves the newest ${path}`).toBe(true);
        }, FOUND_MS),
      resolve: (path: string) => bus.request(ORIGIN_FETCH, { op: 'resolve', key: `site/${path}` }, { timeoutMs }),
      feed: (since = 0, catalogId?: string) =>
        eventually(() => bus.request(ORIGIN_CHANGES, { region: 'US', since, ...(catalogId && { catalogId }) }, { timeoutMs }), 30_000),
      [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
    };
  } catch (error) {
    await cleanup.disposeAsync();
    throw error;
  }
}

async function outcomeOf(streams: Streams, id: string): Promise<ContentDistributed> {
  const outcome = (await streams.recent(STREAMS.OUTCOMES, CONTENT_DISTRIBUTED, RECENT_MAX)).find((each) => each.id === id);
  expect(outcome, `the outcome of ${id}`).toBeDefined();
  return outcome as ContentDistributed;
}

/** The sum of a metric over its labels, of those that `filter` names. */
export async function metric({ url }: Member, name: string, filter = ''): Promise<number> {
  const lines = (await (await fetch(`${url}/metrics`)).text()).split('\n');
  const values = lines.filter((line) => line.startsWith(name) && line.includes(filter) && /^[{ ]/.test(line.slice(name.length)));
  return values.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/** How often a member has logged a sentence. */
export async function logged({ logFile }: Member, sentence: string): Promise<number> {
  return (await readFile(logFile, 'utf8')).split(sentence).length - 1;
}

/** `size` bytes of text that compress, of which little differs between two versions. */
export function page(size: number, version: number): Buffer {
  const lines = Array.from(
    { length: Math.ceil(size / 60) },
    (_, line) => `<p>${line % 97 === version % 97 ? `version ${version}` : 'the same'} ${line * 2_654_435_761}</p>\n`,
  );
  return Buffer.from(lines.join('').slice(0, size));
}
