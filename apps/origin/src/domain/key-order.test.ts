import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareUtf8 } from './key-order.ts';

test('strings are in the order of their UTF-8 bytes', () => {
  const text = fc.string({
    unit: fc.constantFrom('', '-', '.', '/', '0', 'a', 'é', '\ud7ff', '\ue000', '\uff5e', '\uffff', '\u{10000}', '\u{1f600}'),
    maxLength: 4,
  });
  fc.assert(
    fc.property(text, text, (a, b) => {
      expect(Math.sign(compareUtf8(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
    }),
    { numRuns: 2_000 },
  );
});
