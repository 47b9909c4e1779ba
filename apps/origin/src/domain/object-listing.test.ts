import fc from 'fast-check';
import { expect, test } from 'vitest';
import { prefixRange } from './object-listing.ts';

const compare = (a: string, b: string | Uint8Array): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
const text = fc.string({
  unit: fc.constantFrom('a', 'b', '/', '\u007f', '\u07ff', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}'),
  maxLength: 6,
});

test('in the order of UTF-8 bytes its end comes after all that begin with the prefix and before all else that does', () => {
  fc.assert(
    fc.property(text, text, (prefix, other) => {
      const { from, to } = prefixRange(prefix);
      const isBefore = (key: string): boolean => compare(key, to) < 0;
      expect(compare(prefix + other, from)).toBeGreaterThanOrEqual(0);
      expect(isBefore(prefix + other)).toBe(true);
      if (!other.startsWith(prefix) && compare(other, prefix) > 0) expect(isBefore(other)).toBe(false);
    }),
  );
});
