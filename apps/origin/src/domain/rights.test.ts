import { describe, expect, test } from 'vitest';
import { type AccessKey, type Right, unmetNeed } from './access-key.ts';
import { needsOf, needsOfInvalidation } from './rights.ts';
import { operationOf } from './s3-operation.ts';
import { resourceOf, targetQuery } from './s3-resource.ts';

const needs = (method: string, target: string, headers: Record<string, string> = {}): string[] => {
  const resource = resourceOf(target);
  return needsOf(operationOf(method, resource, targetQuery(target), headers), resource, headers).map(
    ({ right, bucket }) => `${right} ${bucket}`,
  );
};

describe('what an operation needs', () => {
  test.each([
    ['GET', '/', ['list ']],
    ['GET', '/site', ['list site']],
    ['GET', '/site?versions', ['list site']],
    ['HEAD', '/site', ['list site']],
    ['PUT', '/site', ['write site']],
    ['DELETE', '/site', ['delete site']],
    ['POST', '/site?delete', ['delete site']],
    ['GET', '/site/a', ['read site']],
    ['HEAD', '/site/a', ['read site']],
    ['PUT', '/site/a', ['write site']],
    ['DELETE', '/site/a', ['delete site']],
    ['POST', '/site/a?uploads', ['write site']],
    ['PUT', '/site/a?partNumber=1&uploadId=x', ['write site']],
    ['DELETE', '/site/a?uploadId=x', ['write site']],
  ])('%s %s: %j', (method, target, expected) => expect(needs(method, target)).toEqual(expected));

  test.each(['/other/b/c', 'other/b', 'other%2Fb', '%2Fother/b?versionId=1'])('a copy also reads its source, %s', (source) => {
    for (const target of ['/site/a', '/site/a?partNumber=1&uploadId=x']) {
      expect(needs('PUT', target, { 'x-amz-copy-source': source })).toEqual(['write site', 'read other']);
    }
  });

  test.each(['', '/', '*/a', '%'])('a source that names no bucket, %j, is refused', (source) => {
    expect(() => needs('PUT', '/site/a', { 'x-amz-copy-source': source })).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^Invalid/) }),
    );
  });

  test.each([
    [{ key: 'site/a' }, 'site'],
    [{ prefix: 'site/' }, 'site'],
    [{ prefix: 'site' }, '*'],
    [{ tag: 'site/a' }, '*'],
    [{ all: true } as const, '*'],
  ])('an invalidation of %j needs its right on %s', (selector, bucket) => {
    expect(needsOfInvalidation(selector)).toEqual([{ right: 'invalidate', bucket }]);
  });
});

describe('what a key may', () => {
  const key = (rights: Record<string, Right[]>): AccessKey => ({
    accessKeyId: 'a',
    secretAccessKey: '',
    rights: new Map(Object.entries(rights).map(([bucket, granted]) => [bucket, new Set(granted)])),
  });

  test('what is granted on every bucket or on this one', () => {
    const one = key({ '*': ['read'], site: ['write'] });
    const both = [
      { right: 'read', bucket: 'site' },
      { right: 'write', bucket: 'site' },
    ] as const;
    expect(unmetNeed(one, both)).toBeUndefined();
    expect(unmetNeed(one, [{ right: 'read', bucket: 'other' }])).toBeUndefined();
    expect(unmetNeed(one, [...both, { right: 'write', bucket: 'other' }])).toEqual({ right: 'write', bucket: 'other' });
  });

  test('a right on some buckets is none on all', () => {
    expect(unmetNeed(key({ site: ['list'] }), [{ right: 'list', bucket: '*' }])).toEqual({ right: 'list', bucket: '*' });
  });

  test('a right on one bucket or on all is one on some', () => {
    const need = { right: 'list', bucket: '' } as const;
    for (const bucket of ['site', '*']) expect(unmetNeed(key({ other: ['read'], [bucket]: ['list'] }), [need])).toBeUndefined();
    expect(unmetNeed(key({ site: ['read', 'write'], '*': ['read'] }), [need])).toEqual(need);
  });
});
