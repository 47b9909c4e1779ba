/** The s3 source at a server that nobody here wrote, by the laws of all sources. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CopyObjectCommand, DeleteObjectCommand, type PutObjectCommandInput } from '@aws-sdk/client-s3';
import { describe } from 'vitest';
import type { UploadFields } from '../../domain/upload-headers.ts';
import { s3BucketFixture, s3Server } from '../../testing/s3-bucket.fixture.ts';
import type { S3Account } from '../../testing/s3-server.fixture.ts';
import { describeSource, type SourceHarness } from '../../testing/source-conformance.ts';

const server = s3Server();

async function s3Harness(): Promise<SourceHarness> {
  const bucket = await s3BucketFixture(server as S3Account);
  const { client, name: Bucket } = bucket;
  let leftOut = 0;
  const pathOf = (key: string): string => key.slice('site/'.length);
  return {
    source: bucket.source({
      name: 'site',
      onLeftOut: () => {
        leftOut += 1;
      },
    }),
    bucket: 'site',
    hints: false,
    leftOut: () => leftOut,
    put: (key, bytes, fields = {}) => bucket.put(pathOf(key), bytes, describedBy(fields)),
    remove: async (key) => void (await client.send(new DeleteObjectCommand({ Bucket, Key: pathOf(key) }))),
    // What is told in seconds tells a later change apart when the second is over.
    settle: async () => void (await sleep(1_010 - (Date.now() % 1_000))),
    async putUnnameable() {
      for (const path of ['../up', 'new\nline', 'a/./b']) await bucket.put(path, 'x');
    },
    async setFields(key, fields) {
      const CopySource = `${Bucket}/${encodeURIComponent(pathOf(key))}`;
      await client.send(
        new CopyObjectCommand({ Bucket, Key: pathOf(key), CopySource, MetadataDirective: 'REPLACE', ...describedBy(fields) }),
      );
    },
    overwrite: undefined,
    rename: undefined,
    openReads: undefined,
    async [Symbol.asyncDispose]() {
      bucket[Symbol.dispose]();
    },
  };
}

function describedBy({
  meta,
  contentType,
  cacheControl,
  contentEncoding,
  contentLanguage,
  contentDisposition,
}: Partial<UploadFields>): Partial<PutObjectCommandInput> {
  return {
    ContentType: contentType,
    CacheControl: cacheControl,
    ContentEncoding: contentEncoding,
    ContentLanguage: contentLanguage,
    ContentDisposition: contentDisposition,
    Metadata: meta,
  };
}

describe.skipIf(server === undefined)('by the laws of all sources', () => {
  describeSource('s3', s3Harness, { propertyRuns: 10 });
});
