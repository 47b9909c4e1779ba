import { FakeClock } from '@sluice/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PAGE_MAX } from '../../domain/list-query.ts';
import { elementOf, elementsOf, UploadInParts } from '../../testing/multipart.fixture.ts';
import { errorCode, md5, type OriginFixture, originFixture } from '../../testing/origin.fixture.ts';

let origin: OriginFixture;
const clock = new FakeClock();
beforeAll(async () => {
  origin = await originFixture({ seams: { clock } });
});
afterAll(() => origin[Symbol.asyncDispose]());

describe('the parts of an upload', () => {
  let upload: UploadInParts;
  const list = async (query = '') => (await fetch(`${upload.url}${query}`)).text();
  beforeAll(async () => {
    upload = await UploadInParts.create(origin, '/parts/a&b');
    for (const number of [3, 10_000, 1, 20]) await upload.part(number, `part ${number}`);
  });

  test('are listed by number, with what a client needs to complete it', async () => {
    const document = await list();
    expect(elementsOf(document, 'PartNumber')).toEqual(['1', '3', '20', '10000']);
    expect(elementsOf(document, 'Size')).toEqual(['6', '6', '7', '10']);
    expect(elementsOf(document, 'ETag')[0]).toBe(`&quot;${md5('part 1')}&quot;`);
    expect(elementsOf(document, 'LastModified')[0]).toBe(new Date(clock.nowMs()).toISOString());
    expect(['Bucket', 'Key', 'UploadId', 'IsTruncated', 'MaxParts'].map((name) => elementOf(document, name))).toEqual([
      'parts',
      'a&amp;b',
      upload.id,
      'false',
      '1000',
    ]);
  });

  test('come in pages', async () => {
    const first = await list('&max-parts=2');
    expect([elementsOf(first, 'PartNumber'), elementOf(first, 'IsTruncated'), elementOf(first, 'NextPartNumberMarker')]).toEqual([
      ['1', '3'],
      'true',
      '3',
    ]);
    const second = await list('&max-parts=2&part-number-marker=3');
    expect([elementsOf(second, 'PartNumber'), elementOf(second, 'IsTruncated')]).toEqual([['20', '10000'], 'false']);
    const none = await list('&max-parts=0');
    expect([elementsOf(none, 'PartNumber'), elementOf(none, 'IsTruncated')]).toEqual([[], 'false']);
  });

  test('are at most 1,000 to a page, whatever is asked for', async () => {
    const many = await UploadInParts.create(origin, '/parts/many');
    for (let number = 1; number <= PAGE_MAX + 1; number += 50) {
      const batch = Math.min(50, PAGE_MAX + 2 - number);
      await Promise.all(Array.from({ length: batch }, (_, index) => many.part(number + index, 'x')));
    }
    const document = await (await fetch(`${many.url}&max-parts=5000`)).text();
    expect([elementsOf(document, 'PartNumber').length, elementOf(document, 'IsTruncated')]).toEqual([PAGE_MAX, 'true']);
  }, 20_000);

  test.each(['&max-parts=x', '&max-parts=-1', '&part-number-marker=1.5', '&max-parts=99999999999'])(
    'are not listed for "%s"',
    async (query) => {
      const refused = await fetch(`${upload.url}${query}`);
      expect([refused.status, await errorCode(refused)]).toEqual([400, 'InvalidArgument']);
    },
  );
});

describe('the uploads of a bucket', () => {
  const list = async (query = '') => (await fetch(`${origin.url}/list?uploads${query}`)).text();
  const ids = new Map<string, string[]>();
  beforeAll(async () => {
    // U+FF5E comes before U+1F600 in UTF-8, and behind it in UTF-16.
    for (const key of ['b', 'dir/1', 'a', 'dir/2', 'b', '\u{1F600}', '\uFF5E', 'other/1']) {
      clock.advance(1_000);
      const { id } = await UploadInParts.create(origin, `/list/${encodeURIComponent(key)}`);
      ids.set(key, [...(ids.get(key) ?? []), id]);
    }
    await UploadInParts.create(origin, '/list2/a');
  });
  const KEYS = ['a', 'b', 'b', 'dir/1', 'dir/2', 'other/1', '\uFF5E', '\u{1F600}'];

  test('are listed by the bytes of their key, those of one key by age', async () => {
    const document = await list();
    expect(elementsOf(document, 'Key')).toEqual(KEYS);
    expect(elementsOf(document, 'UploadId').slice(1, 3)).toEqual(ids.get('b'));
    expect(elementOf(document, 'IsTruncated')).toBe('false');
  });

  test('of a prefix, and up to a delimiter, are listed so', async () => {
    expect(elementsOf(await list('&prefix=dir/'), 'Key')).toEqual(['dir/1', 'dir/2']);
    const rolled = await list('&delimiter=/');
    expect(elementsOf(rolled, 'Key')).toEqual(['a', 'b', 'b', '\uFF5E', '\u{1F600}']);
    expect(elementsOf(rolled.slice(rolled.indexOf('<CommonPrefixes>')), 'Prefix')).toEqual(['dir/', 'other/']);
  });

  test.each([1, 2, 3, 7, 8])('come complete in pages of %i, with and without a delimiter', async (max) => {
    for (const delimiter of ['', '&delimiter=/']) {
      const seen: string[] = [];
      let marker = '';
      for (let page = 0; page < 10; page += 1) {
        const document = await list(`${delimiter}&max-uploads=${max}${marker}`);
        const common = document.indexOf('<CommonPrefixes>');
        seen.push(...elementsOf(document, 'Key'), ...(common === -1 ? [] : elementsOf(document.slice(common), 'Prefix')));
        if (elementOf(document, 'IsTruncated') === 'false') break;
        const key = encodeURIComponent(elementOf(document, 'NextKeyMarker') ?? '');
        marker = `&key-marker=${key}&upload-id-marker=${elementOf(document, 'NextUploadIdMarker') ?? ''}`;
      }
      const expected = delimiter === '' ? KEYS : ['a', 'b', 'b', 'dir/', 'other/', '\uFF5E', '\u{1F600}'];
      expect(seen.sort()).toEqual([...expected].sort());
    }
  });

  test('behind a key without an upload of it leave all of that key out', async () => {
    expect(elementsOf(await list('&key-marker=b'), 'Key')).toEqual(KEYS.slice(3));
    expect(elementsOf(await list(`&key-marker=b&upload-id-marker=${ids.get('b')?.[0]}`), 'Key')).toEqual(KEYS.slice(2));
  });

  test('are percent-encoded when that is asked for', async () => {
    expect(elementsOf(await list('&encoding-type=url'), 'Key').at(-1)).toBe('%F0%9F%98%80');
    const refused = await fetch(`${origin.url}/list?uploads&encoding-type=base64`);
    expect([refused.status, await errorCode(refused)]).toEqual([400, 'InvalidArgument']);
  });
});
