import {
  CreateBucketCommand,
  DeleteBucketCommand,
  GetBucketLocationCommand,
  GetBucketVersioningCommand,
  HeadBucketCommand,
  ListBucketsCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorCode, type OriginFixture, originFixture } from '../../testing/origin.fixture.ts';
import { s3Client } from '../../testing/s3-client.fixture.ts';

let origin: OriginFixture;
let s3: S3Client;
beforeAll(async () => {
  origin = await originFixture();
  s3 = s3Client(origin.url);
});
afterAll(() => origin[Symbol.asyncDispose]());

const put = (path: string) => fetch(origin.url + path, { method: 'PUT', body: 'x' });

describe('buckets, by the SDK', () => {
  test('one is created, found, told about, listed and removed', async () => {
    const Bucket = 'created';
    const before = Date.now();
    expect((await s3.send(new CreateBucketCommand({ Bucket }))).Location).toBe('/created');
    expect((await s3.send(new HeadBucketCommand({ Bucket }))).BucketRegion).toBe('us-east-1');
    expect((await s3.send(new GetBucketLocationCommand({ Bucket }))).LocationConstraint).toBeUndefined();
    expect((await s3.send(new GetBucketVersioningCommand({ Bucket }))).Status).toBe('Enabled');
    const { Buckets = [], Owner } = await s3.send(new ListBucketsCommand({}));
    expect(Owner?.ID).toBe('sluice');
    expect(Buckets).toEqual([{ Name: Bucket, CreationDate: expect.any(Date) }]);
    expect(Buckets[0]?.CreationDate?.getTime()).toBeGreaterThanOrEqual(before);
    await s3.send(new DeleteBucketCommand({ Bucket }));
    await expect(s3.send(new HeadBucketCommand({ Bucket }))).rejects.toMatchObject({ name: 'NotFound' });
    expect((await s3.send(new ListBucketsCommand({}))).Buckets).toEqual([]);
  });

  test('one that is there is not created again, whatever its region is said to be', async () => {
    const create = () =>
      s3.send(new CreateBucketCommand({ Bucket: 'twice', CreateBucketConfiguration: { LocationConstraint: 'eu-west-1' } }));
    await create();
    await expect(create()).rejects.toMatchObject({ name: 'BucketAlreadyOwnedByYou', $metadata: { httpStatusCode: 409 } });
    await s3.send(new DeleteBucketCommand({ Bucket: 'twice' }));
  });

  test('many are listed in pages, by their prefix', async () => {
    const names = ['page-a', 'page-b', 'page-c', 'page-d', 'page-e'];
    for (const Bucket of ['other', ...names]) await s3.send(new CreateBucketCommand({ Bucket }));
    const listed: (string | undefined)[][] = [];
    let ContinuationToken: string | undefined;
    do {
      const page = await s3.send(new ListBucketsCommand({ Prefix: 'page-', MaxBuckets: 2, ContinuationToken }));
      listed.push((page.Buckets ?? []).map(({ Name }) => Name));
      ContinuationToken = page.ContinuationToken;
    } while (ContinuationToken !== undefined);
    expect(listed).toEqual([['page-a', 'page-b'], ['page-c', 'page-d'], ['page-e']]);
    for (const Bucket of ['other', ...names]) await s3.send(new DeleteBucketCommand({ Bucket }));
  });
});

describe('buckets', () => {
  test('the first object of a bucket makes it; it goes when it is empty, and comes with the next one', async () => {
    await put('/implied/a');
    const refused = await fetch(`${origin.url}/implied`, { method: 'DELETE' });
    expect([refused.status, await errorCode(refused)]).toEqual([409, 'BucketNotEmpty']);
    await fetch(`${origin.url}/implied/a`, { method: 'DELETE' });
    expect((await fetch(`${origin.url}/implied`, { method: 'DELETE' })).status).toBe(204);
    expect((await put('/implied/a')).status).toBe(200);
  });

  test.each([
    ['GET', '/none'],
    ['GET', '/none?list-type=2'],
    ['GET', '/none?location'],
    ['GET', '/none?versioning'],
    ['DELETE', '/none'],
    ['POST', '/none?delete'],
    ['GET', '/none/a'],
    ['DELETE', '/none/a'],
    ['GET', '/none/a?tagging'],
    ['DELETE', '/none/a?tagging'],
  ])('%s %s of a bucket that is not there says so', async (method, path) => {
    const refused = await fetch(origin.url + path, { method });
    expect([refused.status, await errorCode(refused)]).toEqual([404, 'NoSuchBucket']);
  });

  test.each(['/healthz', '/metrics', '/readyz', '/10.0.0.1', '/Site', '/a..b'])(
    '%s cannot be created, also not by an object',
    async (path) => {
      for (const target of [path, ...(/[A-Z]|\.\./.test(path) ? [] : [`${path}/a`])]) {
        const refused = await put(target);
        expect([refused.status, await errorCode(refused)]).toEqual([400, 'InvalidBucketName']);
      }
    },
  );

  test.each([
    ['<Wrong/>', 400, 'MalformedXML'],
    ['<CreateBucketConfiguration>', 400, 'MalformedXML'],
    [`<CreateBucketConfiguration>${' '.repeat(70_000)}</CreateBucketConfiguration>`, 400, 'MalformedXML'],
  ])('a configuration that is none is refused: %#', async (body, status, code) => {
    const refused = await fetch(`${origin.url}/configured`, { method: 'PUT', body });
    expect([refused.status, await errorCode(refused)]).toEqual([status, code]);
    expect((await fetch(`${origin.url}/configured`, { method: 'HEAD' })).status).toBe(404);
  });

  test.each(['max-buckets=0', 'max-buckets=10001', 'max-buckets=x', 'continuation-token=x'])('?%s is refused', async (query) => {
    expect(await errorCode(await fetch(`${origin.url}/?${query}`))).toBe('InvalidArgument');
  });
});
