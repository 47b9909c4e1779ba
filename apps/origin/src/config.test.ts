import { ConfigError, readConfig } from '@sluice/runtime';
import { describe, expect, test } from 'vitest';
import { originConfigSchema } from './config.ts';

test('with nothing set, the documented defaults hold', () => {
  expect(readConfig(originConfigSchema, {}, ['ORIGIN_'])).toEqual({
    NATS_URL: ['nats://127.0.0.1:4222'],
    NATS_STREAM_REPLICAS: 1,
    LOG_LEVEL: 'info',
    ORIGIN_HOST: '127.0.0.1',
    ORIGIN_ADMIN_OPEN: 'no',
    ORIGIN_ANYONE_MAY_WRITE: 'no',
    ORIGIN_BROKER_PURGE: 'no',
    ORIGIN_PORT: 9000,
    ORIGIN_S3_DOMAIN: [],
    ORIGIN_DATA_DIR: './data/origin',
    ORIGIN_SCRUB_BYTES_PER_SECOND: 1024 ** 2,
    ORIGIN_UPLOADS_MAX: 512,
    ORIGIN_FEED_RETENTION_DAYS: 30,
    ORIGIN_FEED_MAX_ROWS: 200_000,
    ORIGIN_VERSIONS_KEPT: 2,
    ORIGIN_OUTBOX_MAX: 100_000,
    ORIGIN_MULTIPART_UPLOADS_MAX: 10_000,
    ORIGIN_MULTIPART_EXPIRY_DAYS: 7,
    ORIGIN_CODING_THREADS: expect.any(Number),
    ORIGIN_SOURCE: 'store',
    ORIGIN_SOURCE_RESCAN_SECONDS: 60,
    ORIGIN_SOURCE_S3_REGION: 'us-east-1',
    ORIGIN_SOURCE_S3_PREFIX: '',
    ORIGIN_CACHE_BYTES: 10 * 1024 ** 3,
  });
});

test('every problem is named at once', () => {
  const environment = { ORIGIN_PORT: '70000', ORIGIN_OUTBOX_MAX: 'many', ORIGIN_DATADIR: '/x' };
  try {
    readConfig(originConfigSchema, environment, ['ORIGIN_']);
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    for (const name of Object.keys(environment)) expect((error as Error).message).toContain(name);
  }
});

describe('an origin that others can reach', () => {
  const read = (environment: Record<string, string>) => readConfig(originConfigSchema, environment, ['ORIGIN_']);

  test.each(['0.0.0.0', '::', '192.0.2.1', 'origin.example', '127.example'])('needs keys, or the word that it has none: %s', (host) => {
    expect(() => read({ ORIGIN_HOST: host })).toThrow(/ORIGIN_HOST: .*ORIGIN_KEYS_FILE.*ORIGIN_ANYONE_MAY_WRITE=yes/);
    expect(read({ ORIGIN_HOST: host, ORIGIN_KEYS_FILE: 'keys.yaml' }).ORIGIN_HOST).toBe(host);
    expect(read({ ORIGIN_HOST: host, ORIGIN_ANYONE_MAY_WRITE: 'yes' }).ORIGIN_HOST).toBe(host);
  });

  test.each(['127.0.0.1', '127.8.0.1', '::1', 'localhost'])('is not one on %s', (host) => {
    expect(read({ ORIGIN_HOST: host }).ORIGIN_HOST).toBe(host);
  });

  test('cannot have keys and be open', () => {
    expect(() => read({ ORIGIN_KEYS_FILE: 'keys.yaml', ORIGIN_ANYONE_MAY_WRITE: 'yes' })).toThrow(/ORIGIN_ANYONE_MAY_WRITE: contradicts/);
  });
});

describe('domains below which buckets are hosts', () => {
  const read = (value: string) => readConfig(originConfigSchema, { ORIGIN_S3_DOMAIN: value }, ['ORIGIN_']).ORIGIN_S3_DOMAIN;

  test('are one or several', () => {
    expect(read('S3.example.com')).toEqual(['s3.example.com']);
    expect(read('s3.example.com, localhost')).toEqual(['s3.example.com', 'localhost']);
    expect(read(Array(16).fill('a.b').join(','))).toHaveLength(16);
  });

  test.each(
    [
      ['http://s3.example.com', '*.s3.example.com', 's3.example.com:9000', '127.0.0.1', 'a,', '.a', 'a..b', 'x'.repeat(64)],
      [Array(17).fill('a.b').join(','), Array(50).fill('long').join('.')],
    ].flat(),
  )('are not %s', (value) => expect(() => read(value)).toThrow(/ORIGIN_S3_DOMAIN: must be/));
});

test('what the origin writes is not in the directory that it reads', () => {
  const read = (dir: string) =>
    readConfig(
      originConfigSchema,
      { ORIGIN_SOURCE: 'directory', ORIGIN_SOURCE_DIRECTORY: '/srv/www', ORIGIN_SOURCE_BUCKET: 'site', ORIGIN_DATA_DIR: dir },
      ['ORIGIN_'],
    ).ORIGIN_DATA_DIR;
  for (const dir of ['/srv/www', '/srv/www/', '/srv/www/.data', '/srv/x/../www/data']) {
    expect(() => read(dir)).toThrow(/ORIGIN_DATA_DIR: is in ORIGIN_SOURCE_DIRECTORY/);
  }
  for (const dir of ['/srv', '/srv/www-data', './data/origin']) expect(read(dir)).toBe(dir);
});
