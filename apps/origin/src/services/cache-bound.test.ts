/** The bound of the cache, and what it may never cost: right bytes. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { BlobStore, INLINE_MAX_BYTES, type Operate } from '@sluice/blobs';
import { eventually, temporaryDirectory } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { repeating } from '../testing/scripted-source.fixture.ts';
import { checkCache, readInOrder, type SourcedFixture, sourcedFixture } from '../testing/sourced-blobs.fixture.ts';
import { BLOB_OVERHEAD_BYTES, FULL_REST_MS } from './cache-budget.ts';
import { LONG_FILLS_MAX, SHORT_FILLS_MAX, WAITING_FILLS_MAX } from './sourced-blobs.ts';

const MIB = 1024 * 1024;

/** The same numbers for the same seed, https://en.wikipedia.org/wiki/Linear_congruential_generator */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** `size` bytes that only `seed` decides. */
function bytesOf(seed: number, size: number): Buffer {
  const next = numbers(seed);
  const pattern = Uint8Array.from({ length: 997 }, () => next(256));
  return Buffer.alloc(size, pattern);
}

/** The most bytes that the store held after any change. */
function watched() {
  let store: BlobStore | undefined;
  let most = 0;
  const operate: Operate = (label, operation) => {
    const result = operation();
    // The totals follow in the same turn.
    if (label === 'BLOB_COMMIT:TRANSACTION') queueMicrotask(() => (most = Math.max(most, store?.totals.bytes ?? 0)));
    return result;
  };
  return { operate, watch: (watchedStore: BlobStore) => (store = watchedStore), most: () => most };
}

test.each([1, 2])(
  'under random load from many readers the cache never holds more than its bound, uses it, and gives right bytes (seed %i)',
  async (seed) => {
    const maxBytes = 4 * MIB;
    const held = watched();
    await using fixture = await sourcedFixture({ maxBytes }, held.operate);
    held.watch(fixture.store);
    const next = numbers(seed);
    const objects = Array.from({ length: 120 }, (_, index) => {
      const bytes = bytesOf(seed * 1_000 + index, 1 + next(index % 3 === 0 ? 1_400_000 : 150_000));
      return { bytes, name: fixture.add(`site/${index}`, bytes) };
    });
    const reader = async (): Promise<void> => {
      for (let round = 0; round < 25; round += 1) {
        const { bytes, name } = objects[next(objects.length)] as (typeof objects)[number];
        if (next(2) === 0) expect((await readInOrder(fixture.blobs, name, 50_000)).equals(bytes)).toBe(true);
        else {
          const open = await fixture.blobs.reader(name);
          const offset = next(bytes.byteLength);
          const read = await open.read(offset, 70_000);
          await open.close();
          expect(Buffer.from(read).equals(bytes.subarray(offset, offset + 70_000))).toBe(true);
        }
        expect(fixture.blobs.load.usedBytes).toBeLessThanOrEqual(maxBytes);
      }
    };
    await Promise.all(Array.from({ length: 16 }, reader));
    await checkCache(fixture);
    expect(held.most()).toBeLessThanOrEqual(maxBytes);
    expect(held.most()).toBeGreaterThan(maxBytes / 2);
    expect(await fixture.metric('cacheEvictions')).toBeGreaterThan(100);
    expect(fixture.blobs.load).toMatchObject({ fills: 0, fillingBytes: 0, waitingFills: 0, reservedBytes: 0 });
  },
);

test('who reads a blob that is evicted meanwhile gets all of it', async () => {
  await using fixture = await sourcedFixture({ maxBytes: MIB });
  const bytes = bytesOf(1, 200_000);
  const small = bytesOf(2, 1_000);
  const names = [fixture.add('site/a', bytes), fixture.add('site/b', small)];
  const readers = await Promise.all(
    names.map(async (name) => {
      await fixture.blobs.readAll(name);
      await fixture.blobs.idle();
      return fixture.blobs.reader(name);
    }),
  );
  for (let index = 0; index < 10; index += 1) await fixture.blobs.readAll(fixture.add(`site/${index}`, bytesOf(10 + index, 200_000)));
  for (const name of names) expect(fixture.blobs.has(name)).toBe(false);
  fixture.source.isAway = true;
  expect(Buffer.from((await readers[0]?.read(0, 200_000)) ?? []).equals(bytes)).toBe(true);
  expect(Buffer.from((await readers[1]?.read(0, 1_000)) ?? []).equals(small)).toBe(true);
  for (const reader of readers) await reader.close();
});

test('very many very small blobs are bounded too, by what each takes beside its bytes', async () => {
  const maxBytes = 100 * (BLOB_OVERHEAD_BYTES + 3);
  await using fixture = await sourcedFixture({ maxBytes });
  for (let index = 0; index < 1_000; index += 1)
    await fixture.blobs.readAll(fixture.add(`site/${index}`, Buffer.from(String(index).padStart(3, '0'))));
  expect(fixture.store.totals.count).toBe(100);
});

describe('fills', () => {
  /** All of them hang until they are let go. */
  async function hanging(count: number, size: number, maxBytes: number) {
    const fixture = await sourcedFixture({ maxBytes });
    const { promise, resolve } = Promise.withResolvers<void>();
    fixture.source.onChunk = () => promise;
    const reads = Array.from({ length: count }, (_, index) => fixture.blobs.readAll(fixture.add(`site/${index}`, bytesOf(index, size))));
    const outcomes = Promise.allSettled(reads);
    await eventually(() => expect(fixture.source.openings.size).toBeGreaterThan(0));
    return { fixture, outcomes, letGo: resolve };
  }

  test.each([
    ['short', 100, SHORT_FILLS_MAX],
    ['long', 1_100_000, LONG_FILLS_MAX],
  ])('that are %s are bounded by number, those that wait too, and more are refused at once', async (_kind, size, most) => {
    const { fixture, outcomes, letGo } = await hanging(most + WAITING_FILLS_MAX + 50, size, 100 * MIB);
    await using _ = fixture;
    await eventually(() => expect(fixture.blobs.load).toMatchObject({ fills: most, waitingFills: WAITING_FILLS_MAX }));
    await eventually(() => expect(fixture.source.openings.size).toBe(most));
    if (size > 100) await fixture.blobs.stop();
    else letGo();
    const busy = (await outcomes).filter((outcome) => outcome.status === 'rejected' && outcome.reason.code === 'BUSY');
    expect(busy).toHaveLength(50);
    for (const outcome of busy) expect(outcome).toMatchObject({ reason: { retryable: true } });
    expect(fixture.source.openingsMax).toBe(most);
  });

  test.each([
    ['short', 900_000, 1 / 4, 1],
    ['long', 1_048_577, 1 / 2, 2],
  ])('that are %s have at most their share of the cache together', async (_kind, size, share, most) => {
    const maxBytes = 5 * MIB;
    const { fixture, outcomes, letGo } = await hanging(20, size, maxBytes);
    await using _ = fixture;
    await eventually(() => expect(fixture.blobs.load).toMatchObject({ fills: most, waitingFills: 20 - most }));
    expect(fixture.blobs.load.fillingBytes).toBeLessThanOrEqual(maxBytes * share);
    letGo();
    for (const { status } of await outcomes) expect(status).toBe('fulfilled');
    expect(fixture.source.openingsMax).toBe(most);
  });

  test('that are short do not wait for long ones', async () => {
    await using fixture = await sourcedFixture({ maxBytes: 100 * MIB });
    const held = Promise.withResolvers<void>();
    fixture.source.onChunk = (key) => (key.startsWith('site/long') ? held.promise : undefined);
    const long = Array.from({ length: 20 }, (_, index) =>
      fixture.blobs.readAll(fixture.add(`site/long/${index}`, bytesOf(index, 1_100_000))),
    );
    const bytes = bytesOf(100, 1_000);
    expect(Buffer.from(await fixture.blobs.readAll(fixture.add('site/short', bytes))).equals(bytes)).toBe(true);
    held.resolve();
    await Promise.all(long);
  });
});

describe('after a restart', () => {
  const SIZE = 200_000;
  const readAt = async (fixture: SourcedFixture, name: string): Promise<void> => {
    fixture.clock.advance(1_000);
    await fixture.blobs.readAll(name);
  };

  test('what was in the cache is read from it, and what was used longest ago still goes first', async () => {
    await using fixture = await sourcedFixture({ maxBytes: 5 * (SIZE + BLOB_OVERHEAD_BYTES) });
    const names = Array.from({ length: 5 }, (_, index) => fixture.add(`site/${index}`, bytesOf(index, SIZE)));
    for (const name of [...names, names[0], names[2]]) await readAt(fixture, name as string);
    await fixture.restart();
    const reads = fixture.source.reads.length;
    for (const index of [0, 2]) await readAt(fixture, names[index] as string);
    expect(fixture.source.reads).toHaveLength(reads);
    await fixture.restart();
    for (const extra of [10, 11]) await readAt(fixture, fixture.add(`site/${extra}`, bytesOf(extra, SIZE)));
    expect(names.map((name) => fixture.blobs.has(name))).toEqual([true, false, true, false, true]);
  });

  test('with a smaller bound the rest goes at once', async () => {
    await using fixture = await sourcedFixture({ maxBytes: 5 * (SIZE + BLOB_OVERHEAD_BYTES) });
    for (let index = 0; index < 5; index += 1) await readAt(fixture, fixture.add(`site/${index}`, bytesOf(index, SIZE)));
    await fixture.restart({ maxBytes: 2 * (SIZE + BLOB_OVERHEAD_BYTES) });
    expect(fixture.store.totals.count).toBe(2);
    await checkCache(fixture);
  });
});

test('killed at any moment while fills come and go, what the next start finds has the right bytes, and nothing else is left', async () => {
  await using copies = await temporaryDirectory();
  const taken: string[] = [];
  let live = '';
  let operations = 0;
  const operate: Operate = (_label, operation) => {
    const result = operation();
    operations += 1;
    // The directory as it is in this moment is what a process that dies now leaves.
    if (live !== '' && operations % 2 === 0 && taken.length < 40) {
      const copy = join(copies.path, String(taken.length));
      cpSync(live, copy, { recursive: true });
      taken.push(copy);
    }
    return result;
  };
  const maxBytes = 1_200_000;
  await using fixture = await sourcedFixture({ maxBytes }, operate);
  live = fixture.dir;
  const contents = Array.from({ length: 20 }, (_, index) => bytesOf(index, 1_000 + index * 14_000));
  const names = contents.map((bytes, index) => fixture.add(`site/${index}`, bytes));
  await Promise.all(names.map((name) => readInOrder(fixture.blobs, name)));
  live = '';
  expect(taken).toHaveLength(40);
  let found = 0;
  for (const dir of taken) {
    const store = await BlobStore.open({ dir, durability: 'relaxed' });
    for (const { sha256 } of store.list()) {
      expect(Buffer.from(await store.readAll(sha256)).equals(contents[names.indexOf(sha256)] as Buffer)).toBe(true);
      found += 1;
    }
    expect(store.totals.bytes).toBeLessThanOrEqual(maxBytes);
    store.close();
  }
  expect(found).toBeGreaterThan(40);
});

test('pinned bytes are never evicted; when there is no room beside them the rest is read straight', async () => {
  const size = INLINE_MAX_BYTES + 1;
  await using fixture = await sourcedFixture({ maxBytes: 5 * (size + BLOB_OVERHEAD_BYTES) });
  const names = Array.from({ length: 5 }, (_, index) => fixture.add(`site/${index}`, bytesOf(index, size)));
  for (const name of names) {
    fixture.pinned.add(name);
    await fixture.blobs.readAll(name);
    await fixture.blobs.idle();
  }
  const more = bytesOf(100, size);
  const another = fixture.add('site/more', more);
  for (let round = 0; round < 3; round += 1) expect(Buffer.from(await fixture.blobs.readAll(another)).equals(more)).toBe(true);
  for (const name of names) expect(fixture.blobs.has(name)).toBe(true);
  expect([fixture.blobs.has(another), await fixture.blobs.bring(another)]).toEqual([false, false]);
  fixture.pinned.delete(names[3] as string);
  expect(await fixture.blobs.bring(another)).toBe(true);
  expect(names.map((name) => fixture.blobs.has(name))).toEqual([true, true, true, false, true]);
});

test('bytes that are made count, make room for themselves, and are refused when there cannot be any', async () => {
  const maxBytes = 10 * 10_000;
  await using fixture = await sourcedFixture({ maxBytes });
  const make = async (bytes: Buffer): Promise<string> => {
    const writer = fixture.blobs.writer();
    try {
      for (let at = 0; at < bytes.byteLength; at += 3_000) await writer.write(bytes.subarray(at, at + 3_000));
      return (await writer.finish()).sha256;
    } finally {
      await writer.discard();
    }
  };
  for (let index = 0; index < 50; index += 1) {
    await make(bytesOf(index, 9_000));
    expect(fixture.blobs.load.usedBytes).toBeLessThanOrEqual(maxBytes);
  }
  expect(fixture.store.totals.count).toBe(10);
  await expect(make(bytesOf(100, maxBytes))).rejects.toMatchObject({ code: 'CACHE_FULL', retryable: true });
  expect(fixture.blobs.load.reservedBytes).toBe(0);
  expect(fixture.blobs.has(await make(bytesOf(101, 9_000)))).toBe(true);
});

test.each([
  ['before anything is there', 'BLOB_WRITE:CREATE', 0],
  ['in the middle', 'BLOB_WRITE:WRITE', 2],
])('on a disk that is full %s content is read straight, and kept again when there is room', async (when, at, after) => {
  let left = after;
  const operate: Operate = (label, operation) => {
    if (label === at) left -= 1;
    if (left < 0) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
    return operation();
  };
  await using fixture = await sourcedFixture({}, operate);
  const bytes = bytesOf(1, 300_000);
  const name = fixture.add('site/a', bytes);
  // Who has begun to read what comes is cut off.
  if (when === 'in the middle') await expect(fixture.blobs.readAll(name)).rejects.toMatchObject({ code: 'DISK_FULL', retryable: true });
  for (let round = 0; round < 2; round += 1) expect(Buffer.from(await fixture.blobs.readAll(name)).equals(bytes)).toBe(true);
  expect(fixture.blobs.has(name)).toBe(false);
  left = Number.POSITIVE_INFINITY;
  fixture.clock.advance(FULL_REST_MS);
  await fixture.blobs.readAll(name);
  await fixture.blobs.idle();
  expect(fixture.blobs.has(name)).toBe(true);
});

test('an object of 300 MB is read, filled and named with memory that does not grow with it', async () => {
  const size = 300 * MIB;
  const pattern = bytesOf(5, 64 * 1024);
  const content = repeating(pattern, size);
  await using fixture = await sourcedFixture({ maxBytes: 2_000 * MIB });
  const name = fixture.add('site/a', content);
  const base = process.memoryUsage().arrayBuffers;
  let most = 0;
  fixture.source.onChunk = () => {
    most = Math.max(most, process.memoryUsage().arrayBuffers - base);
  };
  const piece = Buffer.allocUnsafeSlow(256 * 1024);
  const readThrough = async (): Promise<void> => {
    const reader = await fixture.blobs.reader(name);
    await reader.prepare?.({ start: 0, end: size - 1 });
    for (let at = 0; at < size; at += piece.byteLength) {
      await reader.readInto(piece, at);
      if (piece[0] !== pattern[0]) throw new Error('other bytes');
    }
    await reader.close();
  };
  await readThrough();
  await fixture.blobs.idle();
  expect(fixture.blobs.has(name)).toBe(true);
  await fixture.restart({ maxBytes: 100 * MIB });
  await readThrough();
  expect(fixture.blobs.has(name)).toBe(false);
  const object = fixture.known.get(name)?.object;
  const named = object && (await fixture.blobs.ingest(object, await fixture.source.open(object)));
  expect(named).toMatchObject({ sha256: name, size });
  expect(fixture.source.reads).toHaveLength(3);
  expect(most).toBeLessThan(64 * MIB);
}, 60_000);
