import { describe, expect, test } from 'vitest';
import { inPathStyle } from './virtual-host.ts';

const DOMAINS = ['example.com', 's3.example.com'];

describe('a target in path style', () => {
  test.each([
    ['/app.js', 'site.s3.example.com', '/site/app.js'],
    ['/app.js', 'SITE.s3.Example.com:9000', '/site/app.js'],
    ['/app.js', 'site.s3.example.com.', '/site/app.js'],
    ['/app.js', 'site.s3.example.com.:9000', '/site/app.js'],
    ['/a%2Fb//c?versionId=1', 'my.site.s3.example.com', '/my.site/a%2Fb//c?versionId=1'],
    ['/', 'site.s3.example.com', '/site/'],
    ['/?list-type=2', 'site.s3.example.com', '/site/?list-type=2'],
    ['/metrics', 'site.s3.example.com', '/site/metrics'],
    ['http://site.s3.example.com/app.js?a', 'site.s3.example.com', '/site/app.js?a'],
    ['http://site.s3.example.com?uploads', 'site.s3.example.com', '/site?uploads'],
    ['/app.js', 'site.example.com', '/site/app.js'],
  ])('%s at %s is %s', (target, host, expected) => expect(inPathStyle(target, host, DOMAINS)).toBe(expected));

  test.each([
    's3.example.com',
    's3.example.com:9000',
    'example.com',
    'xexample.com',
    '127.0.0.1:9000',
    '[::1]:9000',
    'localhost',
    '',
    undefined,
  ])('stays what it is at %s, which is no host of a bucket', (host) =>
    expect(inPathStyle('/site/app.js?a', host, DOMAINS)).toBe('/site/app.js?a'),
  );

  test('stays what it is without domains, whatever the target says', () => {
    expect(inPathStyle('http://other/site/a', 'site.s3.example.com', [])).toBe('http://other/site/a');
  });

  test.each(['.s3.example.com', '-.s3.example.com', 'a..b.s3.example.com', 'a/b.s3.example.com', 'ä.s3.example.com'])(
    'is refused at %s, which names no bucket',
    (host) => expect(() => inPathStyle('/a', host, DOMAINS)).toThrow(expect.objectContaining({ code: 'InvalidBucketName' })),
  );

  test('is refused when the target has another host than the field, for only the field is signed', () => {
    expect(() => inPathStyle('http://other.s3.example.com/a', 'site.s3.example.com', DOMAINS)).toThrow(
      expect.objectContaining({ code: 'InvalidRequest' }),
    );
  });

  test.each(['*', 'ftp://x/y', '-other/a'])('is never made of %s, which is no path', (target) =>
    expect(inPathStyle(target, 'site.s3.example.com', DOMAINS)).toBe(target),
  );
});
