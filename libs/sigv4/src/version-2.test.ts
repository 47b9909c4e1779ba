import { describe, expect, test } from 'vitest';
import { isAmbiguousV2, type SignedPartsV2, signatureV2, stringToSignV2 } from './mod.ts';

/** Of AWS's published examples, https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html. */
const SECRET = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
const textOf = (parts: Partial<SignedPartsV2>): string =>
  stringToSignV2({ method: 'GET', path: '/johnsmith/photos/puppy.jpg', query: [], headers: {}, expires: '1175139620', ...parts });
const resourceOf = (query: [string, string][]): string => textOf({ query }).split('\n').slice(4).join('\n');

// A request's Date is signed in the place where a link's Expires is.
describe('the examples that AWS has published', () => {
  test.each<[string, Partial<SignedPartsV2>, string]>([
    ['a link', {}, 'NpgCjnDzrM+WFzoENXmpNDUsSn8='],
    ['Object GET', { expires: 'Tue, 27 Mar 2007 19:36:42 +0000' }, 'bWq2s1WEIj+Ydj0vQ697zp+IXMU='],
    [
      'Object PUT, with a type',
      { method: 'PUT', expires: 'Tue, 27 Mar 2007 21:15:45 +0000', headers: { 'content-type': ['image/jpeg'] } },
      'MyyxeRY7whkBe+bq8fHCL/2kKUg=',
    ],
    [
      'Unicode Keys, encoded as they are sent',
      { path: '/dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re', expires: 'Wed, 28 Mar 2007 01:49:49 +0000' },
      'DNEZGsoieTZ92F3bUfSPQcbGmlM=',
    ],
    [
      'Upload, with fields of Amazon',
      {
        method: 'PUT',
        path: '/static.johnsmith.net/db-backup.dat.gz',
        expires: 'Tue, 27 Mar 2007 21:06:08 +0000',
        headers: {
          'x-amz-meta-reviewedby': [' joe@johnsmith.net', 'jane@johnsmith.net '],
          'x-amz-acl': ['public-read'],
          'content-type': ['application/x-download'],
          'content-md5': ['4gJE4saaMU4BqNR0kLY+lw=='],
          'x-amz-meta-filechecksum': ['0x02661779'],
          'x-amz-meta-checksumalgorithm': ['crc32'],
          'content-encoding': ['gzip'],
        },
      },
      'ilyl83RwaSoYIEdixDQcA4OnAnc=',
    ],
  ])('%s', (_, parts, expected) => {
    expect(signatureV2(SECRET, textOf(parts))).toBe(expected);
  });
});

describe('the query', () => {
  test('parameters that are signed are so in the order of their names, decoded, and without "=" when they are empty', () => {
    const query: [string, string][] = [
      ['versionId', ''],
      ['Expires', '1'],
      ['response-expires', 'a b&c'],
      ['prefix', 'x'],
      ['partNumber', '2'],
    ];
    expect(resourceOf(query)).toBe('/johnsmith/photos/puppy.jpg?partNumber=2&response-expires=a b&c&versionId');
  });

  test('other characters than ASCII are signed as their bytes in UTF-8', () => {
    expect(resourceOf([['response-content-type', 'é']])).toBe('/johnsmith/photos/puppy.jpg?response-content-type=Ã©');
  });

  test.each(['x&versionId=1', '&versionId', 'x&partNumber&y'])('%j is signed as two parameters would be', (value) => {
    expect(isAmbiguousV2(value)).toBe(true);
  });

  test.each(['', 'versionId=1', 'x&versionIds=1', 'x&y=z', 'Tom & Jerry'])('%j can be the value of one parameter only', (value) => {
    expect(isAmbiguousV2(value)).toBe(false);
  });
});
