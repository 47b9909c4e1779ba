import { expect, test } from 'vitest';
import { seededRandom, zipfRanks } from './zipf.ts';

test('the same seed draws the same ranks, another one others', () => {
  const draw = (seed: number): number[] => Array.from({ length: 100 }, zipfRanks(1_000, 0.9, seededRandom(seed)));
  expect(draw(1)).toEqual(draw(1));
  expect(draw(1)).not.toEqual(draw(2));
});

test('random numbers are at least 0, below 1 and spread evenly', () => {
  const random = seededRandom(7);
  const tenths = new Array(10).fill(0);
  for (let draw = 0; draw < 100_000; draw += 1) tenths[Math.floor(random() * 10)] += 1;
  expect(tenths).toHaveLength(10);
  for (const count of tenths) expect(Math.abs(count - 10_000)).toBeLessThan(500);
});

test('a rank comes with a frequency of 1 / (rank + 1) ** exponent, and none beyond the last', () => {
  const [objects, draws, exponent] = [50, 200_000, 0.9];
  const counts = new Array(objects).fill(0);
  const next = zipfRanks(objects, exponent, seededRandom(3));
  for (let draw = 0; draw < draws; draw += 1) counts[next()] += 1;
  expect(counts).toHaveLength(objects);
  const total = counts.map((_, rank) => 1 / (rank + 1) ** exponent).reduce((sum, share) => sum + share);
  for (const [rank, count] of counts.entries()) {
    const expected = draws / (rank + 1) ** exponent / total;
    expect(Math.abs(count - expected), `rank ${rank}`).toBeLessThan(5 * Math.sqrt(expected));
  }
});
