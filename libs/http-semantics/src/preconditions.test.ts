import { describe, expect, test } from 'vitest';
import { listNames, matchesStrongly, matchesWeakly } from './entity-tag.ts';
import type { Fields } from './fields.ts';
import { evaluatePreconditions, rangeApplies } from './preconditions.ts';

const SAME = 'Sat, 29 Oct 1994 19:43:31 GMT';
const EARLIER = 'Sat, 29 Oct 1994 19:43:30 GMT';
const LATER = 'Sat, 29 Oct 1994 19:43:32 GMT';
const validators = { etag: '"xyzzy"', lastModifiedMs: Date.parse(SAME) + 321 };

describe('comparison of entity tags: the table of RFC 9110 §8.8.3.2', () => {
  test.each([
    ['W/"1"', 'W/"1"', false, true],
    ['W/"1"', 'W/"2"', false, false],
    ['W/"1"', '"1"', false, true],
    ['"1"', '"1"', true, true],
  ])('%s and %s: strong %s, weak %s', (a, b, strong, weak) => {
    expect([matchesStrongly(a, b), matchesWeakly(a, b)]).toEqual([strong, weak]);
    expect([matchesStrongly(b, a), matchesWeakly(b, a)]).toEqual([strong, weak]);
  });
});

describe('preconditions', () => {
  test.each<[string, Fields, string]>([
    ['none', {}, 'proceed'],
    ['If-Match with the tag (§13.1.1)', { 'if-match': '"xyzzy"' }, 'proceed'],
    ['If-Match in a list: the example of §13.1.1', { 'if-match': '"xyzzy", "r2d2xxxx", "c3piozzzz"' }, 'proceed'],
    ['If-Match over several lines', { 'if-match': ['"a"', '"xyzzy"'] }, 'proceed'],
    ['If-Match *', { 'if-match': ' * ' }, 'proceed'],
    ['If-Match with the weak tag', { 'if-match': 'W/"xyzzy"' }, 'failed'],
    ['If-Match with another', { 'if-match': '"r2d2xxxx"' }, 'failed'],
    ['If-Match with what is no tag', { 'if-match': 'xyzzy' }, 'failed'],
    ['If-Match that names the tag inside of another one', { 'if-match': '"a,\\"xyzzy\\""' }, 'failed'],
    ['If-Match holds: If-Unmodified-Since is not looked at (§13.2.2)', { 'if-match': '*', 'if-unmodified-since': EARLIER }, 'proceed'],
    ['If-Match fails before If-None-Match', { 'if-match': '"a"', 'if-none-match': '"xyzzy"' }, 'failed'],
    ['If-Unmodified-Since the same second (§13.1.4)', { 'if-unmodified-since': SAME }, 'proceed'],
    ['If-Unmodified-Since earlier', { 'if-unmodified-since': EARLIER }, 'failed'],
    ['If-Unmodified-Since with no date', { 'if-unmodified-since': 'yesterday' }, 'proceed'],
    ['If-Unmodified-Since in ISO 8601, which is no HTTP-date', { 'if-unmodified-since': '1994-01-01T00:00:00Z' }, 'proceed'],
    ['If-Unmodified-Since holds, then If-None-Match', { 'if-unmodified-since': LATER, 'if-none-match': '"xyzzy"' }, 'not-modified'],
    ['If-None-Match with the tag (§13.1.2)', { 'if-none-match': '"xyzzy"' }, 'not-modified'],
    ['If-None-Match with the weak tag', { 'if-none-match': 'W/"xyzzy"' }, 'not-modified'],
    ['If-None-Match in a list: the example of §13.1.2', { 'if-none-match': 'W/"xyzzy", W/"r2d2xxxx", W/"c3piozzzz"' }, 'not-modified'],
    ['If-None-Match with a comma in a tag before it', { 'if-none-match': '"a,b", "xyzzy"' }, 'not-modified'],
    ['If-None-Match *', { 'if-none-match': '*' }, 'not-modified'],
    ['If-None-Match with another', { 'if-none-match': '"a"' }, 'proceed'],
    ['If-None-Match, empty', { 'if-none-match': '' }, 'proceed'],
    ['If-None-Match wins over If-Modified-Since (§13.1.3)', { 'if-none-match': '"a"', 'if-modified-since': LATER }, 'proceed'],
    ['If-Modified-Since the same second', { 'if-modified-since': SAME }, 'not-modified'],
    ['If-Modified-Since in the form of RFC 850', { 'if-modified-since': 'Saturday, 29-Oct-94 19:43:31 GMT' }, 'not-modified'],
    ['If-Modified-Since in the form of asctime', { 'if-modified-since': 'Sat Oct 29 19:43:31 1994' }, 'not-modified'],
    ['If-Modified-Since earlier', { 'if-modified-since': EARLIER }, 'proceed'],
    ['If-Modified-Since with no date', { 'if-modified-since': '0' }, 'proceed'],
    ['If-Modified-Since twice is no date', { 'if-modified-since': [SAME, SAME] }, 'proceed'],
  ])('of GET: %s', (_name, fields, verdict) => {
    expect(evaluatePreconditions('GET', fields, validators)).toBe(verdict);
    expect(evaluatePreconditions('HEAD', fields, validators)).toBe(verdict);
  });

  test('of PUT: what is not modified for a reader is a failed precondition, and If-Modified-Since is ignored', () => {
    expect(evaluatePreconditions('PUT', { 'if-none-match': '*' }, validators)).toBe('failed');
    expect(evaluatePreconditions('PUT', { 'if-modified-since': SAME }, validators)).toBe('proceed');
  });

  test('a weak validator never matches strongly', () => {
    const weak = { ...validators, etag: 'W/"xyzzy"' };
    expect(evaluatePreconditions('GET', { 'if-match': 'W/"xyzzy"' }, weak)).toBe('failed');
    expect(evaluatePreconditions('GET', { 'if-none-match': 'W/"xyzzy"' }, weak)).toBe('not-modified');
    expect(rangeApplies({ 'if-range': 'W/"xyzzy"' }, weak)).toBe(false);
  });

  test.each<[string, Fields, boolean]>([
    ['absent', {}, true],
    ['the tag', { 'if-range': '"xyzzy"' }, true],
    ['the weak tag', { 'if-range': 'W/"xyzzy"' }, false],
    ['a list, which it is not defined for', { 'if-range': '"a", "xyzzy"' }, false],
    ['the date, which may be that of two versions (§8.8.2.2)', { 'if-range': SAME }, false],
    ['an earlier date', { 'if-range': EARLIER }, false],
    ['a later date', { 'if-range': LATER }, false],
    ['nonsense', { 'if-range': 'xyzzy' }, false],
  ])('If-Range (§13.1.5): %s', (_name, fields, applies) => {
    expect(rangeApplies(fields, validators)).toBe(applies);
  });

  test('a list of 100,000 tags is read in time that grows with its length', () => {
    const list = Array.from({ length: 100_000 }, (_, index) => `W/"${index}"`).join(', ');
    expect(listNames(`${list}, "xyzzy"`, '"xyzzy"', matchesWeakly)).toBe(true);
    expect(listNames(`"${'W/'.repeat(100_000)}`, '"xyzzy"', matchesWeakly)).toBe(false);
  });
});
