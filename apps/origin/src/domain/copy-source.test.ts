import { describe, expect, test } from 'vitest';
import { copySource, copySourceRange } from './copy-source.ts';

const code = (expected: string) => expect.objectContaining({ code: expected });
const source = (value: string) => copySource({ 'x-amz-copy-source': value });

describe('the source of a copy', () => {
  test.each([
    ['/site/a', 'site/a'],
    ['site/a/b', 'site/a/b'],
    ['/site/a%20b%2Bc%25', 'site/a b+c%'],
    ['site/a b+c#d', 'site/a b+c#d'],
    ['site/a%3Fb', 'site/a?b'],
    [Buffer.from('site/ä').toString('latin1'), 'site/ä'],
  ])('"%s" is %s', (value, key) => expect(source(value)).toEqual({ kind: 'object', bucket: 'site', key }));

  test.each([
    ['', 'InvalidArgument'],
    ['/site', 'InvalidArgument'],
    ['/site/', 'InvalidArgument'],
    ['/', 'InvalidArgument'],
    ['/site/../a', 'InvalidArgument'],
    ['/site/%zz', 'InvalidURI'],
    ['/SITE/a', 'InvalidArgument'],
    ['/site/a?versionId=1', 'NotImplemented'],
  ])('"%s" is refused as %s', (value, expected) => expect(() => source(value)).toThrow(code(expected)));
});

describe('a range of the source', () => {
  const range = (value: string) => copySourceRange({ 'x-amz-copy-source-range': value }, 10);

  test('is within it, both ends included; all of it without one', () => {
    expect(copySourceRange({}, 10)).toEqual({ start: 0, end: 9 });
    expect(range('bytes=0-9')).toEqual({ start: 0, end: 9 });
    expect(range('bytes=3-3')).toEqual({ start: 3, end: 3 });
  });

  test.each(['bytes=0-10', 'bytes=4-3', 'bytes=-3', 'bytes=3-', 'bytes=0-1,3-4', '0-3', ''])('"%s" is refused', (value) =>
    expect(() => range(value)).toThrow(code('InvalidArgument')),
  );
});
