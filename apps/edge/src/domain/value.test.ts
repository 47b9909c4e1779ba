import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isOutdated, rank } from './value.ts';

test('a rank that is left as it was written lacks less than half of what the uses are worth', () => {
  const step = fc.record({ uses: fc.nat(50), rise: fc.double({ min: 0, max: 0.5, noNaN: true }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      let [written, uses, inflation] = [Number.NEGATIVE_INFINITY, 0, 0];
      for (const step of steps) {
        uses += 1 + step.uses;
        inflation += step.rise;
        const now = rank(inflation, uses, 1_000);
        if (isOutdated(written, now, inflation)) written = now;
        expect(now - written).toBeLessThan((now - inflation) / 2);
      }
    }),
  );
});

test('what is used a thousand times is written ten times', () => {
  let [written, writes] = [Number.NEGATIVE_INFINITY, 0];
  for (let uses = 1; uses <= 1_000; uses += 1) {
    const now = rank(3, uses, 1_000);
    if (!isOutdated(written, now, 3)) continue;
    written = now;
    writes += 1;
  }
  expect(writes).toBe(10);
});
