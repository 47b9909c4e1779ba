/** Variants of content that is at a source, through a cache that lets them go. */
import { join } from 'node:path';
import { Registry } from '@sluice/runtime';
import { FakeClock, temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { CodingThreads } from '../adapters/blobs/coding-threads.ts';
import { GarbageCollector } from '../adapters/blobs/garbage-collector.ts';
import { VariantMaker } from '../adapters/blobs/variant-maker.ts';
import { Catalog } from '../adapters/catalog/catalog.ts';
import { createOriginMetrics } from '../adapters/metrics.ts';
import { fields } from '../testing/catalog.fixture.ts';
import { silent } from '../testing/origin.fixture.ts';
import { contentOf } from '../testing/scripted-source.fixture.ts';
import { checksumOf, sourcedFixture } from '../testing/sourced-blobs.fixture.ts';

const KEYS = 30;

test('variants that were let go come again, with their contents, however many are asked for at the same time', async () => {
  await using dir = await temporaryDirectory();
  let remake: (sha256: string) => Promise<boolean> = async () => false;
  // Room for a few contents and their variants at a time.
  await using fixture = await sourcedFixture({ maxBytes: 60_000, remake: (sha256) => remake(sha256) });
  const clock = new FakeClock();
  const metrics = createOriginMetrics(new Registry());
  const catalog: Catalog = new Catalog({
    ...{ path: join(dir.path, 'catalog.db'), clock, multipartMaxOpen: 10, outboxMaxEntries: 10_000 },
    onVariantsWanted: () => variants.wake(),
    onGarbage: (checksums) => garbage.offer(checksums),
  });
  const garbage = new GarbageCollector({
    blobs: fixture.store,
    isReferenced: (sha256) => catalog.references.isReferenced(sha256),
    metrics,
    log: silent,
  });
  const parts = { catalog, blobs: fixture.blobs, garbage, threads: new CodingThreads(), concurrency: 1, clock, metrics, log: silent };
  const variants = new VariantMaker(parts);
  remake = (sha256) => variants.remake(sha256);
  for (let index = 0; index < KEYS; index += 1) {
    const content = Buffer.from(`${index} is a line of text that compresses well\n`.repeat(200));
    const sha256 = fixture.add(`site/${index}.txt`, content);
    await catalog.put(`site/${index}.txt`, fields(), { sha256, size: content.byteLength, etag: '0'.repeat(32) });
  }
  while (catalog.variants.waitingCount > 0) await variants.idle();
  const named = Array.from({ length: KEYS }, (_, index) => catalog.find(`site/${index}.txt`)?.manifest.variants ?? []).flat();
  expect(named).toHaveLength(3 * KEYS);
  for (const { sha256, size } of named) fixture.known.set(sha256, { size });
  for (const { sha256 } of fixture.store.list()) fixture.store.delete(sha256);
  const asked = named.slice(0, 60);
  const read = await Promise.all(asked.map(({ sha256 }) => fixture.blobs.readAll(sha256)));
  for (const [index, bytes] of read.entries()) expect(checksumOf(contentOf(bytes))).toBe(asked[index]?.sha256);
  expect(fixture.blobs.load.usedBytes).toBeLessThanOrEqual(60_000);
  await fixture.blobs.stop();
  await variants.stop();
  await garbage.stop();
  catalog.close();
});
