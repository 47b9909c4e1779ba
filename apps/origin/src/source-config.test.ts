import { readConfig } from '@sluice/runtime';
import { describe, expect, test } from 'vitest';
import { originConfigSchema } from './config.ts';
import { sourceSettings } from './source-config.ts';

const read = (environment: Record<string, string>) => readConfig(originConfigSchema, environment, ['ORIGIN_']);

describe('a bucket that the origin can have under no such name', () => {
  test.each(['metrics', 'healthz', '10.0.0.1', 'Upper', 'under_score'])('is refused before anything is announced in it: %s', (name) => {
    const directory = { ORIGIN_SOURCE: 'directory', ORIGIN_SOURCE_DIRECTORY: '/srv/www' };
    expect(() => read({ ...directory, ORIGIN_SOURCE_BUCKET: name })).toThrow(/ORIGIN_SOURCE_BUCKET: /);
    const s3 = { ORIGIN_SOURCE: 's3', ORIGIN_SOURCE_S3_BUCKET: name };
    expect(() => read(s3)).toThrow(/ORIGIN_SOURCE_BUCKET: is needed: .* say what it is to be called/);
    const renamed = sourceSettings(read({ ...s3, ORIGIN_SOURCE_BUCKET: 'site' }));
    expect(renamed).toMatchObject({ bucket: name, name: 'site' });
  });
});
