import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mapBounded } from './bounded-map.ts';
import { EXIT, worstOf } from './failure.ts';

describe('bounded map', () => {
  test('keeps the order, reaches its limit and never passes it', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat()), fc.integer({ min: 1, max: 9 }), async (items, limit) => {
        let underWay = 0;
        let most = 0;
        const results = await mapBounded(items, limit, async (item) => {
          most = Math.max(most, ++underWay);
          await new Promise((resolve) => setImmediate(resolve));
          underWay--;
          return item * 2;
        });
        expect(results).toEqual(items.map((item) => item * 2));
        expect(most).toBe(Math.min(limit, items.length));
      }),
      { numRuns: 30 },
    );
  });

  test('a failure begins nothing further and is thrown when the rest has ended', async () => {
    const begun: number[] = [];
    const map = async (item: number): Promise<void> => {
      begun.push(item);
      await new Promise((resolve) => setImmediate(resolve));
      if (item === 1) throw new Error('one');
    };
    await expect(mapBounded([0, 1, 2, 3, 4, 5, 6, 7], 2, map)).rejects.toThrow('one');
    expect(begun).toEqual([0, 1, 2]);
  });
});

test('of several endings the most serious is the command’s', () => {
  expect(worstOf([])).toBe(EXIT.OK);
  expect(worstOf([EXIT.OK, EXIT.NOT_DISTRIBUTED, EXIT.OK])).toBe(EXIT.NOT_DISTRIBUTED);
  expect(worstOf([EXIT.NOT_DISTRIBUTED, EXIT.FAILED])).toBe(EXIT.FAILED);
  expect(worstOf([EXIT.FAILED, EXIT.UNREACHABLE])).toBe(EXIT.UNREACHABLE);
});
