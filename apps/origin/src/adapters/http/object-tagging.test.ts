import {
  DeleteObjectTaggingCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorCode, type OriginFixture, originFixture } from '../../testing/origin.fixture.ts';
import { s3Client } from '../../testing/s3-client.fixture.ts';

const Bucket = 'site';
let origin: OriginFixture;
let s3: S3Client;
beforeAll(async () => {
  origin = await originFixture();
  s3 = s3Client(origin.url);
});
afterAll(() => origin[Symbol.asyncDispose]());

const tagsOf = async (Key: string) => (await s3.send(new GetObjectTaggingCommand({ Bucket, Key }))).TagSet;
const header = async (Key: string) => (await fetch(`${origin.url}/site/${Key}`)).headers.get('x-amz-meta-tags');
const putTags = (body: string, key = 'raw') => fetch(`${origin.url}/site/${key}?tagging`, { method: 'PUT', body });
const one = (key: string, value = '') => `<Tagging><TagSet><Tag><Key>${key}</Key><Value>${value}</Value></Tag></TagSet></Tagging>`;

describe('tags, by the SDK', () => {
  test('of an upload are those of both headers, as pairs and as names', async () => {
    await s3.send(new PutObjectCommand({ Bucket, Key: 'a', Body: 'x', Tagging: 'env=prod&v41', Metadata: { tags: 'v41,home' } }));
    expect(await tagsOf('a')).toEqual([
      { Key: 'v41', Value: '' },
      { Key: 'home', Value: '' },
      { Key: 'env', Value: 'prod' },
    ]);
    expect(await header('a')).toBe('v41,home,env=prod');
    expect((await s3.send(new GetObjectCommand({ Bucket, Key: 'a' }))).TagCount).toBe(3);
  });

  test('are changed and taken away, each time with an event, and without another content', async () => {
    await s3.send(new PutObjectCommand({ Bucket, Key: 'b', Body: 'x', Tagging: 'v1' }));
    const before = await s3.send(new GetObjectCommand({ Bucket, Key: 'b' }));
    const events = await origin.metric('sluice_origin_outbox_events');
    const TagSet = [
      { Key: 'v2', Value: '' },
      { Key: 'team', Value: 'a/b+c@d' },
    ];
    await s3.send(new PutObjectTaggingCommand({ Bucket, Key: 'b', Tagging: { TagSet } }));
    expect(await tagsOf('b')).toEqual(TagSet);
    const after = await s3.send(new GetObjectCommand({ Bucket, Key: 'b' }));
    expect([after.ETag, after.LastModified]).toEqual([before.ETag, before.LastModified]);
    await s3.send(new DeleteObjectTaggingCommand({ Bucket, Key: 'b' }));
    expect([await tagsOf('b'), await header('b')]).toEqual([[], null]);
    expect((await s3.send(new GetObjectCommand({ Bucket, Key: 'b' }))).TagCount).toBeUndefined();
    expect(await origin.metric('sluice_origin_outbox_events')).toBe(events + 2);
  });

  test('of what is not there are refused', async () => {
    for (const send of [
      () => tagsOf('none'),
      () => s3.send(new PutObjectTaggingCommand({ Bucket, Key: 'none', Tagging: { TagSet: [] } })),
      () => s3.send(new DeleteObjectTaggingCommand({ Bucket, Key: 'none' })),
    ]) {
      await expect(send()).rejects.toMatchObject({ name: 'NoSuchKey' });
    }
  });
});

describe('tags', () => {
  test('that are no names, or come twice, are refused and change nothing', async () => {
    await fetch(`${origin.url}/site/raw`, { method: 'PUT', body: 'x', headers: { 'x-amz-meta-tags': 'kept' } });
    const twice = one('a').replace('</TagSet>', '<Tag><Key>a</Key><Value>b</Value></Tag></TagSet>');
    for (const body of [one('a b'), one('a', 'b,c'), one('a=b'), one(''), twice]) {
      const refused = await putTags(body);
      expect([refused.status, await errorCode(refused)], body).toEqual([400, 'InvalidTag']);
    }
    for (const body of [
      '',
      '<Tagging/>',
      '<TagSet/>',
      '<Tagging><TagSet>x</TagSet></Tagging>',
      '<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>',
    ]) {
      const refused = await putTags(body);
      expect([refused.status, await errorCode(refused)], body).toEqual([400, 'MalformedXML']);
    }
    expect(await header('raw')).toBe('kept');
    expect((await putTags('<Tagging><TagSet>\n</TagSet></Tagging>')).status).toBe(200);
    expect(await header('raw')).toBeNull();
  });

  test('of an upload that are none are refused before its body', async () => {
    const put = (tagging: string) => fetch(`${origin.url}/site/bad`, { method: 'PUT', body: 'x', headers: { 'x-amz-tagging': tagging } });
    for (const tagging of ['a%20b', 'a=1&a=2', Array.from({ length: 65 }, (_, index) => `t${index}`).join('&')]) {
      const refused = await put(tagging);
      expect([refused.status, await errorCode(refused)]).toEqual([400, 'InvalidTag']);
    }
    expect((await fetch(`${origin.url}/site/bad`)).status).toBe(404);
  });
});
