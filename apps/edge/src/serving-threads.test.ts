/** An edge that serves from threads, as it is run. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { eventually } from '@sluice/testkit';
import { expect, test, vi } from 'vitest';
import { ServingThreads } from './adapters/serving-threads.ts';
import { Scene } from './scene.fixture.ts';

const THREADS = { EDGE_SERVING_THREADS: '3' };

/** Asks on connections of their own, so that several threads answer. */
async function askAll(scene: Scene, key: string, times = 24) {
  return Promise.all(Array.from({ length: times }, () => scene.get(key, { connection: 'close' })));
}

test('all threads serve on one port, what one has read from the disk all have in memory, and their counts are added up', async () => {
  await using scene = await Scene.start(THREADS);
  const content = randomBytes(100_000);
  await scene.pushStore(scene.origin.upload('site/a', content));
  const before = await scene.metric('sluice_edge_requests_total{result="hit"');
  const answers = await askAll(scene, 'site/a', 60);
  expect(answers.every(({ status, body }) => status === 200 && body.equals(content))).toBe(true);
  expect(await scene.metric('sluice_edge_requests_total{result="hit"')).toBe(before + 60);
  expect(await scene.metric('sluice_edge_sent_bytes_total')).toBeGreaterThanOrEqual(60 * content.byteLength);
});

test('once a version, an invalidation or a removal is confirmed, no thread serves what was before', async () => {
  await using scene = await Scene.start(THREADS);
  for (let round = 1; round <= 20; round += 1) {
    await scene.pushStore(scene.origin.upload('site/a', Buffer.from(`version ${round}`)));
    const bodies = (await askAll(scene, 'site/a')).map(({ body }) => body.toString());
    expect(new Set(bodies)).toEqual(new Set([`version ${round}`]));
  }
  scene.origin.upload('site/a', Buffer.from('newest'));
  await scene.invalidate({ prefix: 'site/' });
  expect(new Set((await askAll(scene, 'site/a')).map(({ body }) => body.toString()))).toEqual(new Set(['newest']));
  scene.origin.current.delete('site/a');
  scene.origin.version += 1;
  await scene.push({ op: 'remove', key: 'site/a', version: scene.origin.version, reason: 'deleted' });
  expect(new Set((await askAll(scene, 'site/a')).map(({ status }) => status))).toEqual(new Set([404]));
  await scene.pushStore(scene.origin.upload('site/a', Buffer.from('back')));
  expect(new Set((await askAll(scene, 'site/a')).map(({ body }) => body.toString()))).toEqual(new Set(['back']));
});

test('while versions are pushed, nobody who has seen one is served an older one afterwards, on whatever thread', async () => {
  await using scene = await Scene.start(THREADS);
  let newest = 0;
  let pushing = true;
  const visitor = async () => {
    while (pushing) {
      const known = newest;
      const seen = Number((await scene.get('site/a', { connection: 'close' })).body.toString());
      expect(seen).toBeGreaterThanOrEqual(known);
      newest = Math.max(newest, seen);
    }
  };
  await scene.pushStore(scene.origin.upload('site/a', Buffer.from('0')));
  const visitors = Array.from({ length: 4 }, visitor);
  for (let version = 1; version <= 60; version += 1) await scene.pushStore(scene.origin.upload('site/a', Buffer.from(String(version))));
  pushing = false;
  await Promise.all(visitors);
  expect(newest).toBeGreaterThan(0);
});

test('a miss is fetched once for the visitors of all threads', async () => {
  await using scene = await Scene.start(THREADS);
  scene.origin.upload('site/a', randomBytes(10_000));
  const before = scene.origin.counts.read;
  const answers = await askAll(scene, 'site/a', 40);
  expect(answers.every(({ status }) => status === 200)).toBe(true);
  expect(scene.origin.counts.read).toBe(before + 1);
});

test('a port that somebody listens on is refused, also for several threads', async () => {
  await using scene = await Scene.start(THREADS);
  await expect(Scene.start({ ...THREADS, EDGE_PORT: String(scene.edge?.port) })).rejects.toThrow(/EADDRINUSE|in use/);
});

test('stopping lets running downloads finish on every thread, and refuses new visitors', async () => {
  await using scene = await Scene.start(THREADS);
  const content = randomBytes(8_000_000);
  await scene.pushStore(scene.origin.upload('site/a', content));
  const responses = await Promise.all(Array.from({ length: 12 }, () => fetch(scene.url('site/a'), { headers: { connection: 'close' } })));
  const url = scene.url('site/a');
  const stopped = scene.stopEdge();
  const bodies = await Promise.all(responses.map(async (response) => Buffer.from(await response.arrayBuffer())));
  expect(bodies.every((body) => body.equals(content))).toBe(true);
  await stopped;
  await eventually(async () => expect(await fetch(url).catch((error: Error) => error.message)).toMatch(/failed/));
});

test('a thread that ends lets go of what it alone was sending, and another takes its place', async () => {
  const threads: Worker[] = [];
  const note = (thread: Worker): unknown => threads.push(thread);
  process.on('worker', note);
  await using scene = await Scene.start({ EDGE_SERVING_THREADS: '1' });
  process.off('worker', note);
  scene.origin.upload('site/a', Buffer.alloc(20_000_000, 'x'), { cacheControl: 'no-store' });
  // As many as are brought at the same time, to visitors who do not read on.
  for (let visitor = 0; visitor < 4; visitor += 1) {
    const socket = connect(scene.edge?.port ?? 0, '127.0.0.1').on('error', () => {});
    socket.write('GET /site/a HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(socket, 'data');
    socket.pause();
  }
  await threads.at(-1)?.terminate();
  await eventually(async () => expect((await fetch(scene.url('readyz'))).status).toBe(200), 60_000);
  expect((await scene.get('site/a')).body.byteLength).toBe(20_000_000);
}, 90_000);
test('bytes that are not kept go when the thread that sends them ends', async () => {
  const workers: Worker[] = [];
  const note = (worker: Worker): void => void workers.push(worker);
  process.on('worker', note);
  await using scene = await Scene.start({ EDGE_SERVING_THREADS: '1' });
  process.off('worker', note);
  scene.origin.upload('site/a', randomBytes(30_000_000), { cacheControl: 'private' });
  const lazy = connect(scene.edge?.port ?? 0, '127.0.0.1').on('error', () => {});
  lazy.write('GET /site/a HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(lazy, 'readable');
  const files = () => readdir(join(scene.dir, 'blobs', 'incoming'));
  expect(await files()).toHaveLength(1);
  await workers.at(-1)?.terminate();
  await eventually(async () => expect(await files()).toEqual([]));
  lazy.destroy();
});

/** A scene with one thread that serves, what starts it, and all threads that this process has begun since. */
async function startOne() {
  const workers: Worker[] = [];
  const note = (worker: Worker): unknown => workers.push(worker);
  process.on('worker', note);
  const start = vi.spyOn(ServingThreads.prototype, 'start');
  const scene = await Scene.start({ EDGE_SERVING_THREADS: '1' });
  const serving = start.mock.contexts[0] as ServingThreads;
  start.mockRestore();
  return {
    ...{ scene, serving, workers },
    async [Symbol.asyncDispose]() {
      process.off('worker', note);
      await scene[Symbol.asyncDispose]();
    },
  };
}

test('a thread that is started again is missing until it listens', async () => {
  await using edge = await startOne();
  expect(edge.serving.missing).toBe(0);
  const again = once(process, 'worker');
  await edge.workers.at(-1)?.terminate();
  await again;
  expect(edge.serving.missing).toBe(1);
  await eventually(() => expect(edge.serving.missing).toBe(0), 60_000);
  expect((await fetch(edge.scene.url('readyz'))).status).toBe(200);
}, 90_000);

test('a thread that cannot listen when it is started again is missing, and is tried again until it can', async () => {
  await using edge = await startOne();
  const other = createServer();
  await edge.workers.at(-1)?.terminate();
  await new Promise<void>((resolve) => other.listen(edge.serving.port, '127.0.0.1', resolve));
  const first = edge.workers.length;
  await eventually(() => expect(edge.workers.length).toBeGreaterThan(first + 1), 60_000);
  expect(edge.serving.missing).toBe(1);
  await new Promise((resolve) => other.close(resolve));
  await eventually(() => expect(edge.serving.missing).toBe(0), 60_000);
}, 180_000);
