import { describe, expect, test } from 'vitest';
import { metadataHeaders, uploadFields } from './upload-headers.ts';

const fields = (headers: Record<string, string>, key = 'site/app.js') => uploadFields(key, headers);

describe('upload headers', () => {
  test('standard fields are kept as they are', () => {
    expect(
      fields({
        'content-type': 'text/javascript; charset=utf-8',
        'cache-control': 'public, max-age=60',
        'content-encoding': 'gzip',
        'content-language': 'en',
        'content-disposition': 'attachment; filename="a.js"',
        expires: 'Thu, 01 Dec 2094 16:00:00 GMT',
      }),
    ).toEqual({
      contentType: 'text/javascript; charset=utf-8',
      cacheControl: 'public, max-age=60',
      contentEncoding: 'gzip',
      contentLanguage: 'en',
      contentDisposition: 'attachment; filename="a.js"',
      expires: 'Thu, 01 Dec 2094 16:00:00 GMT',
      meta: {},
      regions: [],
      tags: [],
    });
  });

  test.each([
    ['site/app.js', 'text/javascript'],
    ['site/a.tar.gz', 'application/gzip'],
    ['site/logo.svg', 'image/svg+xml'],
    ['site/no-extension', 'application/octet-stream'],
    ['site/a.unheard-of', 'application/octet-stream'],
  ])('without a Content-Type %s is %s', (key, type) => expect(fields({}, key).contentType).toBe(type));

  test('regions and tags are taken out of the metadata, folded and made distinct', () => {
    expect(fields({ 'x-amz-meta-regions': 'us, IN,us', 'x-amz-meta-tags': 'v41 ,home', 'x-amz-meta-author': 'Ana' })).toMatchObject({
      regions: ['US', 'IN'],
      tags: ['v41', 'home'],
      meta: { author: 'Ana' },
    });
  });

  test('tags come from both headers, once each, and are as many as a manifest can have', () => {
    expect(fields({ 'x-amz-meta-tags': 'v41,home', 'x-amz-tagging': 'home&env=prod' }).tags).toEqual(['v41', 'home', 'env=prod']);
    const names = (from: number) => Array.from({ length: 33 }, (_, index) => `t${from + index}`);
    const tooMany = { 'x-amz-meta-tags': names(0).join(','), 'x-amz-tagging': names(33).join('&') };
    expect(() => fields(tooMany)).toThrow(expect.objectContaining({ code: 'InvalidTag' }));
    expect(fields({ ...tooMany, 'x-amz-tagging': names(1).join('&') }).tags).toHaveLength(34);
  });

  test.each([
    ['x-amz-meta-regions', 'US,,IN'],
    ['x-amz-meta-regions', ''],
    ['x-amz-meta-regions', 'U S'],
    ['x-amz-meta-regions', Array.from({ length: 65 }, (_, index) => `R${index}`).join(',')],
    ['x-amz-meta-tags', 'a,b c'],
    ['x-amz-meta-a(b)', 'x'],
    ['cache-control', 'x'.repeat(1025)],
    ['x-amz-meta-author', 'x'.repeat(1025)],
  ])('%s: %s is refused, naming the header', (header, value) => {
    expect(() => fields({ [header]: value })).toThrow(
      expect.objectContaining({ code: 'InvalidArgument', message: expect.stringContaining(header) }),
    );
  });

  test('more metadata entries than a manifest may have are refused', () => {
    const many = Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`x-amz-meta-m${index}`, 'x']));
    expect(() => fields(many)).toThrow(/more than 64/);
  });

  test('a header named __proto__ is a name like any other', () => {
    const { meta } = fields(JSON.parse('{"x-amz-meta-__proto__":"x"}'));
    expect(Object.entries(meta)).toEqual([['__proto__', 'x']]);
  });

  test('what was stored goes back under the headers it came with', () => {
    const headers = {
      'content-type': 'text/css',
      'cache-control': 'no-cache',
      'cdn-cache-control': 'max-age=600',
      'x-amz-website-redirect-location': '/new.css',
      'x-amz-meta-author': 'Ana',
      'x-amz-meta-regions': 'US,IN',
      'x-amz-meta-tags': 'v41',
    };
    expect(Object.fromEntries(metadataHeaders(fields(headers)))).toEqual(headers);
  });

  test.each(['javascript:alert(1)', 'new.html', 'ftp://example.com/'])('%s is no place to redirect to', (location) => {
    const refusal = expect.objectContaining({
      code: 'InvalidArgument',
      message: expect.stringContaining('x-amz-website-redirect-location'),
    });
    expect(() => fields({ 'x-amz-website-redirect-location': location })).toThrow(refusal);
  });
});
