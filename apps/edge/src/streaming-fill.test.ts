/** Large objects that are sent to visitors while they come from the origin. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { eventually } from '@sluice/testkit';
import { expect, test, vi } from 'vitest';
import { Scene } from './scene.fixture.ts';
import { DetachedBlobs } from './services/detached-blobs.ts';

const SIZE_BYTES = 6_000_000;

/** A scene whose origin lets only so many reads pass; the others wait until it is told. */
async function gated(passing: number, variables: Record<string, string> = {}) {
  const scene = await Scene.start(variables);
  const { promise: open, resolve } = Promise.withResolvers<void>();
  let reads = 0;
  scene.origin.interfere = (what) => (what === 'read' && ++reads > passing ? open : undefined);
  return Object.assign(scene, { open: () => resolve() });
}

/** What has arrived of a body, until it is taken whole. */
async function begin(url: string, headers: Record<string, string> = {}) {
  const response = await fetch(url, { headers });
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const pieces: Uint8Array[] = [];
  const take = async (): Promise<boolean> => {
    const { done, value } = await reader.read();
    if (value !== undefined) pieces.push(value);
    return !done;
  };
  await take();
  return {
    response,
    get bytes() {
      return Buffer.concat(pieces);
    },
    /** @throws when the connection was cut */
    async all(): Promise<Buffer> {
      while (await take());
      return Buffer.concat(pieces);
    },
  };
}

test.each([['0'], ['2']])(
  'the first bytes go out before the last have come, whole and verified in the end (%s threads)',
  async (threads) => {
    await using scene = await gated(2, { EDGE_SERVING_THREADS: threads });
    const content = randomBytes(SIZE_BYTES);
    scene.origin.upload('site/a', content);
    const visitor = await begin(scene.url('site/a'));
    expect(visitor.response.headers.get('cache-status')).toBe('us-1;fwd=uri-miss;fwd-status=200;stored');
    expect(visitor.bytes.equals(content.subarray(0, visitor.bytes.byteLength))).toBe(true);
    scene.open();
    expect((await visitor.all()).equals(content)).toBe(true);
    await eventually(async () => expect((await scene.get('site/a')).cache).toBe('us-1;hit'));
  },
);

test('all visitors share one fill, whenever they come, and the origin is asked about the key once', async () => {
  await using scene = await gated(2);
  const content = randomBytes(SIZE_BYTES);
  scene.origin.upload('site/a', content);
  const early = await Promise.all(Array.from({ length: 10 }, () => begin(scene.url('site/a'))));
  const late = await Promise.all(Array.from({ length: 10 }, () => begin(scene.url('site/a'))));
  expect(late.map(({ response }) => response.headers.get('cache-status'))).toEqual(
    late.map(() => 'us-1;fwd=miss;fwd-status=200;stored;collapsed'),
  );
  scene.open();
  for (const visitor of [...early, ...late]) expect((await visitor.all()).equals(content)).toBe(true);
  expect([scene.origin.counts.resolve, scene.origin.counts.readBytes]).toEqual([1, SIZE_BYTES]);
});

test('a visitor who does not read holds up neither the fill nor the others', async () => {
  await using scene = await Scene.start();
  const content = randomBytes(30_000_000);
  scene.origin.upload('site/a', content);
  const lazy = connect(scene.edge?.port ?? 0, '127.0.0.1');
  lazy.write('GET /site/a HTTP/1.1\r\nHost: x\r\n\r\n');
  await new Promise((resolve) => lazy.once('readable', resolve));
  expect((await scene.get('site/a')).body.equals(content)).toBe(true);
  await eventually(async () => expect((await scene.get('site/a')).cache).toBe('us-1;hit'));
  lazy.destroy();
});

test('a fill that brings other bytes is cut off before its end, for all who read it, and leaves nothing', async () => {
  await using scene = await gated(2);
  const content = randomBytes(SIZE_BYTES);
  scene.origin.upload('site/a', content);
  const visitors = await Promise.all(Array.from({ length: 3 }, () => begin(scene.url('site/a'))));
  scene.origin.distort = (bytes) => Buffer.concat([bytes.subarray(0, -1), Buffer.of((bytes.at(-1) ?? 0) ^ 1)]);
  scene.open();
  for (const visitor of visitors) {
    await expect(visitor.all()).rejects.toThrow();
    expect(visitor.bytes.byteLength).toBeLessThan(SIZE_BYTES);
  }
  await eventually(async () => expect(await scene.metric('sluice_edge_blobs')).toBe(0));
  await eventually(async () => expect(await readdir(join(scene.dir, 'blobs', 'incoming'))).toEqual([]));
  scene.origin.distort = (bytes) => bytes;
  expect((await scene.get('site/a')).body.equals(content)).toBe(true);
});

test('an origin that goes away inside of a fill cuts it off, and the next visitor gets all of it when it is back', async () => {
  await using scene = await Scene.start();
  const { promise: away, reject: goAway } = Promise.withResolvers<void>();
  away.catch(() => {});
  let reads = 0;
  scene.origin.interfere = (what) => (what === 'read' && ++reads > 3 ? away : undefined);
  const content = randomBytes(SIZE_BYTES);
  scene.origin.upload('site/a', content);
  const visitor = await begin(scene.url('site/a'));
  goAway(new Error('away'));
  await expect(visitor.all()).rejects.toThrow();
  scene.origin.interfere = () => {};
  // Who comes before the edge has given the fill up is cut off with it.
  await eventually(async () => expect((await scene.get('site/a')).body.equals(content)).toBe(true));
});

test('what came by the short cut before it broke is kept, and the rest comes over the broker', async () => {
  await using scene = await gated(0);
  const content = randomBytes(SIZE_BYTES);
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-length': content.byteLength });
    response.write(content.subarray(0, 2_500_000), () => setImmediate(() => response.destroy()));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scene.origin.blobsUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/-/blobs`;
  await scene.stopEdge();
  await scene.startEdge();
  scene.origin.upload('site/a', content);
  const visitor = await begin(scene.url('site/a'));
  scene.open();
  expect((await visitor.all()).equals(content)).toBe(true);
  expect(scene.origin.counts.readBytes).toBeLessThanOrEqual(SIZE_BYTES - 1_000_000);
  server.close();
});

test('when other bytes came by the short cut, who has read them is cut off, and all of it comes over the broker', async () => {
  await using scene = await Scene.start();
  const content = randomBytes(SIZE_BYTES);
  const server = createServer((_request, response) => void response.end(randomBytes(SIZE_BYTES)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scene.origin.blobsUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/-/blobs`;
  await scene.stopEdge();
  await scene.startEdge();
  await scene.pushStore(scene.origin.upload('site/a', content));
  expect((await scene.get('site/a')).body.equals(content)).toBe(true);
  expect(scene.origin.counts.readBytes).toBe(SIZE_BYTES);
  server.close();
});

test.each([
  ['too large to keep', { EDGE_CAPACITY_BYTES: '1000000' }, {}],
  ['private', {}, { cacheControl: 'private' }],
])('an object that is %s is sent while it comes too, and is gone when it has been sent', async (_what, variables, fields) => {
  await using scene = await gated(2, variables);
  const content = randomBytes(SIZE_BYTES);
  scene.origin.upload('site/a', content, fields);
  const visitor = await begin(scene.url('site/a'));
  const files = () => readdir(join(scene.dir, 'blobs', 'incoming'));
  expect(await files()).toHaveLength(1);
  scene.open();
  expect((await visitor.all()).equals(content)).toBe(true);
  await eventually(async () => expect(await files()).toEqual([]));
});

test('a range behind what has come waits for it, and the last bytes wait until all are verified', async () => {
  await using scene = await gated(4);
  const content = randomBytes(SIZE_BYTES);
  scene.origin.upload('site/a', content);
  const whole = await begin(scene.url('site/a'));
  const range = scene.get('site/a', { range: 'bytes=-1000' });
  let answered = false;
  void range.then(() => {
    answered = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(answered).toBe(false);
  scene.open();
  expect((await range).body.equals(content.subarray(-1000))).toBe(true);
  expect((await whole.all()).equals(content)).toBe(true);
});

test('an invalidation that comes inside of a fill is heeded by the next visitor', async () => {
  await using scene = await gated(2);
  scene.origin.upload('site/a', randomBytes(SIZE_BYTES));
  const visitor = await begin(scene.url('site/a'));
  const second = randomBytes(SIZE_BYTES);
  scene.origin.upload('site/a', second);
  await scene.invalidate({ key: 'site/a' });
  scene.open();
  expect((await scene.get('site/a')).body.equals(second)).toBe(true);
  await visitor.all();
});

test('an object that is large enough to be sent while it comes and small enough for memory is served', async () => {
  await using scene = await gated(1);
  const content = randomBytes(1024 * 1024);
  scene.origin.upload('site/a', content);
  const visitor = scene.get('site/a');
  await eventually(async () => expect(await readdir(join(scene.dir, 'blobs', 'incoming'))).toHaveLength(1));
  scene.open();
  expect([(await visitor).status, (await visitor).body.equals(content)]).toEqual([200, true]);
});

test.each([
  ['pulled', 6_000_000],
  ['pulled', 100_000],
  ['pushed', 100_000],
])('bytes that are purged while they come do not stay: %s, %i bytes', async (how, size) => {
  await using scene = await gated(0);
  const manifest = scene.origin.upload('site/a', randomBytes(size));
  const coming = how === 'pushed' ? scene.pushStore(manifest) : scene.get('site/a');
  await eventually(() => expect(scene.origin.counts.read).toBeGreaterThan(0));
  await scene.invalidate({ key: 'site/a', mode: 'purge' });
  scene.origin.current.delete('site/a');
  scene.open();
  await coming;
  await eventually(async () => expect(await scene.metric('sluice_edge_pending_transfers')).toBe(0));
  await eventually(async () => expect(await scene.metric('sluice_edge_blobs')).toBe(0));
});

test('when the only visitor of an object that is not kept leaves, the origin is not read to the end', async () => {
  await using scene = await Scene.start();
  const content = randomBytes(SIZE_BYTES);
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-length': content.byteLength });
    response.write(content.subarray(0, 1_000_000));
    const dripping = setInterval(() => response.write(content.subarray(0, 1000)), 10);
    response.once('close', () => clearInterval(dripping));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  scene.origin.blobsUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/-/blobs`;
  await scene.stopEdge();
  await scene.startEdge();
  scene.origin.upload('site/a', content, { cacheControl: 'private' });
  const leaving = new AbortController();
  const response = await fetch(scene.url('site/a'), { signal: leaving.signal });
  await (response.body as ReadableStream<Uint8Array>).getReader().read();
  leaving.abort();
  await eventually(async () => expect(await readdir(join(scene.dir, 'blobs', 'incoming'))).toEqual([]));
  await new Promise<void>((resolve) => server.close(() => resolve()));
  expect(scene.origin.counts.read).toBe(0);
});

test('visitors who read slowly what is not kept keep nobody from getting it', async () => {
  await using scene = await Scene.start();
  const content = randomBytes(8_000_000);
  scene.origin.upload('site/a', content, { cacheControl: 'private' });
  const lazy = Array.from({ length: 6 }, () => connect(scene.edge?.port ?? 0, '127.0.0.1').on('error', () => {}));
  for (const socket of lazy) {
    socket.write('GET /site/a HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(socket, 'readable');
  }
  expect((await scene.get('site/a')).body.equals(content)).toBe(true);
  for (const socket of lazy) socket.destroy();
});

test.each([['0'], ['1']])('a visitor who leaves before what is not kept has come lets go of it (%s threads)', async (threads) => {
  const bring = vi.spyOn(DetachedBlobs.prototype, 'bring');
  using _ = { [Symbol.dispose]: () => bring.mockRestore() };
  await using scene = await gated(0, { EDGE_SERVING_THREADS: threads });
  scene.origin.upload('site/a', randomBytes(100_000), { cacheControl: 'private' });
  const leaving = new AbortController();
  const visits = Array.from({ length: 6 }, () => scene.get('site/a').catch(() => {}));
  await eventually(() => expect(bring).toHaveBeenCalledTimes(6));
  visits.push(
    fetch(scene.url('site/a'), { signal: leaving.signal }).then(
      () => {},
      () => {},
    ),
  );
  await eventually(() => expect(bring).toHaveBeenCalledTimes(7));
  leaving.abort();
  await expect(bring.mock.results[6]?.value).rejects.toMatchObject({ code: 'EDGE_BUSY' });
  scene.open();
  await Promise.all(visits);
  expect(scene.origin.counts.read).toBe(6);
});
