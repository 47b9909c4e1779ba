import type { Manifest } from '@sluice/contracts';
import { describe, expect, test } from 'vitest';
import { checkCopySource, copyFields, copySource, copySourceRange } from './copy-request.ts';

const MD5 = '9e107d9d372bb6826bd81d3542a419d6';
const manifest: Manifest = {
  key: 'site/a.css',
  version: 7,
  sha256: 'a'.repeat(64),
  size: 1,
  contentType: 'text/css',
  cacheControl: 'no-cache',
  redirectLocation: '/b',
  meta: { author: 'Ana' },
  regions: ['US'],
  tags: ['v41'],
  uploadedAt: '2026-01-01T12:00:00.500Z',
  variants: [],
  contentVersion: 5,
};
const source = { manifest, etag: MD5 };
const COPIED = { contentType: 'text/css', cacheControl: 'no-cache', meta: { author: 'Ana' }, regions: ['US'], tags: ['v41'] };
const code = (run: () => unknown): string | undefined => {
  try {
    run();
    return undefined;
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe('the source of a copy', () => {
  test.each([
    ['site/a', 'site/a'],
    ['/site/a', 'site/a'],
    ['/site/a%2Bb%20c%3Fd', 'site/a+b c?d'],
    ['/site/a+b c?d', 'site/a+b c?d'],
    ['site%2Fa', 'site/a'],
    // What a client sends that does not encode "é": its two bytes.
    ['site/\u00c3\u00a9', 'site/é'],
    ['site/a?versionId=null', 'site/a'],
  ])('%s is %s', (header, key) => expect(copySource({ 'x-amz-copy-source': header }).key).toBe(key));

  test.each([
    ['site', 'InvalidArgument'],
    ['', 'InvalidArgument'],
    ['site/../a', 'InvalidArgument'],
    ['site/%zz', 'InvalidURI'],
    ['site/a?versionId=x', 'InvalidArgument'],
  ])('%s is refused as %s', (header, expected) => {
    expect(code(() => copySource({ 'x-amz-copy-source': header }))).toBe(expected);
  });

  test.each([
    [{ 'if-match': `"${MD5}"` }, true],
    [{ 'if-match': MD5 }, true],
    [{ 'if-match': '"other"' }, false],
    [{ 'if-none-match': '"other"' }, true],
    [{ 'if-none-match': MD5 }, false],
    [{ 'if-modified-since': 'Thu, 01 Jan 2026 11:59:59 GMT' }, true],
    [{ 'if-modified-since': 'Thu, 01 Jan 2026 12:00:00 GMT' }, false],
    [{ 'if-unmodified-since': 'Thu, 01 Jan 2026 12:00:00 GMT' }, true],
    [{ 'if-unmodified-since': 'Thu, 01 Jan 2026 11:59:59 GMT' }, false],
    [{ 'if-match': MD5, 'if-unmodified-since': 'Thu, 01 Jan 2026 11:59:59 GMT' }, true],
  ])('is copied under %j: %s', (conditions, copied) => {
    const headers = Object.fromEntries(Object.entries(conditions).map(([name, value]) => [`x-amz-copy-source-${name}`, value]));
    expect(code(() => checkCopySource(headers, source))).toBe(copied ? undefined : 'PreconditionFailed');
  });
});

describe('the fields of a copy', () => {
  const REPLACE = { 'x-amz-metadata-directive': 'REPLACE' };
  const RETAG = { 'x-amz-tagging-directive': 'REPLACE' };

  test('are those of the source but for its redirection, whatever the request says beside', () => {
    expect(copyFields('site/b.js', { 'content-type': 'text/x', 'x-amz-tagging': 'x', 'x-amz-meta-a': 'b' }, source)).toEqual(COPIED);
  });
  test('are those of the request with REPLACE, but for the tags', () => {
    expect(copyFields('site/b.js', { ...REPLACE, 'x-amz-meta-a': 'b', 'x-amz-tagging': 'x' }, source)).toEqual({
      contentType: 'text/javascript',
      meta: { a: 'b' },
      regions: [],
      tags: ['v41'],
    });
  });
  test.each([
    [{ ...RETAG, 'x-amz-tagging': 'x&y=z' }, ['x', 'y=z']],
    [RETAG, []],
    [{ ...REPLACE, 'x-amz-meta-tags': 'x' }, ['x']],
    [{ ...REPLACE, ...RETAG, 'x-amz-meta-tags': 'x', 'x-amz-tagging': 'y' }, ['x', 'y']],
  ])('%j gives it the tags %j', (headers, tags) => expect(copyFields('site/b', headers, source).tags).toEqual(tags));

  test('an object is copied onto itself only to change something', () => {
    const own = (headers: Record<string, string>) => code(() => copyFields(manifest.key, headers, source));
    for (const headers of [{}, { 'x-amz-website-redirect-location': '/b' }])
      expect(own(headers as Record<string, string>)).toBe('InvalidRequest');
    for (const headers of [REPLACE, RETAG, { 'x-amz-website-redirect-location': '/c' }]) {
      expect(own(headers as Record<string, string>)).toBeUndefined();
    }
  });

  test.each(['x-amz-metadata-directive', 'x-amz-tagging-directive'])('%s is COPY or REPLACE', (name) => {
    expect(code(() => copyFields('site/b', { [name]: 'MERGE' }, source))).toBe('InvalidArgument');
  });
});

describe('a range of the source', () => {
  const range = (value: string) => copySourceRange({ 'x-amz-copy-source-range': value }, 10);

  test('is within it, both ends included; all of it without one', () => {
    expect(copySourceRange({}, 10)).toEqual({ start: 0, end: 9 });
    expect(range('bytes=0-9')).toEqual({ start: 0, end: 9 });
    expect(range('bytes=3-3')).toEqual({ start: 3, end: 3 });
  });

  test.each(['bytes=0-10', 'bytes=4-3', 'bytes=-3', 'bytes=3-', 'bytes=0-1,3-4', '0-3', ''])('"%s" is refused', (value) =>
    expect(() => range(value)).toThrow(expect.objectContaining({ code: 'InvalidArgument' })),
  );
});
