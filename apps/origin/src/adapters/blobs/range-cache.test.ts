import { expect, test } from 'vitest';
import { RangeCache } from './range-cache.ts';

test('a range is read once for all that ask while it is read, and shortly after', async () => {
  let reads = 0;
  const cache = new RangeCache(async (_, offset, length) => {
    reads += 1;
    return new Uint8Array(length).fill(offset);
  });
  const together = await Promise.all(Array.from({ length: 10 }, () => cache.read('a', 3, 4)));
  expect(together.every((bytes) => bytes.length === 4 && bytes[0] === 3)).toBe(true);
  await cache.read('a', 3, 4);
  expect(reads).toBe(1);
  await cache.read('a', 3, 5);
  await cache.read('b', 3, 4);
  expect(reads).toBe(3);
});

test('it keeps no more than its bytes, whatever is asked for', async () => {
  const cache = new RangeCache(async (_, __, length) => new Uint8Array(length), 1_000);
  for (let index = 0; index < 100; index += 1) {
    await cache.read(`blob ${index}`, 0, 100);
    expect(cache.sizeBytes).toBeLessThanOrEqual(1_000);
  }
  expect(cache.sizeBytes).toBe(1_000);
});

test('a failed read is told to all that wait, and tried again for the next', async () => {
  let reads = 0;
  const cache = new RangeCache(async () => {
    reads += 1;
    if (reads === 1) throw new Error('disk');
    return new Uint8Array(1);
  });
  const both = await Promise.allSettled([cache.read('a', 0, 1), cache.read('a', 0, 1)]);
  expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await expect(cache.read('a', 0, 1)).resolves.toHaveLength(1);
});

test('what is forgotten is read again, also what was being read', async () => {
  let reads = 0;
  const gate = Promise.withResolvers<void>();
  const cache = new RangeCache(async () => {
    reads += 1;
    if (reads === 2) await gate.promise;
    return Uint8Array.of(reads);
  });
  expect(await cache.read('a', 0, 1)).toEqual(Uint8Array.of(1));
  const underWay = cache.read('a', 1, 1);
  cache.forget('a');
  expect(await cache.read('a', 0, 1)).toEqual(Uint8Array.of(3));
  gate.resolve();
  await underWay;
  expect(await cache.read('a', 1, 1)).toEqual(Uint8Array.of(4));
  expect(await cache.read('a', 0, 1)).toEqual(Uint8Array.of(3));
});
