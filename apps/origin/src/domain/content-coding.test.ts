import { describe, expect, test } from 'vitest';
import { CODED_MAX_BYTES, CODED_MIN_BYTES, codingEfforts, namesVariants, wantsVariants, worthwhileBytes } from './content-coding.ts';
import type { UploadFields } from './upload-headers.ts';

const TEXT: UploadFields = { contentType: 'text/html; charset=utf-8', meta: {}, regions: [], tags: [] };

describe('which content gets variants', () => {
  test.each([
    ['text/html; charset=utf-8', true],
    ['text/javascript', true],
    ['application/json', true],
    ['application/ld+json', true],
    ['application/atom+xml', true],
    ['image/svg+xml', true],
    ['application/wasm', true],
    ['font/ttf', true],
    ['font/woff2', false],
    ['image/png', false],
    ['video/mp4', false],
    ['application/zip', false],
    ['application/octet-stream', false],
    ['no type', false],
  ])('%s: %s', (contentType, wanted) => {
    expect(wantsVariants({ ...TEXT, contentType }, 10_000)).toBe(wanted);
  });

  test.each<[Partial<UploadFields>, boolean]>([
    [{ contentEncoding: 'gzip' }, false],
    [{ cacheControl: 'public, no-transform' }, false],
    [{ cacheControl: 'No-Transform' }, false],
    [{ cdnCacheControl: 'no-transform' }, false],
    [{ cacheControl: 'no-store' }, false],
    [{ cacheControl: 'private' }, false],
    [{ cacheControl: 'no-store', cdnCacheControl: 'max-age=60' }, true],
    [{ cacheControl: 'no-transform', cdnCacheControl: 'max-age=60' }, false],
    [{ cacheControl: 'max-age=60, must-revalidate' }, true],
  ])('what the publisher says decides: %j %s', (said, wanted) => {
    expect(wantsVariants({ ...TEXT, ...said }, 10_000)).toBe(wanted);
  });

  test('of a size between the bounds, which are within', () => {
    const wanted = [0, CODED_MIN_BYTES - 1, CODED_MIN_BYTES, CODED_MAX_BYTES, CODED_MAX_BYTES + 1].map((size) => wantsVariants(TEXT, size));
    expect(wanted).toEqual([false, false, true, true, false]);
  });
});

test('the larger the content, the lower the level, so that no coding takes long', () => {
  const levels = [1_000, 3_000_000, 5_000_000, 9_000_000].map((size) => codingEfforts(size).map(({ level }) => level));
  expect(levels).toEqual([
    [11, 19, 9],
    [10, 19, 9],
    [9, 19, 9],
    [9, 15, 9],
  ]);
});

test('a variant is kept when it saves a twentieth', () => {
  expect(worthwhileBytes(1_000)).toBe(950);
});

test('a manifest names variants when it names all of them and no others', () => {
  const [br, gzip] = [
    { coding: 'br', sha256: 'b'.repeat(64), size: 1 },
    { coding: 'gzip', sha256: 'c'.repeat(64), size: 2 },
  ];
  expect(namesVariants(undefined, [])).toBe(true);
  expect(namesVariants([gzip, br], [br, gzip])).toBe(true);
  expect(namesVariants([br], [br, gzip])).toBe(false);
  expect(namesVariants(undefined, [br])).toBe(false);
  expect(namesVariants([br], [{ ...br, sha256: 'd'.repeat(64) }])).toBe(false);
});
