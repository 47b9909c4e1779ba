import { keyProblem } from '@sluice/contracts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { objectKey, targetPath } from './object-key.ts';

const code = (target: string): string => {
  try {
    objectKey(target);
    return 'accepted';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

describe('object key', () => {
  test.each([
    ['/site/app.js', 'site/app.js'],
    ['/site/a%20b%2Bc+d', 'site/a b+c+d'],
    ['/site/%C3%A9/%E2%9C%93', 'site/é/✓'],
    ['/site/a%2Fb', 'site/a/b'],
    ['/site//a', 'site//a'],
    ['/site/a%25zz', 'site/a%zz'],
    ['/site/a?x-id=PutObject', 'site/a'],
    ['http://origin:9000/site/a', 'site/a'],
  ])('%s names %s', (target, key) => expect(objectKey(target)).toBe(key));

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
    ['/', 'NotImplemented'],
    ['/site', 'NotImplemented'],
    ['/site/', 'NotImplemented'],
    ['/site/a?acl', 'NotImplemented'],
    ['/site/a?uploads', 'NotImplemented'],
    ['/site/a?partNumber=1&uploadId=x', 'NotImplemented'],
  ])('%s is refused as %s', (target, expected) => expect(code(target)).toBe(expected));

  test('a key of exactly 1,024 bytes is accepted', () => {
    expect(code(`/site/${'a'.repeat(1019)}`)).toBe('accepted');
  });

  test('every possible key comes back from its percent-encoded target', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (path) => {
        const key = `site/${path}`;
        fc.pre(keyProblem(key) === undefined);
        expect(objectKey(`/${encodeURIComponent(key)}`)).toBe(key);
      }),
    );
  });

  test('any target at all either names a valid key or is refused with a code', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (target) => {
        try {
          expect(keyProblem(objectKey(`/${target}`))).toBeUndefined();
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
