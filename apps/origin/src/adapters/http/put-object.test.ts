import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { BlobStore } from '@sluice/blobs';
import { Registry } from '@sluice/runtime';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test, vi } from 'vitest';
import { catalogFixture } from '../../testing/catalog.fixture.ts';
import { silent } from '../../testing/origin.fixture.ts';
import { plainBuckets } from '../../testing/plain-buckets.fixture.ts';
import { GarbageCollector } from '../blobs/garbage-collector.ts';
import { createOriginMetrics } from '../metrics.ts';
import { type UploadOptions, Uploads } from './put-object.ts';

async function uploadsFixture(md5Threads: UploadOptions['md5Threads']) {
  const fixture = await catalogFixture();
  const dir = await temporaryDirectory();
  const blobs = await BlobStore.open({ dir: join(dir.path, 'blobs'), durability: 'full' });
  const { catalog } = fixture;
  const metrics = createOriginMetrics(new Registry());
  const garbage = new GarbageCollector({ blobs, isReferenced: () => false, metrics, log: silent });
  const blocks = { offer: () => {} };
  return {
    uploads: new Uploads({ blobs, catalog, garbage, blocks, metrics, md5Threads, maxUploads: 1, bucketSettings: plainBuckets }),
    blobs,
    dir: dir.path,
    async [Symbol.asyncDispose]() {
      blobs.close();
      await dir[Symbol.asyncDispose]();
      await fixture[Symbol.asyncDispose]();
    },
  };
}

test('a body of unknown length is refused when it passes the bound, and nothing of it stays', async () => {
  await using scene = await uploadsFixture({ begin: () => undefined });
  let taken = 0;
  const take = (size: number, maxBytes: number) => {
    const chunks = (async function* () {
      for (taken = 0; taken < size; taken += 100_000) yield Buffer.alloc(Math.min(100_000, size - taken));
    })();
    const expectation = { contentLength: undefined, digests: [], trailers: [] };
    return scene.uploads.take({ chunks, expectation, maxBytes }, async (body) => body.size);
  };
  expect(await take(1_000_000, 1_000_000)).toBe(1_000_000);
  await expect(take(10_000_000, 1_000_000)).rejects.toMatchObject({ code: 'EntityTooLarge' });
  expect(taken).toBe(1_000_000);
  expect(await readdir(join(scene.dir, 'blobs', 'incoming'))).toEqual([]);
  expect(scene.blobs.totals.count).toBe(1);
});

test('a body that ends before its time leaves the thread that made its MD5', async () => {
  const abandon = vi.fn();
  const body = { update: async () => {}, finish: async () => '0'.repeat(32), abandon };
  await using scene = await uploadsFixture({ begin: () => body });
  const chunks = (async function* () {
    yield Buffer.alloc(100_000);
    throw new Error('the connection ended');
  })();
  const expectation = { contentLength: 10_000_000, digests: [], trailers: [] };
  await expect(scene.uploads.take({ chunks, expectation, maxBytes: 10_000_000 }, async () => {})).rejects.toThrow('the connection ended');
  expect(abandon).toHaveBeenCalledOnce();
});
