/** Amazon's own client as the judge. */
import { randomBytes } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type OriginFixture, originFixture } from '../../testing/origin.fixture.ts';

let origin: OriginFixture;
let client: S3Client;
beforeAll(async () => {
  origin = await originFixture();
  client = new S3Client({
    endpoint: origin.url,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: 'any', secretAccessKey: 'any' },
    requestChecksumCalculation: 'WHEN_REQUIRED',
  });
});
afterAll(async () => {
  client.destroy();
  await origin[Symbol.asyncDispose]();
});
const MIB = 1024 ** 2;

test('100 MB with four parts in parallel come back byte for byte', async () => {
  const body = randomBytes(100_000_000);
  const params = { Bucket: 'site', Key: 'large file', Body: body, ContentType: 'text/x-large', Metadata: { author: 'Ana' } };
  const upload = new Upload({ client, params, queueSize: 4, partSize: 8 * MIB });
  const done = await upload.done();
  expect(done.ETag).toMatch(/^"[0-9a-f]{32}-12"$/);
  const got = await client.send(new GetObjectCommand({ Bucket: 'site', Key: 'large file' }));
  expect(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(body)).toBe(true);
  expect([got.ETag, got.ContentType, got.Metadata?.author]).toEqual([done.ETag, 'text/x-large', 'Ana']);
  const last = await client.send(new GetObjectCommand({ Bucket: 'site', Key: 'large file', PartNumber: 12 }));
  expect(Buffer.from((await last.Body?.transformToByteArray()) ?? []).equals(body.subarray(11 * 8 * MIB))).toBe(true);
  expect(last.PartsCount).toBe(12);
  const head = await client.send(new HeadObjectCommand({ Bucket: 'site', Key: 'large file', PartNumber: 1 }));
  expect([head.ContentLength, head.PartsCount]).toEqual([8 * MIB, 12]);
}, 60_000);

test.each([
  ['CRC32', 'COMPOSITE'],
  ['CRC32C', 'FULL_OBJECT'],
  ['CRC64NVME', 'FULL_OBJECT'],
  ['SHA1', 'COMPOSITE'],
  ['SHA256', 'COMPOSITE'],
] as const)(
  'an upload created with %s is completed with it, listed with it, and its bytes pass the check of the client',
  async (algorithm, type) => {
    const target = { Bucket: 'site', Key: `checked-${algorithm}` };
    const create = new CreateMultipartUploadCommand({ ...target, ChecksumAlgorithm: algorithm, ChecksumType: type });
    const { UploadId } = await client.send(create);
    const bodies = [randomBytes(5 * MIB), randomBytes(1_000)];
    const Parts = [];
    for (const [index, Body] of bodies.entries()) {
      const sent = await client.send(new UploadPartCommand({ ...target, UploadId, PartNumber: index + 1, Body }));
      Parts.push({ ...sent, PartNumber: index + 1 });
    }
    const field = `Checksum${algorithm}` as const;
    const listed = await client.send(new ListPartsCommand({ ...target, UploadId }));
    expect(listed.Parts?.map((part) => [part.ETag, part[field]])).toEqual(Parts.map((part) => [part.ETag, part[field]]));
    const completed = await client.send(new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } }));
    expect([completed.ChecksumType, completed[field]]).toEqual([type, expect.any(String)]);
    const got = await client.send(new GetObjectCommand({ ...target, ChecksumMode: 'ENABLED' }));
    expect([got[field], got.ChecksumType]).toEqual([completed[field], type]);
    // Fails when a checksum of the whole is another one.
    expect(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(Buffer.concat(bodies))).toBe(true);
  },
);

test('a part is copied, uploads are listed and aborted, and errors have their names', async () => {
  const target = { Bucket: 'copies', Key: 'dir/object' };
  await client.send(new PutObjectCommand({ Bucket: 'site', Key: 'source ä', Body: '0123456789' }));
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(target));
  const CopySource = `site/${encodeURIComponent('source ä')}`;
  const copy = new UploadPartCopyCommand({ ...target, UploadId, PartNumber: 1, CopySource, CopySourceRange: 'bytes=2-5' });
  const { CopyPartResult } = await client.send(copy);
  const listed = await client.send(new ListMultipartUploadsCommand({ Bucket: 'copies' }));
  expect(listed.Uploads?.map((upload) => [upload.Key, upload.UploadId])).toEqual([['dir/object', UploadId]]);
  const rolled = await client.send(new ListMultipartUploadsCommand({ Bucket: 'copies', Delimiter: '/' }));
  expect(rolled.CommonPrefixes?.map(({ Prefix }) => Prefix)).toEqual(['dir/']);
  const Parts = [{ PartNumber: 1, ETag: CopyPartResult?.ETag }];
  const wrong = new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts: [{ PartNumber: 2, ETag: 'x' }] } });
  await expect(client.send(wrong)).rejects.toMatchObject({ name: 'InvalidPart' });
  await client.send(new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } }));
  const got = await client.send(new GetObjectCommand(target));
  expect(await got.Body?.transformToString()).toBe('2345');
  await expect(client.send(new AbortMultipartUploadCommand({ ...target, UploadId }))).rejects.toMatchObject({ name: 'NoSuchUpload' });
});
