import { ListObjectsCommand, ListObjectsV2Command, paginateListObjectsV2, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorCode, md5, type OriginFixture, originFixture } from '../../testing/origin.fixture.ts';
import { s3Client } from '../../testing/s3-client.fixture.ts';

const Bucket = 'site';
const KEYS = ['a.txt', 'b/1', 'b/2', 'b/c/3', 'd/4', 'e', 'é/5', '\uff5e', '\u{1f600}'];
let origin: OriginFixture;
let s3: S3Client;
beforeAll(async () => {
  origin = await originFixture();
  s3 = s3Client(origin.url);
  for (const key of [...KEYS].reverse()) await put(`/site/${encodeURIComponent(key)}`);
  await put('/site-2/other');
});
afterAll(() => origin[Symbol.asyncDispose]());

const put = (path: string) => fetch(origin.url + path, { method: 'PUT', body: 'abc' });
const get = async (query: string) => (await fetch(`${origin.url}/site?${query}`)).text();
const keysOf = ({ Contents = [] }: { Contents?: { Key?: string | undefined }[] | undefined }) => Contents.map(({ Key }) => Key);
const prefixesOf = ({ CommonPrefixes = [] }: { CommonPrefixes?: { Prefix?: string | undefined }[] | undefined }) =>
  CommonPrefixes.map(({ Prefix }) => Prefix);

describe('a listing by the SDK', () => {
  test('has every key of the bucket in the order of UTF-8 bytes, with what is told of each', async () => {
    const page = await s3.send(new ListObjectsV2Command({ Bucket }));
    expect(keysOf(page)).toEqual(KEYS);
    expect(page).toMatchObject({ Name: Bucket, Prefix: '', MaxKeys: 1000, KeyCount: KEYS.length, IsTruncated: false });
    expect(page.NextContinuationToken).toBeUndefined();
    expect(page.Contents?.[0]).toEqual({
      Key: 'a.txt',
      LastModified: expect.any(Date),
      ETag: `"${md5('abc')}"`,
      Size: 3,
      StorageClass: 'STANDARD',
    });
    const { Contents } = await s3.send(new ListObjectsV2Command({ Bucket, FetchOwner: true, MaxKeys: 1 }));
    expect(Contents?.[0]?.Owner).toEqual({ ID: 'sluice', DisplayName: 'sluice' });
  });

  test('keys behind a delimiter are one common prefix, which counts as one entry', async () => {
    const page = await s3.send(new ListObjectsV2Command({ Bucket, Delimiter: '/', MaxKeys: 3 }));
    expect([keysOf(page), prefixesOf(page), page.KeyCount, page.IsTruncated]).toEqual([['a.txt'], ['b/', 'd/'], 3, true]);
    const inside = await s3.send(new ListObjectsV2Command({ Bucket, Delimiter: '/', Prefix: 'b/' }));
    expect([keysOf(inside), prefixesOf(inside)]).toEqual([['b/1', 'b/2'], ['b/c/']]);
    const several = await s3.send(new ListObjectsV2Command({ Bucket, Delimiter: '/c/' }));
    expect(prefixesOf(several)).toEqual(['b/c/']);
  });

  test.each([1, 2, 3, 1000])('its pages of %i have everything once', async (pageSize) => {
    const keys: (string | undefined)[] = [];
    const prefixes: (string | undefined)[] = [];
    for await (const page of paginateListObjectsV2({ client: s3, pageSize }, { Bucket, Delimiter: '/' })) {
      keys.push(...keysOf(page));
      prefixes.push(...prefixesOf(page));
    }
    expect([keys, prefixes]).toEqual([
      ['a.txt', 'e', '\uff5e', '\u{1f600}'],
      ['b/', 'd/', 'é/'],
    ]);
  });

  test('its first version goes on after a marker, which is told with a delimiter only', async () => {
    const entries: (string | undefined)[] = [];
    let Marker: string | undefined;
    do {
      const page = await s3.send(new ListObjectsCommand({ Bucket, Delimiter: '/', MaxKeys: 2, Marker }));
      expect(page.Marker).toBe(Marker ?? '');
      expect(page.Contents?.every(({ Owner }) => Owner?.ID === 'sluice') ?? true).toBe(true);
      entries.push(...keysOf(page), ...prefixesOf(page));
      expect(page.IsTruncated).toBe(page.NextMarker !== undefined);
      Marker = page.NextMarker;
    } while (Marker !== undefined);
    expect(entries.sort()).toEqual(['a.txt', 'b/', 'd/', 'e', 'é/', '\uff5e', '\u{1f600}'].sort());
    const page = await s3.send(new ListObjectsCommand({ Bucket, MaxKeys: 2 }));
    expect([keysOf(page), page.IsTruncated, page.NextMarker]).toEqual([['a.txt', 'b/1'], true, undefined]);
    expect(keysOf(await s3.send(new ListObjectsCommand({ Bucket, MaxKeys: 2, Marker: 'b/1' })))).toEqual(['b/2', 'b/c/3']);
  });

  test('it begins after a text, of which a common prefix that is greater is still to come', async () => {
    const after = async (StartAfter: string) => {
      const page = await s3.send(new ListObjectsV2Command({ Bucket, Delimiter: '/', StartAfter, MaxKeys: 1 }));
      expect(page.StartAfter).toBe(StartAfter);
      return [...keysOf(page), ...prefixesOf(page)][0];
    };
    expect(await Promise.all(['a', 'a.txt', 'b', 'b/', 'b/1', 'b/c/3', 'zz'].map(after))).toEqual([
      'a.txt',
      'b/',
      'b/',
      'd/',
      'd/',
      'd/',
      'é/',
    ]);
  });

  test('of no keys at all is complete', async () => {
    const none = await s3.send(new ListObjectsV2Command({ Bucket, MaxKeys: 0 }));
    expect([none.KeyCount, none.IsTruncated, none.MaxKeys, keysOf(none)]).toEqual([0, false, 0, []]);
    const many = await s3.send(new ListObjectsV2Command({ Bucket, MaxKeys: 5000 }));
    expect([many.MaxKeys, many.KeyCount]).toEqual([1000, KEYS.length]);
    expect((await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'nothing' }))).KeyCount).toBe(0);
  });
});

describe('a listing', () => {
  test('writes names as URLs have them when that is asked for', async () => {
    await put('/names/a%20b%2Bc(1)%27%2F%26%C3%A9~');
    const text = await (await fetch(`${origin.url}/names?encoding-type=url&prefix=a%20&delimiter=%26&marker=A%2B`)).text();
    expect(text).toContain('<EncodingType>url</EncodingType>');
    expect(text).toContain('<Prefix>a%20</Prefix>');
    expect(text).toContain('<Delimiter>%26</Delimiter>');
    expect(text).toContain('<Marker>A%2B</Marker>');
    expect(text).toContain('<CommonPrefixes><Prefix>a%20b%2Bc%281%29%27/%26</Prefix></CommonPrefixes>');
    expect(await (await fetch(`${origin.url}/names?encoding-type=url`)).text()).toContain('<Key>a%20b%2Bc%281%29%27/%26%C3%A9~</Key>');
  });

  test('escapes what is XML in names, and writes what XML has not as references', async () => {
    await put('/odd/%3Ca%3E%26%22%EF%BF%BF');
    const text = await (await fetch(`${origin.url}/odd?prefix=%3C&delimiter=%01`)).text();
    expect(text).toContain('<Key>&lt;a&gt;&amp;&quot;&#65535;</Key>');
    expect(text).toContain('<Delimiter>&#1;</Delimiter>');
    expect(text).toMatch(
      /^<\?xml version="1.0" encoding="UTF-8"\?>\n<ListBucketResult xmlns="http:\/\/s3.amazonaws.com\/doc\/2006-03-01\/">/,
    );
  });

  test('takes an empty delimiter, marker, token or bound as none', async () => {
    for (const query of ['delimiter=&marker=&max-keys=', 'list-type=2&delimiter=&continuation-token=&start-after=']) {
      const text = await get(query);
      expect(text.match(/<Key>/g)).toHaveLength(KEYS.length);
      expect(text).not.toContain('<Delimiter>');
    }
  });

  test('refuses a token that is not one of its own', async () => {
    const tokenOf = (text: string) => /<NextContinuationToken>([^<]+)</.exec(text)?.[1] ?? '';
    const token = tokenOf(await get('list-type=2&max-keys=2'));
    expect(await get(`list-type=2&max-keys=1&continuation-token=${token}`)).toContain('<Key>b/2</Key>');
    const tampered = [...token].map((character, at) => token.slice(0, at) + (character === 'A' ? 'B' : 'A') + token.slice(at + 1));
    const wrong = [
      ...tampered,
      token.slice(1),
      token.slice(0, -1),
      `${token}A`,
      `${token}%3D`,
      `${token}%20`,
      'x',
      'A'.repeat(5000),
      '%FF',
    ];
    for (const each of wrong) {
      const refused = await fetch(`${origin.url}/site?list-type=2&continuation-token=${each}`);
      expect([refused.status, await errorCode(refused)], each).toEqual([400, 'InvalidArgument']);
    }
    const ofAnother = await fetch(`${origin.url}/site-2?list-type=2&continuation-token=${token}`);
    expect(await errorCode(ofAnother)).toBe('InvalidArgument');
  });

  test('a token goes on being good over a restart, and when its key is gone', async () => {
    for (const key of ['1', '2', '3']) await put(`/tokens/${key}`);
    const text = await (await fetch(`${origin.url}/tokens?list-type=2&max-keys=2`)).text();
    const token = /<NextContinuationToken>([^<]+)</.exec(text)?.[1];
    await fetch(`${origin.url}/tokens/2`, { method: 'DELETE' });
    await origin.restart();
    s3 = s3Client(origin.url);
    expect(await (await fetch(`${origin.url}/tokens?list-type=2&continuation-token=${token}`)).text()).toContain('<KeyCount>1</KeyCount>');
  });

  test.each(['max-keys=-1', 'max-keys=x', 'max-keys=1.5', 'encoding-type=base64'])('?%s is refused', async (query) => {
    expect(await errorCode(await fetch(`${origin.url}/site?${query}`))).toBe('InvalidArgument');
  });
});
