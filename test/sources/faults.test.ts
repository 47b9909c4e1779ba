/** What happens to two origins on one bucket when what they stand on goes away, hangs or forgets. */
import { rm } from 'node:fs/promises';
import { contentOf, eventually } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { s3Server } from '../../apps/origin/src/testing/s3-bucket.fixture.ts';
import { CATCH_UP_MS, EDGES, logged, metric, page, type Scene, scene } from './scene.ts';

const server = s3Server();
const SOME_TEXT = 40_000;
const initial = {
  'page.html': page(SOME_TEXT, 0),
  ...Object.fromEntries(Array.from({ length: 10 }, (_, index) => [`object-${index}`, contentOf(20_000, `object ${index}`)])),
};

const law = (title: string, check: (at: Scene) => Promise<void>) =>
  test.skipIf(server === undefined)(title, async () => {
    if (server === undefined) return;
    await using at = await scene(server, { initial });
    for (const edge of at.stack.edges.values()) for (const path of Object.keys(initial)) await at.servesNewest(edge, path);
    for (const edge of at.stack.edges.values()) at.readers.read(edge);
    await check(at);
    await at.readers.stop();
    expect(at.readers.problems).toEqual([]);
    for (const answered of at.readers.answered.values()) expect(answered).toBeGreaterThan(50);
  });

const edgesOf = ({ stack }: Scene) => [...stack.edges.values()];
const bytesMoved = async (at: Scene): Promise<number[]> =>
  Promise.all(edgesOf(at).map((edge) => metric(edge, 'sluice_edge_transferred_bytes_total')));
const startedOver = async (at: Scene): Promise<number[]> =>
  Promise.all(EDGES.map(({ id }) => logged(at.stack.edge(id), 'the feed starts over')));

/** Changes and tells of it; resolves when it is everywhere. */
async function change(at: Scene, path: string, content: Buffer): Promise<void> {
  await at.put(path, content);
  expect(await at.distributed(await at.announce(path))).toMatchObject({ event: 'uploaded' });
  for (const edge of edgesOf(at)) await at.servesNewest(edge, path);
}

law('a broker that is restarted interrupts nobody who reads, and what is told of after it arrives; no edge begins anew', async (at) => {
  const before = await startedOver(at);
  await at.stack.broker.kill();
  await at.stack.broker.start();
  await change(at, 'page.html', page(SOME_TEXT, 1));
  await change(at, 'new', contentOf(5_000, 'new'));
  expect(await startedOver(at)).toEqual(before);
});

law('a broker that has lost everything costs an edge neither content nor bytes: the catalog begins anew and says the same', async (at) => {
  const [{ catalogId }, moved] = [await at.feed(), await bytesMoved(at)];
  await at.stack.broker.kill();
  await rm(at.stack.broker.storeDir, { recursive: true });
  await at.stack.broker.start();
  const anew = await eventually(async () => {
    const feed = await at.feed();
    expect(feed.catalogId).not.toBe(catalogId);
    return feed;
  }, 60_000);
  // It is not given before all is in it.
  expect(anew.changes.filter(({ op }) => op === 'store')).toHaveLength(Object.keys(initial).length);
  for (const { id } of EDGES) {
    await eventually(async () => expect(await logged(at.stack.edge(id), '"msg":"listing complete"')).toBeGreaterThan(0), 60_000);
  }
  expect(await bytesMoved(at)).toEqual(moved);
  await change(at, 'object-1', contentOf(20_000, 'changed'));
});

law('an origin that hangs for longer than its lease and goes on holds up no reader and no change', async (at) => {
  const [one] = at.stack.origins as [Scene['stack']['origin']];
  one.pause();
  const over = new Promise((resolve) => setTimeout(resolve, 9_000));
  await change(at, 'object-2', contentOf(20_000, 'changed while one hangs'));
  await change(at, 'page.html', page(SOME_TEXT, 2));
  await over;
  one.resume();
  await change(at, 'object-3', contentOf(20_000, 'changed when it goes on'));
});

law('a bucket that hangs for a while holds up no reader, and what was told of meanwhile arrives afterwards', async (at) => {
  at.proxy.pause();
  const cause = await at.announce('object-4');
  const before = at.readers.answered.get('edge us-1') ?? 0;
  await eventually(() => expect(at.readers.answered.get('edge us-1')).toBeGreaterThan(before + 100), 30_000);
  await at.put('object-4', contentOf(20_000, 'changed while the bucket hung'));
  await new Promise((resolve) => setTimeout(resolve, CATCH_UP_MS));
  at.proxy.resume();
  await at.distributed(cause);
  await change(at, 'object-5', contentOf(20_000, 'changed afterwards'));
});

law(
  'an origin with an empty data directory gives the same feed as the others, also alone; what it invalidates is invalidated',
  async (at) => {
    const [one, other] = at.stack.origins as [Scene['stack']['origin'], Scene['stack']['origin']];
    await at.remove('object-6');
    await at.announce('object-6');
    await at.removalDistributed('object-6');
    const invalidate = async (origin: typeof one, tag: string): Promise<void> => {
      const response = await fetch(`${origin.url}/-/invalidations`, { method: 'POST', body: JSON.stringify({ tag }) });
      expect(response.status).toBe(202);
    };
    await invalidate(one, 'of-one');
    await other.kill();
    await other.wipe();
    await at.stack.addEdge({ id: 'eu-1', region: 'EU' });
    const before = await at.feed();
    await other.start();
    await one.stop();
    const after = await at.feed(0, before.catalogId);
    expect(after.catalogId).toBe(before.catalogId);
    expect(after.changes).toEqual(before.changes);
    await invalidate(other, 'of-other');
    expect((await at.feed()).changes.filter(({ op }) => op === 'invalidate')).toMatchObject([{ tag: 'of-one' }, { tag: 'of-other' }]);
    await change(at, 'object-7', contentOf(20_000, 'changed with one that came later'));
  },
);

test.skipIf(server === undefined)(
  'two origins that start at the same moment read each object of a large bucket once between them',
  async () => {
    if (server === undefined) return;
    const count = 800;
    const many = Object.fromEntries(
      Array.from({ length: count }, (_, index) => [index % 10 === 0 ? `${index}.html` : `${index}`, page(3_000, index)]),
    );
    await using at = await scene(server, { initial: many, edges: [{ id: 'us-1', region: 'US' }] });
    await Promise.all(at.stack.origins.map((origin) => origin.waitUntilReady(120_000)));
    const edge = at.stack.edge('us-1');
    await eventually(async () => expect(await metric(edge, 'sluice_edge_objects')).toBe(count), 60_000);
    // Reading for variants is over but for a handful: one that failed a few times waits for the next start, and its reads are far within what is allowed below.
    for (const origin of at.stack.origins) {
      await eventually(async () => expect(await metric(origin, 'sluice_origin_variants_waiting')).toBeLessThan(count / 100), 90_000);
    }
    const reads = at.proxy.requests.filter((line) => /^GET \/[^/?]+\/[^?]+/.test(line));
    expect(reads.length).toBeGreaterThanOrEqual(count);
    expect(reads.length).toBeLessThan(count * 1.02);
  },
);
