import fc from 'fast-check';
import { LRUCache } from 'lru-cache';
import { expect, test } from 'vitest';
import { S3Fifo } from './s3-fifo.ts';

test('it never holds more than its bound, whatever is put, asked for and deleted, and remembers no more names than it holds items', () => {
  const step = fc.record({
    what: fc.constantFrom('set', 'get', 'delete'),
    name: fc.nat(200).map(String),
    size: fc.integer({ min: 0, max: 120 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 2_000 }), (steps) => {
      const cache = new S3Fifo<number>(1_000);
      const sizes = new Map<string, number>();
      for (const { what, name, size } of steps) {
        if (what === 'set' && !cache.has(name)) sizes.set(name, size);
        if (what === 'set') cache.set(name, sizes.get(name) ?? size, sizes.get(name) ?? size);
        else if (what === 'get') expect([undefined, sizes.get(name)]).toContain(cache.get(name));
        else cache.delete(name);
        expect(cache.sizeBytes).toBeLessThanOrEqual(1_000);
        expect(cache.ghosts).toBeLessThanOrEqual(Math.max(1, cache.count));
      }
      const held = [...sizes.keys()].filter((name) => cache.has(name));
      expect(held.length).toBe(cache.count);
      expect(held.reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0)).toBe(cache.sizeBytes);
    }),
  );
});

test('ten times as much as it holds leaves it full, and no fuller', () => {
  const cache = new S3Fifo<string>(10_000);
  for (let index = 0; index < 1_000; index += 1) cache.set(String(index), 'x', 100);
  expect([cache.count, cache.sizeBytes]).toEqual([100, 10_000]);
});

test('a scan of what nobody asks for twice leaves what is asked for where it is', () => {
  const cache = new S3Fifo<string>(10_000);
  const wanted = Array.from({ length: 80 }, (_, index) => `wanted-${index}`);
  const ask = (name: string): boolean => {
    const hit = cache.get(name) !== undefined;
    if (!hit) cache.set(name, name, 100);
    return hit;
  };
  for (let round = 0; round < 3; round += 1) for (const name of wanted) ask(name);
  for (let index = 0; index < 5_000; index += 1) ask(`scan-${index}`);
  expect(wanted.filter((name) => cache.has(name)).length).toBeGreaterThan(75);
});

test('what comes back after it has just gone stays', () => {
  const cache = new S3Fifo<string>(1_000);
  for (let index = 0; index < 10; index += 1) cache.set(`main-${index}`, 'x', 100);
  for (let index = 0; index < 10; index += 1) cache.get(`main-${index}`);
  cache.set('gone', 'x', 100);
  for (let index = 0; index < 3; index += 1) cache.set(`scan-${index}`, 'x', 100);
  expect(cache.has('gone')).toBe(false);
  cache.set('gone', 'x', 100);
  for (let index = 3; index < 13; index += 1) cache.set(`scan-${index}`, 'x', 100);
  expect(cache.has('gone')).toBe(true);
});

test('an item larger than the small queue is not taken', () => {
  const cache = new S3Fifo<string>(1_000);
  cache.set('large', 'x', 101);
  cache.set('fits', 'x', 100);
  expect([cache.has('large'), cache.has('fits')]).toEqual([false, true]);
});

test('on a Zipf trace with scans it hits more often than LRU', () => {
  let state = 42;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const objects = 10_000;
  const cumulative: number[] = [];
  for (let rank = 1, sum = 0; rank <= objects; rank += 1) {
    sum += 1 / rank ** 0.9;
    cumulative.push(sum);
  }
  const total = cumulative.at(-1) ?? 1;
  const zipf = (): string => {
    const at = random() * total;
    let [low, high] = [0, objects - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((cumulative[middle] ?? 0) < at) low = middle + 1;
      else high = middle;
    }
    return String(low);
  };
  const s3fifo = new S3Fifo<true>(500);
  const lru = new LRUCache<string, true>({ max: 500 });
  const hits = { s3fifo: 0, lru: 0 };
  for (let request = 0, scan = 0; request < 100_000; request += 1) {
    const name = request % 5 === 0 ? `scan-${scan++}` : zipf();
    if (s3fifo.get(name)) hits.s3fifo += 1;
    else s3fifo.set(name, true, 1);
    if (lru.get(name)) hits.lru += 1;
    else lru.set(name, true);
  }
  expect(hits.s3fifo).toBeGreaterThan(1.1 * hits.lru);
});
