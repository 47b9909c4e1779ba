import { keyProblem } from '@sluice/contracts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { directoryPrefix, fileKey, keyFileName, keyUrlPath } from './content-path.ts';

describe('content path', () => {
  test.each([
    ['site/app.js', 'x.js', 'site/app.js'],
    ['site/', 'x.js', 'site/x.js'],
    ['site/v1/', 'a b+c%41.js', 'site/v1/a b+c%41.js'],
  ])('put to %s, a file called %s gets the key %s', (destination, name, key) => {
    expect(fileKey(destination, name)).toBe(key);
  });

  test.each([
    ['site', '"site" is a bucket; write "site/"'],
    ['Site/x', 'must begin with a bucket name'],
    ['site/../x', 'has a "." or ".." segment'],
    ['/x', 'must have the form <bucket>/<path>'],
  ])('a destination %s is refused with what to do', (destination, message) => {
    expect(() => fileKey(destination, 'x')).toThrow(message);
  });

  test('a directory goes below its destination, with or without a slash at the end, also to a bucket’s root', () => {
    expect(['site', 'site/', 'site/v1', 'site/v1/'].map(directoryPrefix)).toEqual(['site/', 'site/', 'site/v1/', 'site/v1/']);
    expect(() => directoryPrefix('BAD')).toThrow('must begin with a bucket name');
    expect(() => directoryPrefix('')).toThrow();
  });

  test('any key comes back from the path of its URL exactly, and a URL parser changes nothing in it', () => {
    const key = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).map((path) => `site/${path}`);
    fc.assert(
      fc.property(
        key.filter((candidate) => keyProblem(candidate) === undefined),
        (candidate) => {
          const path = keyUrlPath(candidate);
          expect(path).toMatch(/^[\x21-\x7e]*$/);
          expect(decodeURIComponent(path.slice(1))).toBe(candidate);
          expect(new URL(path, 'http://origin').pathname).toBe(path);
        },
      ),
    );
    expect(keyUrlPath('site/a b+c%41é?#.txt')).toBe('/site/a%20b%2Bc%2541%C3%A9%3F%23.txt');
  });

  test('the file name of a key is its last segment', () => {
    expect(keyFileName('site/a/b.txt')).toBe('b.txt');
  });
});
