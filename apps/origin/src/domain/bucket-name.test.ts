import { expect, test } from 'vitest';
import { bucketOf, checkNewBucket } from './bucket-name.ts';

test('the bucket of a key is its first segment', () => {
  expect([bucketOf('site/a'), bucketOf('a.b-c//d/')]).toEqual(['site', 'a.b-c']);
});

test.each(['s', 'site', 'my.site-1', '1.2.3', `a${'b'.repeat(61)}c`, 'healthz2'])('"%s" can be a bucket', (name) => {
  expect(() => checkNewBucket(name)).not.toThrow();
});

test.each([
  ...['', 'Site', 'a_b', '-a', 'a-', '.a', 'a..b', 'ä', `a${'b'.repeat(62)}c`],
  ...['healthz', 'readyz', 'metrics', '192.168.5.4'],
])('"%s" cannot', (name) => {
  expect(() => checkNewBucket(name)).toThrow(expect.objectContaining({ code: 'InvalidBucketName', status: 400 }));
});
