import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { BlobStore } from '@sluice/blobs';
import { Registry } from '@sluice/runtime';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { catalogFixture } from '../../testing/catalog.fixture.ts';
import { silent } from '../../testing/origin.fixture.ts';
import { plainBuckets } from '../../testing/plain-buckets.fixture.ts';
import { GarbageCollector } from '../blobs/garbage-collector.ts';
import { createOriginMetrics } from '../metrics.ts';
import { Uploads } from './put-object.ts';

test('a body of unknown length is refused when it passes the bound, and nothing of it stays', async () => {
  await using fixture = await catalogFixture();
  await using dir = await temporaryDirectory();
  const blobs = await BlobStore.open({ dir: join(dir.path, 'blobs'), durability: 'full' });
  const { catalog } = fixture;
  const metrics = createOriginMetrics(new Registry());
  const garbage = new GarbageCollector({ blobs, isReferenced: () => false, metrics, log: silent });
  const uploads = new Uploads({
    md5Threads: { begin: () => undefined },
    blobs,
    catalog,
    garbage,
    blocks: { offer: () => {} },
    metrics,
    maxUploads: 1,
    bucketSettings: plainBuckets,
  });
  let taken = 0;
  const take = (size: number, maxBytes: number) => {
    const chunks = (async function* () {
      for (taken = 0; taken < size; taken += 100_000) yield Buffer.alloc(Math.min(100_000, size - taken));
    })();
    const expectation = { contentLength: undefined, digests: [], trailers: [] };
    return uploads.take({ chunks, expectation, maxBytes }, async (body) => body.size);
  };
  expect(await take(1_000_000, 1_000_000)).toBe(1_000_000);
  await expect(take(10_000_000, 1_000_000)).rejects.toMatchObject({ code: 'EntityTooLarge' });
  expect(taken).toBe(1_000_000);
  expect(await readdir(join(dir.path, 'blobs', 'incoming'))).toEqual([]);
  expect(blobs.totals.count).toBe(1);
  blobs.close();
});
