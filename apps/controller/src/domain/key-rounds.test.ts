import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { KeyRounds } from './key-rounds.ts';

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('key rounds', () => {
  test('what comes while a key is worked on waits together for one next round', async () => {
    const rounds: number[][] = [];
    const gate = Promise.withResolvers<void>();
    const work = new KeyRounds<number>(10, async (_key, items) => {
      rounds.push([...items]);
      await gate.promise;
    });
    work.add('a', 0);
    await settled();
    for (let item = 1; item < 100; item += 1) work.add('a', item);
    gate.resolve();
    await settled();
    expect(rounds).toEqual([[0], Array.from({ length: 99 }, (_, index) => index + 1)]);
    expect(work.keys).toBe(0);
  });

  test('no more rounds than allowed run at once, none of one key, and every item is worked on exactly once, in its order', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { maxLength: 60 }),
        fc.integer({ min: 1, max: 3 }),
        async (keys, max) => {
          const running = new Set<string>();
          const done: { key: string; item: number }[] = [];
          const work = new KeyRounds<number>(max, async (key, items) => {
            expect(running.has(key)).toBe(false);
            running.add(key);
            expect(running.size).toBeLessThanOrEqual(max);
            await settled();
            for (const item of items) done.push({ key, item });
            running.delete(key);
          });
          for (const [item, key] of keys.entries()) {
            work.add(key, item);
            if (item % 7 === 0) await settled();
          }
          while (work.keys > 0) await settled();
          expect(done.map(({ item }) => item).sort((a, b) => a - b)).toEqual(keys.map((_key, item) => item));
          for (const key of new Set(keys)) {
            const items = done.filter((entry) => entry.key === key).map(({ item }) => item);
            expect(items).toEqual([...items].sort((a, b) => a - b));
          }
        },
      ),
      { numRuns: 30 },
    );
  });
});
