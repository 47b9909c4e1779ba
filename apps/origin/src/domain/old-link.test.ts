import { describe, expect, test } from 'vitest';
import { checkNotExpired } from './claim-check.ts';
import { isOldLink, oldLinkClaimOf } from './old-link.ts';
import { presignedFields } from './presigned-fields.ts';

const LINK = { AWSAccessKeyId: 'KEY', Expires: '1175139620', Signature: 'NpgCjnDzrM+WFzoENXmpNDUsSn8=' };
const linkWith = (change: Record<string, string>) => new URLSearchParams({ ...LINK, ...change });
const refused = (code: string, message: RegExp) => expect.objectContaining({ code, message: expect.stringMatching(message) });

test('a link says whose it is, until when it counts, and its signature', () => {
  expect(oldLinkClaimOf('GET', 'object', {}, linkWith({ versionId: '1', 'response-content-type': 'a/b' }))).toEqual({
    accessKeyId: 'KEY',
    expires: '1175139620',
    expiresMs: Date.UTC(2007, 2, 29, 3, 40, 20),
    signature: LINK.Signature,
  });
});

test.each(['AWSAccessKeyId', 'Expires', 'Signature'])(
  'a request with %s alone means to be a link, and is told what a link needs',
  (name) => {
    const query = new URLSearchParams({ [name]: '1' });
    expect(isOldLink(query)).toBe(true);
    expect(() => oldLinkClaimOf('GET', 'object', {}, query)).toThrow(refused('AccessDenied', /requires the Signature, Expires and AWSAcc/));
  },
);

test('a request without any of its parameters is no link', () => {
  expect(isOldLink(new URLSearchParams({ expires: '1', signature: 'x', versionId: '1' }))).toBe(false);
});

describe('a link is for reading objects', () => {
  test.each([
    ['PUT', 'object'],
    ['DELETE', 'object'],
    ['POST', 'object'],
    ['get', 'object'],
    ['GET', 'bucket'],
    ['HEAD', 'bucket'],
    ['GET', 'service'],
  ] as const)('%s of an %s is refused', (method, kind) => {
    expect(() => oldLinkClaimOf(method, kind, {}, linkWith({}))).toThrow(refused('AccessDenied', /read objects and do nothing else/));
  });

  test.each(['tagging', 'uploadId', 'x-amz-security-token', 'versionid', 'awsaccesskeyid', ''])(
    'with the parameter %j it is refused',
    (name) => {
      expect(() => oldLinkClaimOf('GET', 'object', {}, linkWith({ [name]: '1' }))).toThrow(
        refused('AccessDenied', /does not sign the parameter/),
      );
    },
  );
});

test.each([...Object.keys(LINK), 'versionId', 'response-content-type'])(
  '%s twice is refused: two readers could each take another one',
  (name) => {
    const query = linkWith({ [name]: '1' });
    query.append(name, '1');
    expect(() => oldLinkClaimOf('GET', 'object', {}, query)).toThrow(refused('AccessDenied', new RegExp(`"${name}" must be there once`)));
  },
);

test('a value that could be two parameters is refused', () => {
  const query = linkWith({ 'response-content-disposition': 'inline&versionId=1' });
  expect(() => oldLinkClaimOf('GET', 'object', {}, query)).toThrow(refused('AccessDenied', /as it would a further parameter/));
});

test.each(['', '-1', '+1', '1.0', '1e9', '0x1', ' 1', '12345678901', '2007-03-29T03:40:20Z', '１'])(
  'Expires of %j is no time',
  (Expires) => {
    expect(() => oldLinkClaimOf('GET', 'object', {}, linkWith({ Expires }))).toThrow(refused('AccessDenied', /seconds since epoch/));
  },
);

test('two signatures are refused: two readers could each take another one', () => {
  const inBoth = refused('InvalidArgument', /signed twice/);
  expect(() => oldLinkClaimOf('GET', 'object', { authorization: 'AWS4-HMAC-SHA256 x' }, linkWith({}))).toThrow(inBoth);
  for (const name of ['X-Amz-Signature', 'X-Amz-Algorithm', 'X-Amz-Expires']) {
    expect(() => oldLinkClaimOf('GET', 'object', {}, linkWith({ [name]: '1' }))).toThrow(
      refused('InvalidArgument', /Version 2 and of Version 4/),
    );
  }
});

test('a link counts until its last second, however far away that is', () => {
  const { expiresMs } = oldLinkClaimOf('GET', 'object', {}, linkWith({ Expires: '9999999999' }));
  checkNotExpired(expiresMs, 0);
  checkNotExpired(expiresMs, expiresMs);
  expect(() => checkNotExpired(expiresMs, expiresMs + 1)).toThrow(refused('AccessDenied', /^Request has expired$/));
});

test('nothing in its query is a field of the request', () => {
  expect(presignedFields(linkWith({ 'x-amz-meta-a': 'b' }))).toEqual({});
});
