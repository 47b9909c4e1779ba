import { FakeClock } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { BLOB_OVERHEAD_BYTES, CacheBudget, FULL_REST_MS, PENDING_USES_MAX } from './cache-budget.ts';

const SIZE = 1_000;
const ROOM = SIZE + BLOB_OVERHEAD_BYTES;

/** A budget over a store in memory, in the order of its ranks. */
function budgetOf(blobs: number, options: { pinned?: ReadonlySet<string>; held?: readonly string[] } = {}) {
  const ranks = new Map<string, number>((options.held ?? []).map((name, index) => [name, index]));
  const writes: number[] = [];
  let isFull = false;
  const store = {
    get totals() {
      return { count: ranks.size, bytes: ranks.size * SIZE };
    },
    lowest: (count: number) =>
      [...ranks]
        .sort((a, b) => a[1] - b[1])
        .slice(0, count)
        .map(([sha256, rank]) => ({ sha256, size: SIZE, rank })),
    delete: (sha256: string) => (ranks.delete(sha256) ? SIZE : 0),
    setRanks(changes: Iterable<readonly [string, number]>) {
      if (isFull) throw new Error('the disk is full');
      const changed = [...changes];
      writes.push(changed.length);
      for (const [sha256, rank] of changed) if (ranks.has(sha256)) ranks.set(sha256, rank);
    },
  };
  const clock = new FakeClock();
  const budget = new CacheBudget({ store, maxBytes: blobs * ROOM, isPinned: (name) => options.pinned?.has(name) === true, clock });
  return {
    ...{ budget, clock, writes, ranks },
    held: () => [...ranks.keys()].sort(),
    fillDisk: (full: boolean) => {
      isFull = full;
    },
    /** Brings one as a fill does. False: there was no room. */
    bring(name: string): boolean {
      const room = budget.reserve(SIZE);
      if (room === undefined) return false;
      ranks.set(name, budget.nextRank());
      room.release();
      return true;
    },
  };
}

test('what was used longest ago goes first, whether the use has been written yet or not', () => {
  const cache = budgetOf(3);
  for (const name of ['a', 'b', 'c']) cache.bring(name);
  cache.budget.used('a');
  cache.bring('d');
  expect(cache.held()).toEqual(['a', 'c', 'd']);
  cache.budget.used('c');
  cache.clock.advance(5_000);
  cache.bring('e');
  expect(cache.held()).toEqual(['c', 'd', 'e']);
});

test('uses within one moment keep their order, and a clock that goes back does not turn it', () => {
  const { budget, clock } = budgetOf(3);
  const ranks = Array.from({ length: 1_000 }, (_, use) => {
    if (use === 500) clock.nowMs = () => 0;
    return budget.nextRank();
  });
  expect(ranks).toEqual([...new Set(ranks)].sort((a, b) => a - b));
});

test('uses that wait to be written are bounded, and written every few seconds together', () => {
  const cache = budgetOf(3);
  for (let use = 0; use < 10 * PENDING_USES_MAX; use += 1) {
    cache.budget.used(String(use));
    expect(cache.budget.pendingUses).toBeLessThan(PENDING_USES_MAX);
  }
  expect(cache.writes).toEqual(Array(10).fill(PENDING_USES_MAX));
  for (let use = 0; use < 500; use += 1) cache.budget.used('a');
  cache.clock.advance(5_000);
  expect(cache.writes.slice(10)).toEqual([1]);
  cache.fillDisk(true);
  cache.budget.used('a');
  cache.clock.advance(5_000);
  expect(cache.budget.pendingUses).toBe(0);
});

test('what is held free for what comes is not given twice, and comes back once', () => {
  const cache = budgetOf(3);
  const rooms = [cache.budget.reserve(SIZE), cache.budget.reserve(SIZE), cache.budget.reserve(SIZE)];
  expect(cache.budget.reserve(SIZE)).toBeUndefined();
  for (const room of [...rooms, ...rooms]) room?.release();
  expect(cache.budget.reservedBytes).toBe(0);
  expect(cache.budget.reserve(3 * ROOM)).toBeUndefined();
  expect(cache.bring('a')).toBe(true);
});

test('pinned ones stay, also when many of them are in the way', () => {
  const pinned = new Set(Array.from({ length: 200 }, (_, index) => `pinned ${index}`));
  const cache = budgetOf(202, { pinned, held: [...pinned, 'a', 'b'] });
  expect([cache.bring('c'), cache.bring('d')]).toEqual([true, true]);
  expect(cache.held().filter((name) => !pinned.has(name))).toEqual(['c', 'd']);
  for (const name of ['c', 'd']) pinned.add(name);
  expect(cache.bring('e')).toBe(false);
  expect(cache.ranks.size).toBe(202);
  expect(cache.budget.reservedBytes).toBe(0);
});

test('after the disk was full there is no room for a while', () => {
  const cache = budgetOf(3);
  cache.budget.rest();
  expect(cache.bring('a')).toBe(false);
  cache.clock.advance(FULL_REST_MS);
  expect(cache.bring('a')).toBe(true);
});
