import { join } from 'node:path';
import { BlobStore } from '@sluice/blobs';
import type { Manifest, PreviousVersion } from '@sluice/contracts';
import { Registry } from '@sluice/runtime';
import { FakeClock, temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { catalogFixture, checksum, fields } from '../../testing/catalog.fixture.ts';
import { silent } from '../../testing/origin.fixture.ts';
import { createOriginMetrics } from '../metrics.ts';
import { GarbageCollector } from './garbage-collector.ts';
import { PatchMaker } from './patch-maker.ts';

const RUNNING_AND_WAITING = 2 + 64;

function pair(index: number): { manifest: Manifest; previous: PreviousVersion; have: string[] } {
  const [sha256, before] = [checksum(`new ${index}`), checksum(`old ${index}`)];
  const manifest = { key: `site/${index}`, version: 2, sha256, size: 10_000, contentType: 'text/plain', meta: {}, tags: [], regions: [] };
  const previous = { version: 1, sha256: before, size: 10_000, regions: [] };
  return { manifest: { ...manifest, uploadedAt: '2026-01-01T00:00:00.000Z' }, previous, have: [before] };
}

test('patches being made are bounded, what is more is sent whole, and nobody waits for long', async () => {
  await using fixture = await catalogFixture();
  const clock = new FakeClock();
  let reads = 0;
  let release: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    release = resolve;
  });
  const blobs = {
    has: () => true,
    readAll: async () => {
      reads += 1;
      await gate;
      throw new Error('disk');
    },
  } as unknown as BlobStore;
  const metrics = createOriginMetrics(new Registry());
  const garbage = {} as GarbageCollector;
  const patches = new PatchMaker({ catalog: fixture.catalog, blobs, garbage, clock, metrics, log: silent });
  const ask = (index: number) => {
    const { manifest, previous, have } = pair(index);
    return patches.offer(manifest, previous, have);
  };
  const asked = Array.from({ length: 10 * RUNNING_AND_WAITING }, (_, index) => ask(index));
  // Those that do not even wait have their answer already.
  expect(await Promise.all(asked.slice(RUNNING_AND_WAITING))).toEqual(Array(9 * RUNNING_AND_WAITING).fill(undefined));
  expect(reads).toBe(4);
  clock.advance(2_000);
  expect(await Promise.all(asked)).toEqual(Array(10 * RUNNING_AND_WAITING).fill(undefined));
  const skipped = (await metrics.patches.get()).values.find(({ labels }) => labels.outcome === 'skipped');
  expect(skipped?.value).toBe(9 * RUNNING_AND_WAITING);
  release();
  await patches.stop();
});

test('a patch whose bytes are gone is not offered but made again, and none is made from bytes that are not here', async () => {
  await using fixture = await catalogFixture();
  const dir = await temporaryDirectory();
  await using _ = dir;
  const blobs = await BlobStore.open({ dir: join(dir.path, 'blobs'), durability: 'relaxed' });
  const text = Array.from({ length: 2_000 }, (__, line) => `line ${line} is ${line * line}\n`).join('');
  const before = await blobs.put(Buffer.from(text));
  const now = await blobs.put(Buffer.from(text.replace('line 1000', 'line one thousand')));
  const etag = '0'.repeat(32);
  await fixture.catalog.put('site/a', fields(), { ...before, etag });
  await fixture.catalog.put('site/a', fields(), { ...now, etag });
  const { manifest, previous } = fixture.catalog.find('site/a') ?? {};
  const metrics = createOriginMetrics(new Registry());
  const garbage = new GarbageCollector({ blobs, isReferenced: () => true, metrics, log: silent });
  const patches = new PatchMaker({ catalog: fixture.catalog, blobs, garbage, clock: new FakeClock(), metrics, log: silent });
  const offer = () => patches.offer(manifest as Manifest, previous, [before.sha256]);
  const first = await offer();
  expect(first).toMatchObject({ base: before.sha256 });
  const name = first?.sha256 as string;
  blobs.delete(name);
  expect(await offer()).toEqual(first);
  expect(blobs.has(name)).toBe(true);
  blobs.delete(name);
  blobs.delete(before.sha256);
  expect(await offer()).toBeUndefined();
  await patches.stop();
  blobs.close();
});
