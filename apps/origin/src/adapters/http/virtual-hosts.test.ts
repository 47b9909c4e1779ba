/** Amazon's own client, with the bucket in the host's name. */
import { lookup } from 'node:dns';
import { Agent, request } from 'node:http';
import type { LookupFunction } from 'node:net';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadBucketCommand,
  ListBucketsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type KeyedOrigin, keyedOrigin, OWNER, STRANGER } from '../../testing/keyed-origin.fixture.ts';
import { originFixture } from '../../testing/origin.fixture.ts';

const DOMAIN = 's3.sluice.test';
/** Every name is this machine. */
const loopback: LookupFunction = (_, options, done) => lookup('127.0.0.1', options, done);
const agent = new Agent({ lookup: loopback, keepAlive: true });

let origin: KeyedOrigin;
let client: S3Client;
const virtual = (credentials: typeof OWNER): S3Client =>
  origin.client(credentials, {
    endpoint: `http://${DOMAIN}:${origin.port}`,
    forcePathStyle: false,
    requestHandler: { httpAgent: agent },
  });
beforeAll(async () => {
  origin = await keyedOrigin({ config: { ORIGIN_S3_DOMAIN: [DOMAIN] } });
});
beforeEach(() => {
  client = virtual(OWNER);
});
afterAll(async () => {
  agent.destroy();
  await origin[Symbol.asyncDispose]();
});

test.each(['http://origin.s3.sluice.test:9000', 'https://ORIGIN.s3.sluice.test', 'http://my_origin.s3.sluice.test'])(
  'an origin that edges reach at %s, which is the name of a bucket, does not start',
  async (ORIGIN_URL) => {
    const started = originFixture({ config: { ORIGIN_URL, ORIGIN_S3_DOMAIN: [DOMAIN] } });
    await expect(started).rejects.toThrow(/ORIGIN_URL: .*ORIGIN_S3_DOMAIN/);
  },
);

test.each([`http://${DOMAIN}:9000`, 'http://origin.sluice.test', 'http://127.0.0.1:9000'])('an origin at %s does', async (ORIGIN_URL) => {
  await using started = await originFixture({ config: { ORIGIN_URL, ORIGIN_S3_DOMAIN: [DOMAIN] } });
  expect((await fetch(`${started.url}/healthz`)).status).toBe(200);
});

/** What is at a URL, for whoever has no key. */
function read(url: string, headers: Record<string, string> = {}): Promise<[status: number | undefined, text: string]> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { agent, headers }, async (answer) => {
      let text = '';
      for await (const piece of answer.setEncoding('utf8')) text += piece;
      resolve([answer.statusCode, text]);
    });
    asked.once('error', reject).end();
  });
}

const AT = { Bucket: 'my-site', Key: 'a b/ü+c(1).txt' };

describe('with the bucket in the name of the host', () => {
  test('objects are put, read, listed, copied and removed, and are the same as by their path', async () => {
    await client.send(new PutObjectCommand({ ...AT, Body: 'bytes' }));
    const byPath = origin.client(OWNER);
    expect(await (await byPath.send(new GetObjectCommand(AT))).Body?.transformToString()).toBe('bytes');
    await client.send(new CopyObjectCommand({ ...AT, Key: 'copy', CopySource: `${AT.Bucket}/${encodeURIComponent(AT.Key)}` }));
    expect((await client.send(new ListObjectsV2Command({ Bucket: AT.Bucket }))).Contents?.map(({ Key }) => Key)).toEqual([AT.Key, 'copy']);
    const Delete = { Objects: [{ Key: AT.Key }, { Key: 'copy' }] };
    expect((await client.send(new DeleteObjectsCommand({ Bucket: AT.Bucket, Delete }))).Deleted).toHaveLength(2);
    expect((await byPath.send(new ListObjectsV2Command({ Bucket: AT.Bucket }))).KeyCount).toBe(0);
  });

  test('buckets are made, found and deleted, and listed at the domain itself', async () => {
    await client.send(new CreateBucketCommand({ Bucket: 'made' }));
    await client.send(new HeadBucketCommand({ Bucket: 'made' }));
    expect((await client.send(new ListBucketsCommand({ Prefix: 'made' }))).Buckets?.map(({ Name }) => Name)).toEqual(['made']);
    await client.send(new DeleteBucketCommand({ Bucket: 'made' }));
    await expect(client.send(new HeadBucketCommand({ Bucket: 'made' }))).rejects.toMatchObject({ name: 'NotFound' });
  });

  test('an upload in parts is completed, and told where it is', async () => {
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(AT));
    const { ETag } = await client.send(new UploadPartCommand({ ...AT, UploadId, PartNumber: 1, Body: 'a part' }));
    const parts = { MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] } };
    const { Location } = await client.send(new CompleteMultipartUploadCommand({ ...AT, UploadId, ...parts }));
    const { host, pathname } = new URL(Location ?? '');
    expect([host, decodeURIComponent(pathname)]).toEqual([`my-site.${DOMAIN}:${origin.port}`, `/${AT.Key}`]);
  });

  test('a presigned link is good for its bucket and for no other one', async () => {
    await client.send(new PutObjectCommand({ ...AT, Body: 'linked' }));
    await client.send(new PutObjectCommand({ ...AT, Bucket: 'other', Body: 'not linked' }));
    const url = await getSignedUrl(client, new GetObjectCommand(AT), { expiresIn: 60 });
    expect(url).toContain(`//my-site.${DOMAIN}:`);
    expect(await read(url)).toEqual([200, 'linked']);
    expect(await read(url.replace('//my-site.', '//other.'))).toEqual([403, expect.stringContaining('SignatureDoesNotMatch')]);
    const { host, pathname, search } = new URL(url);
    expect(await read(`http://127.0.0.1:${origin.port}/other${pathname}${search}`, { host })).toEqual([403, expect.any(String)]);
  });

  test('rights are those on the bucket of the name', async () => {
    await client.send(new PutObjectCommand({ ...AT, Bucket: 'other', Body: 'bytes' }));
    const stranger = virtual(STRANGER);
    await stranger.send(new GetObjectCommand({ ...AT, Bucket: 'other' }));
    await expect(stranger.send(new GetObjectCommand(AT))).rejects.toMatchObject({ name: 'AccessDenied' });
  });

  test('the paths of the origin itself are keys like any other', async () => {
    for (const Key of ['metrics', 'healthz', '-/invalidations', '-/blobs/x']) {
      await client.send(new PutObjectCommand({ ...AT, Key, Body: Key }));
      expect(await (await client.send(new GetObjectCommand({ ...AT, Key }))).Body?.transformToString()).toBe(Key);
    }
    expect((await read(`http://my-site.${DOMAIN}:${origin.port}/metrics`))[0]).toBe(403);
    expect((await read(`http://${DOMAIN}:${origin.port}/healthz`))[0]).toBe(200);
  });
});
