import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { codingWeights, preferredCoding } from './accept-encoding.ts';
import { DELTA_SECONDS_MAX, parseCacheControl, secondsOf } from './cache-control.ts';
import { listMembers } from './fields.ts';

/** In the order of a server that prefers the smallest. */
const AVAILABLE = ['br', 'zstd', 'gzip', 'identity'] as const;

describe('Accept-Encoding (RFC 9110 §12.5.3)', () => {
  test.each([
    [undefined, 'br'],
    ['', 'identity'],
    ['gzip', 'gzip'],
    ['compress, gzip', 'gzip'],
    ['*', 'br'],
    ['compress;q=0.5, gzip;q=1.0', 'gzip'],
    ['gzip;q=1.0, identity; q=0.5, *;q=0', 'gzip'],
    ['gzip, deflate, br, zstd', 'br'],
    ['gzip, deflate, br;q=0.9', 'gzip'],
    ['br;q=0, *', 'zstd'],
    ['br;q=0.001, identity;q=1', 'identity'],
    ['GZIP', 'gzip'],
    ['x-gzip', 'gzip'],
    ['deflate', 'identity'],
    ['gzip;q=0', 'identity'],
    ['identity;q=0', undefined],
    ['*;q=0', undefined],
    ['*;q=0, identity;q=0.1', 'identity'],
    ['identity;q=0, gzip;q=0.1', 'gzip'],
    ['gzip;q=2', 'identity'],
    ['gzip;q=0.1234', 'identity'],
    ['gzip;level=9', 'identity'],
    ['gzip; q=0.5 , br; q=0.5', 'br'],
    [',,gzip,,', 'gzip'],
  ])('%j chooses %s', (field, coding) => {
    expect(preferredCoding(field, AVAILABLE)).toBe(coding);
  });

  test('never is something chosen that was excluded', () => {
    const member = fc.tuple(fc.constantFrom('br', 'gzip', 'identity', '*', 'deflate'), fc.constantFrom('', ';q=0', ';q=0.5', ';q=1'));
    fc.assert(
      fc.property(fc.uniqueArray(member, { selector: ([name]) => name }), (members) => {
        const chosen = preferredCoding(members.map((parts) => parts.join('')).join(', '), AVAILABLE);
        const weight = new Map<string, string>(members);
        if (chosen !== undefined) expect(weight.get(chosen) ?? (chosen === 'identity' ? weight.get('*') : undefined)).not.toBe(';q=0');
      }),
    );
    expect(codingWeights('gzip;q=0.3')('gzip')).toBe(0.3);
  });
});

describe('Cache-Control (RFC 9111 §5.2)', () => {
  test.each([
    ['max-age=60', 'max-age', 60],
    ['Max-Age=60', 'max-age', 60],
    ['max-age="60"', 'max-age', 60],
    ['max-age=60, max-age=1', 'max-age', 60],
    ['private="set-cookie, x", s-maxage=5', 's-maxage', 5],
    ['max-age', 'max-age', 0],
    ['max-age=', 'max-age', undefined],
    ['max-age=-1', 'max-age', 0],
    ['max-age=1.5', 'max-age', 0],
    ['max-age=99999999999999999999', 'max-age', DELTA_SECONDS_MAX],
    ['no-store', 'max-age', undefined],
    ['ext="max-age=5"', 'max-age', undefined],
  ])('%s: %s is %s', (field, name, seconds) => {
    expect(secondsOf(parseCacheControl(field), name)).toBe(seconds);
  });

  test('a quoted argument may have commas and escaped quotes, and hides what is inside', () => {
    const directives = parseCacheControl('private="a, no-store, \\"b\\"", must-revalidate');
    expect([...directives]).toEqual([
      ['private', 'a, no-store, "b"'],
      ['must-revalidate', undefined],
    ]);
  });

  test('no field takes long or throws', () => {
    fc.assert(
      fc.property(fc.string(), (field) => {
        expect(parseCacheControl(field).size).toBeLessThanOrEqual(field.length);
      }),
    );
    expect(parseCacheControl(`a="${'\\'.repeat(50_000)}`).size).toBe(0);
    expect(listMembers('"\\'.repeat(50_000)).length).toBeLessThanOrEqual(1);
    expect(listMembers('a, "b, c", d\\, "e')).toEqual(['a', '"b, c"', 'd\\', '"e']);
  });
});
