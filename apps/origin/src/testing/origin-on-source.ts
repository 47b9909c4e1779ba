/** What an origin does with content wherever that stands: one suite for all sources, seen from outside, over a real broker. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Streams } from '@sluice/bus';
import {
  type Change,
  CONTENT_REJECTED,
  CONTENT_REMOVED,
  CONTENT_UPLOADED,
  type EventSubject,
  type Manifest,
  ORIGIN_CHANGES,
  ORIGIN_FETCH,
  STREAMS,
} from '@sluice/contracts';
import { eventually, silentLog, testBroker } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import type { OriginConfig } from '../config.ts';
import { type OriginFixture, originFixture, sha256 } from './origin.fixture.ts';

const timeoutMs = 5_000;
/** A change is noticed when it has settled, or by the next listing. */
const NOTICED_MS = 15_000;

/** Where the content stands. */
export interface Place extends AsyncDisposable {
  /** Of an origin on it. */
  readonly config: Partial<OriginConfig>;
  /** Whether it is changed through the origin. */
  readonly isStore: boolean;
  put(origin: OriginFixture, path: string, content: string | Buffer): Promise<void>;
  remove(origin: OriginFixture, path: string): Promise<void>;
}

async function scene(place: Place) {
  const environment = await testBroker();
  const config = { ORIGIN_SOURCE_RESCAN_SECONDS: 1, ...place.config };
  const origin = await originFixture({ natsUrl: environment.url, config });
  const bus = await environment.connect();
  const streams = new Streams(bus, silentLog);
  const ready = () => eventually(async () => expect((await fetch(`${origin.url}/readyz`)).status).toBe(200), NOTICED_MS);
  await ready();
  const events = async <Schema extends z.ZodType>(subject: EventSubject<Schema>) => streams.recent(STREAMS.CONTENT, subject, 100);
  const resolve = async (key: string): Promise<Manifest | undefined> => {
    const answer = await bus.request(ORIGIN_FETCH, { op: 'resolve', key }, { timeoutMs });
    return answer.found ? answer.manifest : undefined;
  };
  return {
    ...{ environment, origin, bus, streams, ready, events, resolve },
    put: (path: string, content: string | Buffer) => place.put(origin, path, content),
    remove: (path: string) => place.remove(origin, path),
    /** The manifest of a key when it has this content. */
    has: (key: string, content: string | Buffer): Promise<Manifest> =>
      eventually(async () => {
        const manifest = await resolve(key);
        expect(manifest?.sha256).toBe(sha256(content));
        return manifest as Manifest;
      }, NOTICED_MS),
    read: async ({ sha256: name, size }: Manifest) =>
      Buffer.from(await bus.requestBytes(ORIGIN_FETCH, { op: 'read', sha256: name, offset: 0, length: size }, { timeoutMs })),
    feed: async (): Promise<readonly Change[]> => (await bus.request(ORIGIN_CHANGES, { region: 'US', since: 0 }, { timeoutMs })).changes,
    async [Symbol.asyncDispose]() {
      await origin[Symbol.asyncDispose]();
      await environment[Symbol.asyncDispose]();
    },
  };
}

/** `open`: a place of its own for each test, empty, whose bucket is `site`. */
export function describeOriginOn(name: string, open: () => Promise<Place>, skipped = false): void {
  describe.skipIf(skipped)(`an origin on ${name}`, () => {
    const law = (title: string, check: (at: Awaited<ReturnType<typeof scene>>, place: Place) => Promise<void>) =>
      test(title, { timeout: 60_000 }, async () => {
        await using place = await open();
        await using at = await scene(place);
        await check(at, place);
      });

    law('what comes is announced once, is in the feed, and is read back by its checksum and as an object', async (at) => {
      await at.put('a b/ü.txt', 'hello');
      const manifest = await at.has('site/a b/ü.txt', 'hello');
      expect(manifest).toMatchObject({ size: 5, contentType: expect.stringMatching(/^text\/plain/) });
      expect((await at.read(manifest)).toString()).toBe('hello');
      const object = await fetch(`${at.origin.url}/site/a%20b/%C3%BC.txt`);
      expect([object.status, await object.text()]).toEqual([200, 'hello']);
      const listing = await (await fetch(`${at.origin.url}/site?list-type=2`)).text();
      expect(listing).toContain('<Key>a b/ü.txt</Key>');
      expect(await at.feed()).toMatchObject([{ op: 'store', manifest: { key: 'site/a b/ü.txt', version: manifest.version } }]);
      const uploads = await eventually(async () => {
        const found = await at.events(CONTENT_UPLOADED);
        expect(found.length).toBeGreaterThan(0);
        return found;
      });
      expect(uploads.filter(({ version }) => version === manifest.version)).toHaveLength(1);
    });

    law(
      'a change is a newer version that names the one before, a removal is announced, and what comes back is newer than both',
      async (at) => {
        const [one, two] = [Buffer.alloc(5_000, 'one '), Buffer.alloc(5_000, 'two!')];
        await at.put('file', one);
        const first = await at.has('site/file', one);
        await at.put('file', two);
        const second = await at.has('site/file', two);
        expect(second.version).toBeGreaterThan(first.version);
        const answer = await at.bus.request(ORIGIN_FETCH, { op: 'resolve', key: 'site/file' }, { timeoutMs });
        expect(answer).toMatchObject({ previous: { sha256: sha256(one) } });
        await at.remove('file');
        const removed = await eventually(async () => {
          const found = (await at.events(CONTENT_REMOVED)).at(-1);
          expect(found?.key).toBe('site/file');
          return found;
        }, NOTICED_MS);
        expect(removed?.version).toBeGreaterThan(second.version);
        expect(await at.resolve('site/file')).toBeUndefined();
        await at.put('file', one);
        expect((await at.has('site/file', one)).version).toBeGreaterThan(removed?.version ?? 0);
      },
    );

    law('announced by hand it is looked at again at once; of an unknown key that is rejected', async (at) => {
      await at.put('known', 'content');
      const { version } = await at.has('site/known', 'content');
      at.bus.connection.publish('content.uploaded', '{"id":"by-hand","key":"site/known"}');
      at.bus.connection.publish('content.uploaded', '{"id":"by-mistake","key":"site/unknown"}');
      await eventually(async () => {
        expect((await at.events(CONTENT_UPLOADED)).find(({ cause }) => cause === 'by-hand')).toMatchObject({ key: 'site/known', version });
        const [rejected] = await at.streams.recent(STREAMS.OUTCOMES, CONTENT_REJECTED, 10);
        expect(rejected).toMatchObject({ id: 'by-mistake', reason: expect.stringContaining('no object "site/unknown"') });
      });
    });

    law('a restart announces nothing again, finds what changed meanwhile, and goes on with the same feed', async (at, place) => {
      await at.put('kept', 'kept');
      await at.put('changed', 'before');
      const kept = await at.has('site/kept', 'kept');
      await at.has('site/changed', 'before');
      const { catalogId, next } = await at.bus.request(ORIGIN_CHANGES, { region: 'US', since: 0 }, { timeoutMs });
      const uploads = (await at.events(CONTENT_UPLOADED)).length;
      if (place.isStore) await at.put('changed', 'after');
      else await at.origin.restart({ beforeStart: () => at.put('changed', 'after') });
      if (place.isStore) await at.origin.restart();
      await at.ready();
      await at.has('site/changed', 'after');
      expect((await at.resolve('site/kept'))?.version).toBe(kept.version);
      const page = await at.bus.request(ORIGIN_CHANGES, { region: 'US', since: next, catalogId }, { timeoutMs });
      expect(page).toMatchObject({ reset: false, changes: [{ op: 'store', manifest: { key: 'site/changed' } }] });
      await eventually(async () => expect(await at.events(CONTENT_UPLOADED)).toHaveLength(uploads + 1));
    });

    law('an invalidation has its place in the order of versions', async (at) => {
      await at.put('a', 'a');
      const { version } = await at.has('site/a', 'a');
      const answer = await fetch(`${at.origin.url}/-/invalidations`, { method: 'POST', body: '{"prefix":"site/"}' });
      expect(answer.status).toBe(202);
      const invalidation = (await at.feed()).find(({ op }) => op === 'invalidate');
      expect(invalidation).toMatchObject({ prefix: 'site/' });
      expect((invalidation as { version: number }).version).toBeGreaterThan(version);
    });

    law(
      'of content that stands elsewhere nothing is lost with the data directory: it is found again, under greater versions',
      async (at, place) => {
        if (place.isStore) return;
        const content = Buffer.alloc(200_000, 'content ');
        await at.put('large', content);
        const before = await at.has('site/large', content);
        await at.origin.restart({ beforeStart: () => rm(join(at.origin.dir), { recursive: true }) });
        await at.ready();
        const after = await at.has('site/large', content);
        expect(after.version).toBeGreaterThanOrEqual(before.version);
        expect((await at.read({ ...after, size: 1_000 })).equals(content.subarray(0, 1_000))).toBe(true);
      },
    );

    law('the bucket of content that stands elsewhere is there before anything is in it', async (at, place) => {
      if (place.isStore) return;
      expect((await fetch(`${at.origin.url}/site`, { method: 'HEAD' })).status).toBe(200);
      expect(await (await fetch(`${at.origin.url}/`)).text()).toContain('<Name>site</Name>');
      expect(await (await fetch(`${at.origin.url}/site?list-type=2`)).text()).toContain('<KeyCount>0</KeyCount>');
      expect((await fetch(`${at.origin.url}/site/a`)).status).toBe(404);
    });

    law('content that stands elsewhere is not written here, and the refusal says where it is', async (at, place) => {
      if (place.isStore) return;
      await at.put('a', 'a');
      await at.has('site/a', 'a');
      const requests = [
        ['site/b', { method: 'PUT', body: 'b' }],
        ['site/a', { method: 'DELETE' }],
        ['site/a?uploads', { method: 'POST' }],
        ['site/a?tagging', { method: 'PUT', body: '<Tagging/>' }],
        ['other', { method: 'PUT' }],
        ['site?delete', { method: 'POST', body: '<Delete/>' }],
        ['-/rollbacks', { method: 'POST', body: '{"key":"site/a"}' }],
      ] as const;
      for (const [path, init] of requests) {
        const refused = await fetch(`${at.origin.url}/${path}`, init);
        expect([path, refused.status, await refused.text()]).toEqual([path, 405, expect.stringContaining('nothing can be written here')]);
      }
      expect((await at.resolve('site/a'))?.sha256).toBe(sha256('a'));
    });
  });
}
