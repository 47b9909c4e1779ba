import { codingWeights, type Fields } from '@sluice/http-semantics';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { contentsOf, REMEMBERED_MAX, rememberedFields, selectRepresentation } from './content-coding.ts';
import { manifestOf } from './history.fixture.ts';

const SIZES = { br: 20, zstd: 21, gzip: 30, identity: 100 };
const SHA = { br: 'b'.repeat(64), zstd: 'd'.repeat(64), gzip: 'e'.repeat(64), identity: 'a'.repeat(64) };
const variant = (coding: keyof typeof SHA) => ({ coding, sha256: SHA[coding], size: SIZES[coding] });
const TEXT = manifestOf('site/a.txt', 10, { size: 100, variants: [variant('gzip'), variant('br'), variant('zstd')] });
const everything = (_sha256: string): boolean => true;
const accepting = (field: string | undefined): Fields => ({ 'accept-encoding': field });
const codingOf = (field: string | undefined, isHeld = everything): string =>
  selectRepresentation(TEXT, accepting(field), isHeld).representation.contentEncoding ?? 'identity';

describe('negotiation (RFC 9110 §12.5.3)', () => {
  test.each([
    [undefined, 'identity'],
    ['', 'identity'],
    ['identity', 'identity'],
    ['*', 'br'],
    ['gzip', 'gzip'],
    ['GZip', 'gzip'],
    ['x-gzip', 'gzip'],
    ['gzip, deflate, br, zstd', 'br'],
    ['gzip, deflate, br', 'br'],
    ['gzip, zstd', 'zstd'],
    ['br;q=0.5, gzip;q=0.9', 'gzip'],
    ['br;q=0, *;q=0.1', 'zstd'],
    ['gzip;q=0.5, identity', 'identity'],
    ['gzip, identity', 'gzip'],
    ['gzip;q=0.3, identity;q=0.3', 'gzip'],
    ['identity;q=0, gzip;q=0.1', 'gzip'],
    ['deflate', 'identity'],
    ['gzip;q=0', 'identity'],
    // Nothing acceptable: the field is disregarded.
    ['identity;q=0', 'identity'],
    ['*;q=0', 'identity'],
    ['deflate, *;q=0', 'identity'],
    ['complete nonsense;;q=, ,', 'identity'],
  ])('%j gets %s', (field, coding) => {
    expect(codingOf(field)).toBe(coding);
  });

  test('the representation has checksum, size and coding of the variant, and all else of the object', () => {
    const { representation } = selectRepresentation(TEXT, accepting('br'), everything);
    expect(representation).toEqual({ ...TEXT, sha256: SHA.br, size: SIZES.br, contentEncoding: 'br' });
    // The same each time, so that what is made of it is made once.
    expect(selectRepresentation(TEXT, accepting('br'), everything).representation).toBe(representation);
    expect(selectRepresentation(TEXT, {}, everything).representation).toBe(TEXT);
  });

  test('what is not held is not selected but named, and the next best that is held is taken', () => {
    const held =
      (...codings: (keyof typeof SHA)[]) =>
      (sha256: string) =>
        codings.some((coding) => SHA[coding] === sha256);
    expect(codingOf('br, gzip', held('gzip'))).toBe('gzip');
    expect(selectRepresentation(TEXT, accepting('br, gzip'), held('gzip')).missing).toMatchObject({
      key: 'site/a.txt',
      sha256: SHA.br,
      size: SIZES.br,
    });
    expect(codingOf('br, gzip', held())).toBe('identity');
    expect(selectRepresentation(TEXT, accepting('gzip;q=0.5, identity'), held()).missing).toBeUndefined();
  });

  test('a visitor who has a representation keeps it as long as it is acceptable, and for a 304 it need not be held', () => {
    const selected = (accepted: string, name: 'if-none-match' | 'if-range' | 'if-match', coding: keyof typeof SHA, isHeld = everything) =>
      selectRepresentation(TEXT, { 'accept-encoding': accepted, [name]: `W/"x", "${SHA[coding]}"` }, isHeld).representation.sha256;
    const nothing = (_sha256: string): boolean => false;
    expect(selected('br, gzip', 'if-none-match', 'gzip')).toBe(SHA.gzip);
    expect(selected('br, gzip', 'if-none-match', 'gzip', nothing)).toBe(SHA.gzip);
    expect(selected('br, gzip', 'if-none-match', 'identity')).toBe(SHA.identity);
    expect(selected('br, gzip;q=0', 'if-none-match', 'gzip')).toBe(SHA.br);
    expect(selected('br, identity;q=0', 'if-none-match', 'identity')).toBe(SHA.br);
    expect(selected('br, gzip', 'if-range', 'gzip')).toBe(SHA.gzip);
    expect(selected('br, gzip', 'if-match', 'gzip')).toBe(SHA.gzip);
    expect(selected('br, gzip', 'if-range', 'gzip', nothing)).toBe(SHA.identity);
  });

  test('a coding that is not known here is never handed out, nor any of an object with a coding of its own', () => {
    const future = { ...TEXT, variants: [{ coding: 'dcz', sha256: SHA.br, size: 1 }] };
    expect(selectRepresentation(future, accepting('dcz, *'), everything).representation).toBe(future);
    const gzipped = { ...TEXT, contentEncoding: 'gzip' };
    expect(selectRepresentation(gzipped, accepting('br'), everything).representation).toBe(gzipped);
  });

  const field = fc.oneof(
    fc.string(),
    fc
      .array(
        fc.tuple(
          fc.constantFrom('br', 'zstd', 'gzip', 'x-gzip', 'identity', '*', 'deflate', 'BR'),
          fc.constantFrom('', ';q=0', ';q=0.001', '; q=0.5', ';q=1', ';q=2', ';level=9'),
        ),
        { maxLength: 6 },
      )
      .map((members) => members.map((parts) => parts.join('')).join(', ')),
  );
  const codings = fc.subarray(['br', 'zstd', 'gzip'] as const);

  test('whatever the field: what is selected is acceptable, held, and nothing held is more acceptable, or as acceptable and smaller', () => {
    fc.assert(
      fc.property(field, codings, codings, (value, made, held) => {
        const manifest = { ...TEXT, variants: made.map(variant) };
        const isHeld = (sha256: string) => held.some((coding) => SHA[coding] === sha256);
        const { representation } = selectRepresentation(manifest, accepting(value), isHeld);
        const weightOf = codingWeights(value);
        const available = [...made.filter((coding) => held.includes(coding)), 'identity' as const];
        const selected = available.find((coding) => SHA[coding] === representation.sha256) ?? expect.unreachable('it is not available');
        const acceptable = available.filter((coding) => weightOf(coding) > 0);
        const most = Math.max(...acceptable.map(weightOf));
        const equals = acceptable.filter((coding) => weightOf(coding) === most);
        expect(selected).toBe(equals.sort((a, b) => SIZES[a] - SIZES[b])[0] ?? 'identity');
      }),
      { numRuns: 2_000 },
    );
  });
});

test('of ten times as many values of Accept-Encoding as are remembered the newest are, and long ones never', () => {
  for (let number = 0; number < 10 * REMEMBERED_MAX; number += 1) expect(codingOf(`x${number}, br`)).toBe('br');
  expect(rememberedFields()).toBe(REMEMBERED_MAX);
  expect(codingOf(`${'x'.repeat(10_000)}, gzip`)).toBe('gzip');
  expect(codingOf(`x${10 * REMEMBERED_MAX - 1}, br`)).toBe('br');
  expect(rememberedFields()).toBe(REMEMBERED_MAX);
});

test('a manifest is served from its content and from its variants', () => {
  expect(contentsOf(TEXT).map(({ sha256 }) => sha256)).toEqual([SHA.identity, SHA.gzip, SHA.br, SHA.zstd]);
});
