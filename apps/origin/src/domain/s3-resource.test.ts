import { keyProblem } from '@sluice/contracts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { resourceOf, targetPath } from './s3-resource.ts';

/** Of the object that a target names. */
function keyOf(target: string): string {
  const resource = resourceOf(target);
  return resource.kind === 'object' ? resource.key : expect.unreachable(`it names a ${resource.kind}`);
}

const code = (target: string): string => {
  try {
    resourceOf(target);
    return 'accepted';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe('what a target names', () => {
  test.each([
    ['/site/app.js', 'site/app.js'],
    ['/site/a%20b%2Bc+d', 'site/a b+c+d'],
    ['/site/%C3%A9/%E2%9C%93', 'site/é/✓'],
    ['/site/a%2Fb', 'site/a/b'],
    ['/site//a', 'site//a'],
    ['/site/a%25zz', 'site/a%zz'],
    ['/site/a?x-id=PutObject', 'site/a'],
    ['http://origin:9000/site/a', 'site/a'],
  ])('%s names %s', (target, key) => expect(keyOf(target)).toBe(key));

  test.each([
    ['/site/../other', 'InvalidArgument'],
    ['/site/%2e%2e/other', 'InvalidArgument'],
    ['/site/./a', 'InvalidArgument'],
    ['/site/a%00b', 'InvalidArgument'],
    ['/site/a%0d%0ab', 'InvalidArgument'],
    ['/site/a%7f', 'InvalidArgument'],
    ['/-/other', 'InvalidArgument'],
    ['/Site/a', 'InvalidArgument'],
    ['//a', 'InvalidArgument'],
    ['/site/%', 'InvalidURI'],
    ['/site/%4', 'InvalidURI'],
    ['/site/%zz', 'InvalidURI'],
    ['/site/%ff', 'InvalidURI'],
    ['/site/%C3', 'InvalidURI'],
    ['/site/é', 'InvalidURI'],
    ['site/a', 'InvalidURI'],
    ['*', 'InvalidURI'],
    [`/site/${'a'.repeat(1020)}`, 'KeyTooLongError'],
    [`/site/${'%C3%A9'.repeat(510)}`, 'KeyTooLongError'],
    ['/Site', 'InvalidBucketName'],
    ['/-/', 'InvalidBucketName'],
    ['//', 'InvalidBucketName'],
  ])('%s is refused as %s', (target, expected) => expect(code(target)).toBe(expected));

  test('without a path it is a bucket, without a bucket the service', () => {
    expect(resourceOf('/')).toEqual({ kind: 'service' });
    expect([resourceOf('/site'), resourceOf('/site/?list-type=2')]).toEqual(Array(2).fill({ kind: 'bucket', bucket: 'site' }));
  });

  test('a key of exactly 1,024 bytes is accepted', () => {
    expect(code(`/site/${'a'.repeat(1019)}`)).toBe('accepted');
  });

  test('every possible key comes back from its percent-encoded target', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (path) => {
        const key = `site/${path}`;
        fc.pre(keyProblem(key) === undefined);
        expect(keyOf(`/${encodeURIComponent(key)}`)).toBe(key);
      }),
    );
  });

  test('any target at all either names a valid key or is refused with a code', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (target) => {
        try {
          const resource = resourceOf(`/${target}`);
          if (resource.kind === 'object') expect(keyProblem(resource.key)).toBeUndefined();
        } catch (error) {
          expect(error).toHaveProperty('status', expect.any(Number));
        }
      }),
    );
  });

  test('the path of a target ends where the query begins', () => {
    expect(targetPath('/a/b?c=/d?e')).toBe('/a/b');
  });
});
