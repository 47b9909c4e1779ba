import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatHttpDate, parseHttpDate } from './http-date.ts';

const EXAMPLE_MS = Date.UTC(1994, 10, 6, 8, 49, 37);

test.each(['Sun, 06 Nov 1994 08:49:37 GMT', 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994'])(
  '%s is the example of RFC 9110 §5.6.7',
  (text) => {
    expect(parseHttpDate(text)).toBe(EXAMPLE_MS);
    expect(formatHttpDate(EXAMPLE_MS)).toBe('Sun, 06 Nov 1994 08:49:37 GMT');
  },
);

test.each([
  '',
  '0',
  '-1',
  'now',
  '1994-11-06T08:49:37Z',
  'Sun, 6 Nov 1994 08:49:37 GMT',
  'Sun, 06 Nov 1994 08:49:37 UTC',
  'Sun, 06 Nov 1994 08:49:37 +0100',
  'sun, 06 nov 1994 08:49:37 gmt',
  'Sun, 31 Feb 1994 08:49:37 GMT',
  'Sun, 06 Nov 1994 24:00:00 GMT',
  'Sun, 06 Nov 1994 08:60:00 GMT',
  'Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT',
  undefined,
])('%j is no HTTP-date', (text) => {
  expect(parseHttpDate(text)).toBeUndefined();
});

test('a leap second is the last second of its minute', () => {
  expect(parseHttpDate('Sat, 31 Dec 2016 23:59:60 GMT')).toBe(Date.UTC(2016, 11, 31, 23, 59, 59));
});

test('a two-digit year more than 50 years ahead is one of the past', () => {
  const now = Date.UTC(2026, 0, 1);
  expect(parseHttpDate('Friday, 01-Jan-76 00:00:00 GMT', now)).toBe(Date.UTC(2076, 0, 1));
  expect(parseHttpDate('Friday, 01-Jan-77 00:00:00 GMT', now)).toBe(Date.UTC(1977, 0, 1));
});

test('what is written is read back, to the second', () => {
  const years = { min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true };
  fc.assert(
    fc.property(fc.date(years), (date) => {
      expect(parseHttpDate(formatHttpDate(date.getTime()))).toBe(Math.floor(date.getTime() / 1000) * 1000);
    }),
  );
});

test('no text takes long or throws', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      expect(parseHttpDate(text) ?? 0).toBeTypeOf('number');
    }),
  );
});
