import { createReadStream } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  paginateListObjectsV2,
  S3Client as Sdk,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { Account, ClientKind, S3Client } from './client.ts';
import { readTree } from './tree.ts';

/** Larger files go in parts. */
const PART_BYTES = 8 * 1024 * 1024;

/** https://docs.aws.amazon.com/AWSJavaScriptSDK/v3/latest/client/s3/ with its default integrity settings. */
export const sdk: ClientKind = { name: '@aws-sdk/client-s3', create };

async function create({ endpoint, accessKeyId, secretAccessKey }: Account): Promise<S3Client> {
  const client = new Sdk({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } });
  const keysOf = async (bucket: string): Promise<string[]> => {
    const keys: string[] = [];
    for await (const page of paginateListObjectsV2({ client, pageSize: 50 }, { Bucket: bucket })) {
      for (const { Key } of page.Contents ?? []) keys.push(Key as string);
    }
    return keys;
  };
  return {
    name: sdk.name,
    makeBucket: async (bucket) => void (await client.send(new CreateBucketCommand({ Bucket: bucket }))),
    async sync(dir, bucket) {
      const files = await readTree(dir);
      for (const [path, content] of files) {
        if (content.byteLength <= PART_BYTES) await client.send(new PutObjectCommand({ Bucket: bucket, Key: path, Body: content }));
        else
          await new Upload({
            client,
            params: { Bucket: bucket, Key: path, Body: createReadStream(join(dir, path)) },
            partSize: PART_BYTES,
          }).done();
      }
      const surplus = (await keysOf(bucket)).filter((key) => !files.has(key));
      if (surplus.length === 0) return;
      await client.send(new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects: surplus.map((Key) => ({ Key })) } }));
    },
    async download(bucket, dir) {
      for (const key of await keysOf(bucket)) {
        const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
        const file = join(dir, key);
        await mkdir(dirname(file), { recursive: true });
        await writeFile(file, (await Body?.transformToByteArray()) ?? new Uint8Array());
      }
    },
    async put(file, bucket, path, { contentType, cacheControl, meta }) {
      const params = { Bucket: bucket, Key: path, ContentType: contentType, CacheControl: cacheControl, Metadata: { ...meta } };
      await new Upload({ client, params: { ...params, Body: createReadStream(file) }, partSize: PART_BYTES }).done();
    },
    async describe(bucket, path) {
      const { ContentType, CacheControl, Metadata = {} } = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: path }));
      return { contentType: ContentType, cacheControl: CacheControl, meta: Metadata };
    },
    remove: async (bucket, path) => void (await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: path }))),
    presign: (bucket, path) => getSignedUrl(client, new GetObjectCommand({ Bucket: bucket, Key: path }), { expiresIn: 300 }),
  };
}
