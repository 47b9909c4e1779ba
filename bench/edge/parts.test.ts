/** The parts of the benchmark at work on little, so that nobody finds out on the day of a measurement that they do not run. Nothing here looks at a clock. */
import { join } from 'node:path';
import { BlobStore } from '@sluice/blobs';
import { manifest as manifestSchema } from '@sluice/contracts';
import { Stack } from '@sluice/stack';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { CatalogIndex } from '../../apps/edge/src/adapters/catalog-index.ts';
import { fillBlobs, fillIndex, sha256Of } from './data-directory.ts';
import { numberOf } from './distinct-objects.ts';
import { measureHits } from './hit-client.ts';
import { replay } from './hit-ratios.ts';
import { contentOf, keyOf, manifestOf } from './large-index.ts';
import { push } from './pusher.ts';

const NUMBERS = [...Array(25).keys()];

test('a data directory that was filled has each manifest, as a valid one of a key of its own, and the bytes of it', async () => {
  await using dir = await temporaryDirectory();
  await fillIndex(dir.path, NUMBERS.map(manifestOf));
  await fillBlobs(dir.path, NUMBERS.map(contentOf));
  const index = new CatalogIndex({ dir: dir.path, region: 'US', nowMs: () => 0 });
  const blobs = await BlobStore.open({ dir: join(dir.path, 'blobs'), durability: 'relaxed' });
  expect([index.objects, blobs.totals.count]).toEqual([25, 25]);
  for (const number of NUMBERS) {
    const manifest = index.get(keyOf(number))?.manifest;
    expect(manifestSchema.parse(manifest)).toEqual(manifestOf(number));
    expect(Buffer.from(await blobs.readAll(manifest?.sha256 as string))).toEqual(contentOf(number));
  }
  index.close();
  blobs.close();
});

test.each([100_000, 2_000])('%i ranks are as many names', (objects) => {
  expect(new Set(Array.from({ length: objects }, (_, rank) => numberOf(rank, objects))).size).toBe(objects);
});

test('on a trace with scans the tier hits more often than LRU, with one thread and with four', () => {
  const { lru, tier } = replay({ objects: 2_000, requests: 40_000, scanEvery: 5 }, 0.1, [1, 4]);
  expect(tier[1]).toBeGreaterThan(lru);
  expect(tier[4]).toBeGreaterThan(lru);
  expect(tier[1]).toBeLessThan(1);
});

test('the client counts every request it was told to make, while every push is confirmed by an edge', async () => {
  await using dir = await temporaryDirectory();
  const content = Buffer.alloc(1024, 'x');
  const dataDir = join(dir.path, 'edge-us-1');
  await fillBlobs(dataDir, [content]);
  await fillIndex(dataDir, [{ ...manifestOf(0), sha256: sha256Of(content), size: content.byteLength, variants: [] }]);
  await using stack = await Stack.start({ dataDir: dir.path, edges: [{ id: 'us-1', region: 'US' }] });
  const options = {
    port: stack.edge('us-1').port,
    paths: [`/${keyOf(0)}`],
    bodyBytes: 1024,
    connections: 2,
    requestsPerSecond: 100,
    seconds: 0.2,
  };
  const pushing = push({ natsUrl: stack.natsUrl, edgeId: 'us-1', answers: false, bytes: 10_000, perSecond: 100, seconds: 0.2 });
  const [{ requests }, { pushes }] = await Promise.all([measureHits(options), pushing]);
  expect([requests, pushes]).toEqual([20, 20]);
});
