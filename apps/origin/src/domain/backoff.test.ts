import { expect, test } from 'vitest';
import { backoffMs } from './backoff.ts';

test('the wait after failures doubles up to its limit and is shortened by chance by half at most', () => {
  const limits = { firstMs: 100, maxMs: 1_000 };
  expect([1, 2, 3, 4, 5, 100].map((failures) => backoffMs(failures, limits, () => 1))).toEqual([100, 200, 400, 800, 1_000, 1_000]);
  expect(backoffMs(3, limits, () => 0)).toBe(200);
});
