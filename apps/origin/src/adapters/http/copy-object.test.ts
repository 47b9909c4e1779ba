import { CopyObjectCommand, GetObjectCommand, GetObjectTaggingCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorCode, md5, type OriginFixture, originFixture } from '../../testing/origin.fixture.ts';
import { s3Client } from '../../testing/s3-client.fixture.ts';

const Bucket = 'site';
let origin: OriginFixture;
let s3: S3Client;
beforeAll(async () => {
  origin = await originFixture();
  s3 = s3Client(origin.url);
  await s3.send(
    new PutObjectCommand({
      Bucket,
      Key: 'a b+é',
      Body: 'body',
      ContentType: 'text/css',
      Metadata: { author: 'Ana', regions: 'US' },
      Tagging: 'v1',
    }),
  );
});
afterAll(() => origin[Symbol.asyncDispose]());

const SOURCE = `${Bucket}/${encodeURIComponent('a b+é')}`;
const copy = (path: string, headers: Record<string, string> = {}) =>
  fetch(origin.url + path, { method: 'PUT', headers: { 'x-amz-copy-source': SOURCE, ...headers } });

describe('a copy', () => {
  test('has the bytes, the metadata and the tags of its source, also in a bucket that comes to be with it', async () => {
    const { CopyObjectResult } = await s3.send(new CopyObjectCommand({ Bucket: 'other', Key: 'b', CopySource: SOURCE }));
    expect(CopyObjectResult).toEqual({ ETag: `"${md5('body')}"`, LastModified: expect.any(Date) });
    const got = await s3.send(new GetObjectCommand({ Bucket: 'other', Key: 'b' }));
    expect(await got.Body?.transformToString()).toBe('body');
    expect(got).toMatchObject({
      ContentType: 'text/css',
      Metadata: { author: 'Ana', regions: 'US', tags: 'v1' },
      ETag: `"${md5('body')}"`,
      TagCount: 1,
      LastModified: new Date(Math.floor((CopyObjectResult?.LastModified?.getTime() ?? 0) / 1000) * 1000),
    });
  });

  test('moves no bytes and is an upload like any other', async () => {
    const [blobs, events] = await Promise.all([origin.metric('sluice_origin_blobs'), origin.metric('sluice_origin_outbox_events')]);
    const copied = await copy('/site/same');
    expect([copied.status, copied.headers.get('x-sluice-event-id')]).toEqual([200, expect.stringMatching(/^[0-9a-f]{8}-\d+$/)]);
    expect(await origin.metric('sluice_origin_blobs')).toBe(blobs);
    expect(await origin.metric('sluice_origin_outbox_events')).toBe(events + 1);
    const head = await fetch(`${origin.url}/site/same`, { method: 'HEAD' });
    expect(head.headers.get('x-sluice-version')).toBe(copied.headers.get('x-sluice-version'));
  });

  test('has other metadata and tags where that is asked for', async () => {
    const more = { MetadataDirective: 'REPLACE', Metadata: { editor: 'Bo' }, TaggingDirective: 'REPLACE', Tagging: 'v2&env=prod' } as const;
    await s3.send(new CopyObjectCommand({ Bucket, Key: 'replaced.js', CopySource: SOURCE, ...more }));
    const got = await s3.send(new GetObjectCommand({ Bucket, Key: 'replaced.js' }));
    expect(got).toMatchObject({ ContentType: 'text/javascript', Metadata: { editor: 'Bo', tags: 'v2,env=prod' } });
    await s3.send(new CopyObjectCommand({ Bucket, Key: 'kept', CopySource: SOURCE, MetadataDirective: 'REPLACE' }));
    const { TagSet } = await s3.send(new GetObjectTaggingCommand({ Bucket, Key: 'kept' }));
    expect(TagSet).toEqual([{ Key: 'v1', Value: '' }]);
  });

  test('onto itself changes what is said of it, and is refused when it would change nothing', async () => {
    await copy('/site/self');
    const onto = (headers: Record<string, string>) => copy('/site/self', { 'x-amz-copy-source': 'site/self', ...headers });
    const refused = await onto({});
    expect([refused.status, await errorCode(refused)]).toEqual([400, 'InvalidRequest']);
    expect((await onto({ 'x-amz-metadata-directive': 'REPLACE', 'cache-control': 'max-age=9' })).status).toBe(200);
    const got = await fetch(`${origin.url}/site/self`);
    expect([await got.text(), got.headers.get('cache-control')]).toEqual(['body', 'max-age=9']);
  });

  test.each([
    ['site/none', 404, 'NoSuchKey'],
    ['none/a', 404, 'NoSuchBucket'],
    ['site', 400, 'InvalidArgument'],
    ['site/a?versionId=1', 404, 'NoSuchVersion'],
  ])('of %s is refused', async (source, status, code) => {
    const refused = await copy('/site/refused', { 'x-amz-copy-source': source });
    expect([refused.status, await errorCode(refused)]).toEqual([status, code]);
    expect((await fetch(`${origin.url}/site/refused`)).status).toBe(404);
  });

  test.each([
    { 'x-amz-copy-source-if-match': '"other"' },
    { 'x-amz-copy-source-if-none-match': `"${md5('body')}"` },
    { 'x-amz-copy-source-if-modified-since': 'Thu, 01 Dec 2094 16:00:00 GMT' },
    { 'x-amz-copy-source-if-unmodified-since': 'Thu, 01 Dec 1994 16:00:00 GMT' },
    { 'if-match': '"other"' },
    { 'if-none-match': '*' },
  ])('under %j is refused, and leaves what was there', async (headers) => {
    await fetch(`${origin.url}/site/guarded`, { method: 'PUT', body: 'before' });
    const refused = await copy('/site/guarded', headers as unknown as Record<string, string>);
    expect([refused.status, await errorCode(refused)]).toEqual([412, 'PreconditionFailed']);
    expect(await (await fetch(`${origin.url}/site/guarded`)).text()).toBe('before');
  });

  test('under conditions that hold is made', async () => {
    const etag = `"${md5('body')}"`;
    await copy('/site/held');
    expect((await copy('/site/held', { 'x-amz-copy-source-if-match': etag, 'if-match': etag })).status).toBe(200);
    const refused = await copy('/site/not-there', { 'if-match': etag });
    expect([refused.status, await errorCode(refused)]).toEqual([404, 'NoSuchKey']);
  });
});
