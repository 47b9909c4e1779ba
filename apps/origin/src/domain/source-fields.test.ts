import { LIST_MAX_ITEMS, manifest } from '@sluice/contracts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { sourceFields } from './source-fields.ts';
import { uploadFields } from './upload-headers.ts';

const REST = { version: 1, sha256: 'a'.repeat(64), size: 1, uploadedAt: '2026-01-01T00:00:00.000Z' };

test('whatever a service says, the fields are those of a possible manifest, or the regions are to blame', () => {
  const name = fc.oneof(
    fc.constantFrom(
      'content-type',
      'cache-control',
      'content-encoding',
      'expires',
      'x-amz-website-redirect-location',
      'x-amz-meta-regions',
    ),
    fc.constantFrom('x-amz-meta-tags', 'x-amz-meta-cdn-cache-control', 'x-amz-tagging', 'x-amz-meta-', 'x-amz-meta-__proto__', '__proto__'),
    fc.string().map((text) => `x-amz-meta-${text.toLowerCase()}`),
  );
  const value = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 1_100 }),
    fc.constantFrom('us,IN', 'a,b', ',', ' ', '/x', 'gzip, aws-chunked'),
  );
  const pairs = fc.array(fc.record({ key: fc.string({ unit: 'binary' }), value: fc.string({ unit: 'binary' }) }), { maxLength: 100 });
  fc.assert(
    fc.property(fc.dictionary(name, value, { maxKeys: 100 }), pairs, (said, tagPairs) => {
      try {
        const { fields } = sourceFields('site/a.html', said, tagPairs);
        expect(manifest.safeParse({ ...fields, ...REST, key: 'site/a.html' }).error).toBeUndefined();
      } catch (error) {
        expect(error).toMatchObject({ code: 'InvalidArgument', message: expect.stringContaining('x-amz-meta-regions') });
      }
    }),
  );
});

test('what an upload can have is taken as an upload has it, and nothing is left out', () => {
  const headers = {
    'content-type': 'text/html',
    'cache-control': 'max-age=1',
    'content-encoding': 'aws-chunked, br',
    'x-amz-website-redirect-location': '/there',
    'x-amz-meta-regions': 'us, in',
    'x-amz-meta-tags': 'v41,home',
    'x-amz-meta-color': 'blue',
  };
  expect(sourceFields('site/a', headers, [])).toEqual({ fields: uploadFields('site/a', headers), dropped: [] });
});

test('the cache control of edges is user metadata, unless the service keeps it itself', () => {
  const inMeta = { 'x-amz-meta-cdn-cache-control': 'max-age=1' };
  expect(sourceFields('site/a', inMeta, []).fields).toMatchObject({ cdnCacheControl: 'max-age=1', meta: {} });
  const { fields } = sourceFields('site/a', { ...inMeta, 'cdn-cache-control': 'max-age=2' }, []);
  expect(fields).toMatchObject({ cdnCacheControl: 'max-age=2', meta: {} });
});

test('each list is cut at its bound, and told', () => {
  const many = Array.from({ length: LIST_MAX_ITEMS + 1 }, (_, index) => String(index));
  const meta = Object.fromEntries(many.map((name) => [`x-amz-meta-m${name}`, name]));
  const entries = sourceFields('site/a', meta, []);
  expect([Object.keys(entries.fields.meta).length, entries.dropped]).toEqual([LIST_MAX_ITEMS, [`x-amz-meta-m${LIST_MAX_ITEMS}`]]);
  const named = sourceFields('site/a', { 'x-amz-meta-tags': many.join(',') }, []);
  expect([named.fields.tags.length, named.dropped]).toEqual([LIST_MAX_ITEMS, ['x-amz-meta-tags']]);
});

test('one bad name costs no other', () => {
  const said = { 'x-amz-meta-tags': `good, not good,${'x'.repeat(300)},good`, 'x-amz-meta-größe': '1', 'content-language': 'de\u0000' };
  const { fields, dropped } = sourceFields('site/a', said, [
    { key: 'v', value: '1' },
    { key: 'two words', value: '' },
    { key: 'a=b', value: 'c' },
  ]);
  expect([fields.tags, fields.meta, fields.contentLanguage]).toEqual([['good', 'v=1'], {}, undefined]);
  expect([...dropped].sort()).toEqual(['content-language', 'x-amz-meta-größe', 'x-amz-meta-tags']);
});
