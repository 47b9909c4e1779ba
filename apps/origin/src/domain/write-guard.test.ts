import { describe, expect, test } from 'vitest';
import { writeGuard } from './write-guard.ts';

const MD5 = '9e107d9d372bb6826bd81d3542a419d6';
/** The code with which a write is refused. */
function refusal(headers: Record<string, string>, etag: string | undefined): string | undefined {
  try {
    writeGuard('site/a', headers)?.(etag === undefined ? undefined : { etag });
    return undefined;
  } catch (error) {
    return (error as { code: string }).code;
  }
}

describe('a write', () => {
  test.each([
    [{}, MD5, undefined],
    [{}, undefined, undefined],
    [{ 'if-none-match': '*' }, undefined, undefined],
    [{ 'if-none-match': '*' }, MD5, 'PreconditionFailed'],
    [{ 'if-none-match': ` * ` }, MD5, 'PreconditionFailed'],
    [{ 'if-match': `"${MD5}"` }, MD5, undefined],
    [{ 'if-match': MD5 }, MD5, undefined],
    [{ 'if-match': `"other", "${MD5}"` }, MD5, undefined],
    [{ 'if-match': '*' }, MD5, undefined],
    [{ 'if-match': '"other"' }, MD5, 'PreconditionFailed'],
    [{ 'if-match': `W/"${MD5}"` }, MD5, 'PreconditionFailed'],
    [{ 'if-match': '' }, MD5, 'PreconditionFailed'],
    [{ 'if-match': `"${MD5}"` }, undefined, 'NoSuchKey'],
    [{ 'if-match': '*' }, undefined, 'NoSuchKey'],
    [{ 'if-match': '*', 'if-none-match': '*' }, MD5, 'PreconditionFailed'],
    [{ 'if-match': '*', 'if-none-match': '*' }, undefined, 'NoSuchKey'],
    [{ 'if-none-match': `"${MD5}"` }, undefined, 'NotImplemented'],
    [{ 'if-unmodified-since': 'Thu, 01 Dec 2094 16:00:00 GMT' }, MD5, 'NotImplemented'],
  ])('under %j of what has the MD5 %s is refused as %s', (headers, etag, code) => {
    expect(refusal(headers as Record<string, string>, etag)).toBe(code);
  });
});
