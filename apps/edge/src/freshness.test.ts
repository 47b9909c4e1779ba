import { SluiceError } from '@sluice/contracts';
import { eventually } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { Scene } from './scene.fixture.ts';

const content = Buffer.from('content');

/** A scene whose edge holds `site/a` with these Cache-Control fields, and has just heard that it is current. */
async function sceneWith(fields: { cacheControl?: string; cdnCacheControl?: string }): Promise<Scene> {
  const scene = await Scene.start();
  await scene.pushStore(scene.origin.upload('site/a', content, fields));
  return scene;
}

test('CDN-Cache-Control governs the edge and does not reach the visitor, who gets Cache-Control', async () => {
  await using scene = await sceneWith({ cacheControl: 'no-cache', cdnCacheControl: 'max-age=600' });
  const { headers, cache } = await scene.get('site/a');
  expect([headers.get('cache-control'), headers.get('cdn-cache-control'), cache]).toEqual(['no-cache', null, 'us-1;hit;ttl=600']);
});

test('once its lifetime is over an object is confirmed by one resolve, moves no bytes, and is fresh again', async () => {
  await using scene = await sceneWith({ cacheControl: 'max-age=60' });
  scene.aheadMs = 61_000;
  const before = { ...scene.origin.counts };
  const all = await Promise.all(Array.from({ length: 20 }, () => scene.get('site/a')));
  expect(all.every(({ body }) => body.equals(content))).toBe(true);
  expect([...new Set(all.map(({ cache }) => cache))].sort()[0]).toMatch(/^us-1;fwd=stale;fwd-status=304|^us-1;hit;ttl=60/);
  expect(scene.origin.counts).toEqual({ ...before, resolve: before.resolve + 1 });
  expect((await scene.get('site/a')).cache).toBe('us-1;hit;ttl=60');
});

test('age counts from when the edge last knew that the object is current', async () => {
  await using scene = await sceneWith({});
  scene.aheadMs = 100_000;
  const { headers, cache } = await scene.get('site/a');
  expect(Number(headers.get('age'))).toBeGreaterThanOrEqual(100);
  expect(cache).toBe('us-1;hit');
});

test('no-cache is confirmed at each use, and is no answer while the origin is away', async () => {
  await using scene = await sceneWith({ cacheControl: 'no-cache' });
  expect((await scene.get('site/a')).cache).toBe('us-1;fwd=stale;fwd-status=304');
  await scene.origin.stop();
  expect((await scene.get('site/a')).status).toBe(504);
});

test('must-revalidate is no answer once it is stale and the origin is away; without it the copy is', async () => {
  for (const [cacheControl, status] of [
    ['max-age=60, must-revalidate', 504],
    ['max-age=60', 200],
  ] as const) {
    await using scene = await sceneWith({ cacheControl });
    await scene.origin.stop();
    scene.aheadMs = 30_000;
    expect((await scene.get('site/a')).status).toBe(200);
    scene.aheadMs = 61_000;
    expect((await scene.get('site/a')).status).toBe(status);
  }
});

test('stale-while-revalidate answers at once and confirms behind the visitor’s back, once however many ask', async () => {
  await using scene = await sceneWith({ cacheControl: 'max-age=60, stale-while-revalidate=600' });
  scene.aheadMs = 100_000;
  let release: () => void = () => {};
  scene.origin.interfere = () =>
    new Promise((resolve) => {
      release = resolve;
    });
  const before = scene.origin.counts.resolve;
  const stale = await Promise.all(Array.from({ length: 10 }, () => scene.get('site/a')));
  expect(new Set(stale.map(({ cache }) => cache))).toEqual(new Set(['us-1;hit;ttl=-40']));
  await eventually(() => expect(scene.origin.counts.resolve).toBe(before + 1));
  release();
  await eventually(async () => expect((await scene.get('site/a')).cache).toBe('us-1;hit;ttl=60'));
  expect(scene.origin.counts.resolve).toBe(before + 1);
});

test('only-if-cached never asks the origin', async () => {
  await using scene = await sceneWith({ cacheControl: 'max-age=60' });
  const wish = { 'cache-control': 'only-if-cached' };
  expect((await scene.get('site/a', wish)).cache).toBe('us-1;hit;ttl=60');
  scene.aheadMs = 61_000;
  const before = { ...scene.origin.counts };
  for (const key of ['site/a', 'site/unknown']) {
    const { status, cache } = await scene.get(key, wish);
    expect([status, cache]).toEqual([504, 'us-1;detail=only-if-cached']);
  }
  expect((await scene.get('site/a', { 'cache-control': 'only-if-cached, max-stale' })).status).toBe(200);
  expect(scene.origin.counts).toEqual(before);
});

test.each(['no-store', 'private'])('%s: pushed and asked for, the bytes are passed through and not kept', async (cacheControl) => {
  await using scene = await sceneWith({ cacheControl });
  for (let time = 1; time <= 2; time += 1) {
    const { status, body, cache, headers } = await scene.get('site/a');
    expect([status, body.toString(), cache]).toEqual([200, 'content', 'us-1;fwd=miss;fwd-status=200']);
    expect(headers.get('cache-control')).toBe(cacheControl);
    expect(await scene.metric('sluice_edge_blobs')).toBe(0);
  }
});

test('however many ask at once for what is not kept, and however slowly some of them read, each gets it', async () => {
  await using scene = await sceneWith({ cacheControl: 'private' });
  const answers = await Promise.all(Array.from({ length: 150 }, () => scene.get('site/a')));
  expect(answers.every(({ status, body }) => status === 200 && body.equals(content))).toBe(true);
  // Four that do not read large ones hold up no small one.
  await scene.pushStore(scene.origin.upload('site/large', Buffer.alloc(20_000_000, 1), { cacheControl: 'private' }));
  const idle = await Promise.all(Array.from({ length: 4 }, async () => fetch(scene.url('site/large'))));
  expect((await scene.get('site/a')).status).toBe(200);
  await Promise.all(idle.map((response) => response.body?.cancel()));
});

test('what is not kept and cannot be brought is told as for any other object', async () => {
  await using scene = await sceneWith({ cacheControl: 'private' });
  scene.origin.distort = (bytes) => Buffer.alloc(bytes.byteLength, 9);
  expect((await scene.get('site/a')).status).toBe(502);
  scene.origin.interfere = (what) => {
    if (what === 'read') throw new SluiceError('BUSY', 'busy', { retryable: true });
  };
  expect((await scene.get('site/a')).status).toBe(502);
  expect(scene.failures).toEqual([]);
});

test('a revalidation in the background that fails is not tried again for each visitor', async () => {
  await using scene = await sceneWith({ cacheControl: 'max-age=60, stale-while-revalidate=600' });
  scene.aheadMs = 100_000;
  scene.origin.upload('site/a', Buffer.from('changed'), { cacheControl: 'max-age=60' });
  scene.origin.distort = (bytes) => Buffer.alloc(bytes.byteLength, 9);
  const before = scene.origin.counts.resolve;
  for (let time = 1; time <= 50; time += 1) expect((await scene.get('site/a')).body.equals(content)).toBe(true);
  expect(scene.origin.counts.resolve - before).toBeLessThan(5);
});
