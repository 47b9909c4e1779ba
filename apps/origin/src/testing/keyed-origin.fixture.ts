import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { type Clock, type Logger, systemClock } from '@sluice/runtime';
import type { Credentials } from '@sluice/sigv4';
import { temporaryDirectory } from '@sluice/testkit';
import type { OriginConfig } from '../config.ts';
import { type OriginFixture, originFixture } from './origin.fixture.ts';

const secret = (name: string): string => `secret-of-${name}-`.padEnd(40, '0');
const credentials = (name: string): Credentials => ({ accessKeyId: name, secretAccessKey: secret(name) });

/** May do everything. */
export const OWNER = credentials('OWNER');
/** May read everything, and write into the bucket `site`. */
export const WRITER = credentials('WRITER');
/** May do nothing in the bucket `site`. */
export const STRANGER = credentials('STRANGER');

export const KEYS = `
keys:
  - accessKeyId: OWNER
    secretAccessKey: ${OWNER.secretAccessKey}
    rights: { "*": [read, write, delete, list, invalidate] }
  - accessKeyId: WRITER
    secretAccessKey: ${WRITER.secretAccessKey}
    rights: { "*": [read], site: [write] }
  - accessKeyId: STRANGER
    secretAccessKey: ${STRANGER.secretAccessKey}
    rights: { other: [read, write, delete, list, invalidate] }
`;

export interface KeyedOrigin extends OriginFixture {
  readonly keysFile: string;
  /** The official client, with its default settings. */
  client(credentials: Credentials, more?: S3ClientConfig): S3Client;
}

/** An origin with {@link KEYS}, whose clock differs from the clients' by `clockOffsetMs()`. */
export async function keyedOrigin(
  options: { clockOffsetMs?: () => number; log?: Logger; config?: Partial<OriginConfig> } = {},
): Promise<KeyedOrigin> {
  const { clockOffsetMs = () => 0, config, ...rest } = options;
  const dir = await temporaryDirectory();
  const keysFile = join(dir.path, 'keys.yaml');
  await writeFile(keysFile, KEYS);
  const clock: Clock = { ...systemClock, nowMs: () => Date.now() + clockOffsetMs() };
  const origin = await originFixture({ config: { ORIGIN_KEYS_FILE: keysFile, ...config }, seams: { clock }, ...rest });
  const clients: S3Client[] = [];
  return Object.assign(Object.create(origin) as OriginFixture, {
    keysFile,
    client(own: Credentials, more: S3ClientConfig = {}) {
      const client = new S3Client({
        endpoint: origin.url,
        region: 'eu-central-1',
        forcePathStyle: true,
        maxAttempts: 1,
        credentials: { ...own },
        ...more,
      });
      clients.push(client);
      return client;
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.destroy();
      await origin[Symbol.asyncDispose]();
      await dir[Symbol.asyncDispose]();
    },
  });
}
