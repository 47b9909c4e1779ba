import { join } from 'node:path';
import { BlobStore, INLINE_MAX_BYTES, type Operate } from '@sluice/blobs';
import { Registry } from '@sluice/runtime';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { sha256, silent } from '../../testing/origin.fixture.ts';
import { createOriginMetrics } from '../metrics.ts';
import { GarbageCollector } from './garbage-collector.ts';

async function collectorFixture({ operate, ...options }: { maxCandidates?: number; operate?: Operate } = {}) {
  const dir = await temporaryDirectory();
  const blobs = await BlobStore.open({ dir: join(dir.path, 'blobs'), durability: 'full', ...(operate && { operate }) });
  const referenced = new Set<string>();
  const metrics = createOriginMetrics(new Registry());
  const garbage = new GarbageCollector({ blobs, isReferenced: (name) => referenced.has(name), metrics, log: silent, ...options });
  return {
    ...{ blobs, referenced, garbage },
    put: async (text: string) => (await blobs.put(Buffer.from(text))).sha256,
    async [Symbol.asyncDispose]() {
      await garbage.stop();
      blobs.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

test('what nothing names is removed; what is named or pinned stays', async () => {
  await using fixture = await collectorFixture();
  const { blobs, garbage, referenced } = fixture;
  const [unused, named, pinned] = [await fixture.put('unused'), await fixture.put('named'), await fixture.put('pinned')];
  referenced.add(named);
  const unpin = garbage.pin(pinned);
  garbage.offer([unused, named, pinned, sha256('never there')]);
  await garbage.idle();
  expect([unused, named, pinned].map((name) => blobs.has(name))).toEqual([false, true, true]);
  unpin();
  garbage.offer([pinned]);
  await garbage.idle();
  expect(blobs.has(pinned)).toBe(false);
});

test('bytes that two uploads pin stay until both are done', async () => {
  await using fixture = await collectorFixture();
  const name = await fixture.put('twice');
  const [first, second] = [fixture.garbage.pin(name), fixture.garbage.pin(name)];
  first();
  fixture.garbage.offer([name]);
  await fixture.garbage.idle();
  expect(fixture.blobs.has(name)).toBe(true);
  second();
  fixture.garbage.offer([name]);
  await fixture.garbage.idle();
  expect(fixture.blobs.has(name)).toBe(false);
});

test('what could not be removed is tried again with the next offer, and holds up nothing else', async () => {
  let failures = 2;
  const operate: Operate = (label, operation) => {
    if (label === 'BLOB_DELETE:ROW' && failures-- > 0) throw new Error('EIO');
    return operation();
  };
  await using fixture = await collectorFixture({ operate });
  const { blobs, garbage } = fixture;
  const [first, second, third] = [await fixture.put('first'), await fixture.put('second'), await fixture.put('third')];
  garbage.offer([first]);
  await garbage.idle();
  expect(blobs.has(first)).toBe(true);
  garbage.offer([second]);
  await garbage.idle();
  garbage.offer([third]);
  await garbage.idle();
  expect([first, second, third].map((name) => blobs.has(name))).toEqual([false, false, false]);
});

test('a sweep finds everything that is unused, over many pages', async () => {
  await using fixture = await collectorFixture();
  const names = await Promise.all(Array.from({ length: 1_100 }, (_, index) => fixture.put(`blob ${index}`)));
  for (const name of names.slice(0, 550)) fixture.referenced.add(name);
  fixture.garbage.sweep();
  await fixture.garbage.idle();
  expect(fixture.blobs.totals.count).toBe(550);
  expect(names.slice(0, 550).every((name) => fixture.blobs.has(name))).toBe(true);
});

test('more candidates than are remembered are found by a sweep', async () => {
  await using fixture = await collectorFixture({ maxCandidates: 10 });
  const names = await Promise.all(Array.from({ length: 100 }, (_, index) => fixture.put(`blob ${index}`)));
  fixture.garbage.offer(names);
  await fixture.garbage.idle();
  expect(fixture.blobs.totals.count).toBe(0);
});

test('the same large bytes can come back right after they were removed', async () => {
  await using fixture = await collectorFixture();
  const large = 'x'.repeat(INLINE_MAX_BYTES + 1);
  for (let round = 0; round < 20; round += 1) {
    const name = await fixture.put(large);
    fixture.garbage.offer([name]);
    await fixture.garbage.idle();
    expect(fixture.blobs.has(name)).toBe(false);
  }
  const name = await fixture.put(large);
  expect((await fixture.blobs.readAll(name)).byteLength).toBe(large.length);
});
