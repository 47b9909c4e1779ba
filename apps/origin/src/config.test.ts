import { ConfigError, readConfig } from '@sluice/runtime';
import { expect, test } from 'vitest';
import { originConfigSchema } from './config.ts';

test('with nothing set, the documented defaults hold', () => {
  expect(readConfig(originConfigSchema, {}, ['ORIGIN_'])).toEqual({
    NATS_URL: ['nats://127.0.0.1:4222'],
    LOG_LEVEL: 'info',
    ORIGIN_HOST: '127.0.0.1',
    ORIGIN_PORT: 9000,
    ORIGIN_DATA_DIR: './data/origin',
    ORIGIN_UPLOADS_MAX: 512,
    ORIGIN_FEED_RETENTION_DAYS: 30,
    ORIGIN_FEED_MAX_ROWS: 200_000,
    ORIGIN_OUTBOX_MAX: 100_000,
    ORIGIN_MULTIPART_UPLOADS_MAX: 10_000,
    ORIGIN_MULTIPART_EXPIRY_DAYS: 7,
    ORIGIN_CODING_THREADS: expect.any(Number),
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
