import { randomBytes } from 'node:crypto';
import { CreateBucketCommand, PutObjectCommand, type PutObjectCommandInput, S3Client } from '@aws-sdk/client-s3';
import { systemClock } from '@sluice/runtime';
import { inject } from 'vitest';
import { S3Source, type S3SourceOptions } from '../adapters/source/s3-source.ts';
import { silent } from './origin.fixture.ts';
import type { S3Account } from './s3-server.fixture.ts';

/** Undefined: there is none, and the tests that need it are skipped with a reason, but where `CI` is `true` nothing is. @throws when there is none and CI=true */
export function s3Server(): S3Account | undefined {
  const server = inject('s3Server');
  if (typeof server !== 'string') return server;
  if (process.env.CI === 'true') throw new Error(server);
  console.warn(`skipped: ${server}`);
  return undefined;
}

/** A new bucket of a real S3 server. */
export interface S3BucketFixture extends Disposable {
  readonly name: string;
  /** Somebody who writes into it. */
  readonly client: S3Client;
  put(key: string, content: string | Uint8Array, described?: Partial<PutObjectCommandInput>): Promise<void>;
  /** The bucket as a source, which ends with the fixture. */
  source(options?: Partial<S3SourceOptions>): S3Source;
}

export async function s3BucketFixture({ endpoint, accessKeyId, secretAccessKey }: S3Account): Promise<S3BucketFixture> {
  const name = `test-${randomBytes(6).toString('hex')}`;
  const account = { endpoint, region: 'us-east-1', credentials: { accessKeyId, secretAccessKey } };
  const client = new S3Client({ ...account, forcePathStyle: true });
  const sources: S3Source[] = [];
  await client.send(new CreateBucketCommand({ Bucket: name }));
  return {
    name,
    client,
    async put(key, content, described = {}) {
      await client.send(new PutObjectCommand({ Bucket: name, Key: key, Body: Buffer.from(content), ...described }));
    },
    source(options = {}) {
      const source = new S3Source({ ...account, ...sourceDefaults(), bucket: name, ...options });
      sources.push(source);
      return source;
    },
    [Symbol.dispose]() {
      for (const source of sources) void source.close();
      client.destroy();
    },
  };
}

/** What a source needs beside the place of its bucket. */
export function sourceDefaults(): Pick<S3SourceOptions, 'pathStyle' | 'clock' | 'log'> {
  return { pathStyle: true, clock: systemClock, log: silent };
}

export async function toArray<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}
