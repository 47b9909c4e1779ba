import { describe, expect, test } from 'vitest';
import { selectRange } from './byte-range.ts';
import { evaluatePreconditions, rangeApplies } from './preconditions.ts';

const MODIFIED = 'Thu, 01 Jan 2026 00:00:00 GMT';
const EARLIER = 'Wed, 31 Dec 2025 23:59:59 GMT';
const LATER = 'Thu, 01 Jan 2026 00:00:01 GMT';
const validators = { etag: '"abc"', lastModifiedMs: Date.UTC(2026, 0, 1, 0, 0, 0, 700) };

describe('preconditions', () => {
  test.each([
    [{}, 'proceed'],
    [{ 'if-none-match': '"abc"' }, 'not-modified'],
    [{ 'if-none-match': 'W/"abc"' }, 'not-modified'],
    [{ 'if-none-match': '"x", "abc"' }, 'not-modified'],
    [{ 'if-none-match': '*' }, 'not-modified'],
    [{ 'if-none-match': '"x"' }, 'proceed'],
    [{ 'if-none-match': 'abc' }, 'proceed'],
    [{ 'if-modified-since': MODIFIED }, 'not-modified'],
    [{ 'if-modified-since': LATER }, 'not-modified'],
    [{ 'if-modified-since': EARLIER }, 'proceed'],
    [{ 'if-modified-since': 'yesterday' }, 'proceed'],
    [{ 'if-none-match': '"x"', 'if-modified-since': LATER }, 'proceed'],
    [{ 'if-match': '"abc"' }, 'proceed'],
    [{ 'if-match': '*' }, 'proceed'],
    [{ 'if-match': 'W/"abc"' }, 'failed'],
    [{ 'if-match': '"x"' }, 'failed'],
    [{ 'if-unmodified-since': EARLIER }, 'failed'],
    [{ 'if-unmodified-since': MODIFIED }, 'proceed'],
    [{ 'if-match': '"abc"', 'if-unmodified-since': EARLIER }, 'proceed'],
    [{ 'if-match': '"x"', 'if-none-match': '"abc"' }, 'failed'],
    [{ 'if-match': '"abc"', 'if-none-match': '"abc"' }, 'not-modified'],
  ] as const)('%o gives %s', (headers, verdict) => expect(evaluatePreconditions(headers, validators)).toBe(verdict));

  test.each([
    [{}, true],
    [{ 'if-range': '"abc"' }, true],
    [{ 'if-range': 'W/"abc"' }, false],
    [{ 'if-range': '"x"' }, false],
    [{ 'if-range': MODIFIED }, true],
    [{ 'if-range': LATER }, false],
  ] as const)('If-Range %o lets the range apply: %s', (headers, applies) => expect(rangeApplies(headers, validators)).toBe(applies));
});

describe('byte range', () => {
  test.each([
    ['bytes=0-0', { start: 0, end: 0 }],
    ['bytes=2-', { start: 2, end: 9 }],
    ['bytes=-3', { start: 7, end: 9 }],
    ['bytes=5-100', { start: 5, end: 9 }],
    ['bytes=10-', 'unsatisfiable'],
    ['bytes=0-1,4-5', undefined],
    ['lines=0-1', undefined],
    ['bytes', undefined],
  ] as const)('%s of ten bytes is %o', (header, expected) => {
    const range = selectRange(header, 10);
    if (typeof expected === 'object') expect(range).toMatchObject(expected);
    else expect(range).toBe(expected);
  });

  test('of nothing no range can be had', () => {
    expect(selectRange('bytes=0-', 0)).toBe('unsatisfiable');
  });
});
