import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mintVersion } from './version.ts';

test('a version is the clock in microseconds when that is newer than the last', () => {
  expect(mintVersion(1_700_000_000_000, 5)).toBe(1_700_000_000_000_000);
});

test('versions grow strictly and stay safe integers, whatever the clock does', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 8e12, noNaN: true }), { minLength: 2 }), (clock) => {
      let last = 0;
      for (const nowMs of clock) {
        const next = mintVersion(nowMs, last);
        expect(next).toBeGreaterThan(last);
        expect(Number.isSafeInteger(next)).toBe(true);
        last = next;
      }
    }),
  );
});
