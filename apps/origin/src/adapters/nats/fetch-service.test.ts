import { SluiceError } from '@sluice/contracts';
import { Registry } from '@sluice/runtime';
import { FakeClock } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { CatalogBehindError } from '../../services/shared-order.ts';
import { body, catalogFixture, fields } from '../../testing/catalog.fixture.ts';
import { NoBlocksError } from '../blobs/block-digest-maker.ts';
import { RangeCache } from '../blobs/range-cache.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { createOriginMetrics } from '../metrics.ts';
import { FetchService, type FetchServiceOptions } from './fetch-service.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));
const SHA = 'a'.repeat(64);
const READS_MAX = 8;
const NO_BLOCKS = {
  of: () => {
    throw new NoBlocksError('this is a test');
  },
};
const WAITING_MAX = 1_024;

test('replies that have not left yet are bounded, then the waiting is bounded, then the asker is told to come back', async () => {
  await using fixture = await catalogFixture();
  let reading = 0;
  const flushes: (() => void)[] = [];
  const service = new FetchService({
    bus: { chunkBytes: 100, flush: () => new Promise<void>((resolve) => flushes.push(resolve)) },
    catalog: fixture.catalog,
    ranges: new RangeCache(async (_, offset) => {
      reading += 1;
      return Buffer.from([offset]);
    }),
    sizeOf: () => 10_000,
    patches: { offer: async () => undefined },
    blocks: NO_BLOCKS,
    clock: new FakeClock(),
    metrics: createOriginMetrics(new Registry()),
  });
  const read = async (offset: number) => service.handle({ op: 'read', sha256: SHA, offset, length: 1 });
  const total = READS_MAX + WAITING_MAX;
  const replies = Array.from({ length: total }, (_, offset) => read(offset));
  await expect(read(total)).rejects.toMatchObject({ code: 'BUSY', retryable: true });
  await turn();
  await turn();
  // They are answered, but their places are free only when the broker has the bytes.
  expect(reading).toBe(READS_MAX);
  while (reading < total) {
    for (const release of flushes.splice(0)) release();
    await turn();
    expect(flushes.length).toBeLessThanOrEqual(READS_MAX);
  }
  expect(await Promise.all(replies)).toHaveLength(total);
});

test('a broker that takes nothing does not hold the places for ever', async () => {
  await using fixture = await catalogFixture();
  const clock = new FakeClock();
  const service = new FetchService({
    bus: { chunkBytes: 100, flush: () => new Promise<void>(() => {}) },
    catalog: fixture.catalog,
    ranges: new RangeCache(async () => Buffer.from('x')),
    sizeOf: () => 10_000,
    patches: { offer: async () => undefined },
    blocks: NO_BLOCKS,
    clock,
    metrics: createOriginMetrics(new Registry()),
  });
  const replies = Array.from({ length: READS_MAX + 1 }, (_, offset) => service.handle({ op: 'read', sha256: SHA, offset, length: 1 }));
  await turn();
  await turn();
  clock.advance(10_000);
  expect(await Promise.all(replies)).toHaveLength(READS_MAX + 1);
});

test('the end waits for replies that are being made, but not long', async () => {
  await using fixture = await catalogFixture();
  const clock = new FakeClock();
  const reading = Promise.withResolvers<Uint8Array>();
  const service = new FetchService({
    bus: { chunkBytes: 100, flush: async () => {} },
    catalog: fixture.catalog,
    ranges: new RangeCache((_, offset) => (offset === 0 ? reading.promise : new Promise(() => {}))),
    sizeOf: () => 10_000,
    patches: { offer: async () => undefined },
    blocks: NO_BLOCKS,
    clock,
    metrics: createOriginMetrics(new Registry()),
  });
  const ended: string[] = [];
  void service.handle({ op: 'read', sha256: SHA, offset: 0, length: 1 });
  const first = service.idle().then(() => ended.push('after the reply'));
  await turn();
  expect(ended).toEqual([]);
  reading.resolve(Buffer.from('x'));
  await first;
  void service.handle({ op: 'read', sha256: SHA, offset: 1, length: 1 });
  const second = service.idle().then(() => ended.push('late'));
  await turn();
  expect(ended).toEqual(['after the reply']);
  clock.advance(2_000);
  await second;
});

test('digests of blocks wait their turn with the reads, and are refused where no message has room for them', async () => {
  await using fixture = await catalogFixture();
  let asked = 0;
  const service = (chunkBytes: number) =>
    new FetchService({
      bus: { chunkBytes, flush: () => new Promise<void>(() => {}) },
      catalog: fixture.catalog,
      ranges: new RangeCache(async () => Buffer.from('x')),
      sizeOf: () => 10_000,
      patches: { offer: async () => undefined },
      blocks: {
        of: () => {
          asked += 1;
          return { blockBytes: 512 * 1024, digests: new Uint8Array(32 * 20) };
        },
      },
      clock: new FakeClock(),
      metrics: createOriginMetrics(new Registry()),
    });
  const few = service(1_000);
  const blocks = async (from: FetchService) => from.handle({ op: 'blocks', sha256: SHA });
  expect(await blocks(few)).toHaveLength(4 + 32 * 20);
  for (let count = 1; count < READS_MAX + WAITING_MAX; count += 1) void blocks(few);
  await expect(blocks(few)).rejects.toMatchObject({ code: 'BUSY' });
  await turn();
  expect(asked).toBe(READS_MAX);
  await expect(blocks(service(600))).rejects.toMatchObject({ code: 'NO_BLOCKS', retryable: false });
});

describe('one of several origins', () => {
  const serviceOf = (catalog: Catalog, more: Partial<FetchServiceOptions>) =>
    new FetchService({
      bus: { chunkBytes: 100, flush: async () => {} },
      catalog,
      ranges: new RangeCache(async () => Buffer.from('held here')),
      sizeOf: () => undefined,
      patches: { offer: async () => undefined },
      blocks: NO_BLOCKS,
      clock: new FakeClock(),
      metrics: createOriginMetrics(new Registry()),
      ...more,
    });

  test('answers nobody with less than he has heard of: it catches up first, and says so when it cannot', async () => {
    await using fixture = await catalogFixture();
    const { catalog } = fixture;
    const reached: number[] = [];
    const reach = async (version: number): Promise<void> => {
      reached.push(version);
      if (version === 9) throw new CatalogBehindError('this is a test');
      await catalog.put('site/a', fields(), body('a', 10));
    };
    const resolve = (atLeast?: number) =>
      serviceOf(catalog, { reach }).handle({ op: 'resolve', key: 'site/a', have: [], inlineMaxBytes: 0, atLeast });
    expect(await resolve(5)).toMatchObject({ found: true, asOf: catalog.lastVersion });
    await resolve();
    expect(reached).toEqual([5, 0]);
    await expect(resolve(9)).rejects.toMatchObject({ code: 'CATALOG_BEHIND', retryable: true });
  });

  test.each([
    ['held here are read here', 9, async () => Buffer.from('of another'), 'held here'],
    ['unknown here come from another one', undefined, async () => Buffer.from('of another'), 'of another'],
    ['that no other one holds either are looked for here', undefined, async () => undefined, 'held here'],
  ])('bytes that are %s', async (_, size, elsewhere, expected) => {
    await using fixture = await catalogFixture();
    const service = serviceOf(fixture.catalog, { sizeOf: () => size, elsewhere });
    const bytes = await service.handle({ op: 'read', sha256: SHA, offset: 0, length: 10 });
    expect(Buffer.from(bytes as Uint8Array).toString()).toBe(expected);
  });
});

test.each(['SOURCE_AWAY', 'BUSY'])('what is known of a key is told also when its content cannot be read now (%s)', async (code) => {
  await using fixture = await catalogFixture();
  await fixture.catalog.put('site/a', fields(), body('a', 10));
  const service = new FetchService({
    bus: { chunkBytes: 100, flush: async () => {} },
    catalog: fixture.catalog,
    ranges: new RangeCache(() => Promise.reject(new SluiceError(code, 'not now', { retryable: true }))),
    sizeOf: () => 10,
    patches: { offer: async () => undefined },
    blocks: NO_BLOCKS,
    clock: new FakeClock(),
    metrics: createOriginMetrics(new Registry()),
  });
  const answer = await service.handle({ op: 'resolve', key: 'site/a', have: [], inlineMaxBytes: 1_000 });
  expect(answer).toMatchObject({ ok: true, found: true, manifest: { key: 'site/a' } });
  expect(answer).not.toHaveProperty('content');
});
