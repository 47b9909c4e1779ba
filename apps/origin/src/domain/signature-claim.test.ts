import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { checkSignedHeaders, checkTime, SKEW_MAX_MS } from './claim-check.ts';
import { presignedFields } from './presigned-fields.ts';
import { claimOf } from './signature-claim.ts';

const SIGNATURE = 'a'.repeat(64);
const CREDENTIAL = 'KEY/20130524/eu-x/s3/aws4_request';
const authorization = (parts: Record<string, string> = {}, separator = ', '): string => {
  const all = { Credential: CREDENTIAL, SignedHeaders: 'host;x-amz-date', Signature: SIGNATURE, ...parts };
  return `AWS4-HMAC-SHA256 ${Object.entries(all)
    .map(([name, value]) => `${name}=${value}`)
    .join(separator)}`;
};
const DATE = { 'x-amz-date': '20130524T000000Z' };
const AT_MS = Date.UTC(2013, 4, 24);
const ofHeader = (value: string, more: Record<string, string> = DATE) => claimOf({ authorization: value, ...more }, new URLSearchParams());
const presigned = (change: Record<string, string | undefined> = {}) => {
  const parameters = {
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': CREDENTIAL,
    'X-Amz-Date': DATE['x-amz-date'],
    'X-Amz-Expires': '60',
    'X-Amz-SignedHeaders': 'host',
    'X-Amz-Signature': SIGNATURE,
    ...change,
  };
  return new URLSearchParams(Object.entries(parameters).filter((entry): entry is [string, string] => entry[1] !== undefined));
};

describe('a claim', () => {
  const expected = {
    accessKeyId: 'KEY',
    scope: { date: '20130524', region: 'eu-x', service: 's3' },
    ...{ date: '20130524T000000Z', atMs: AT_MS, signature: SIGNATURE },
  };

  test.each([', ', ',', ' , '])('in the header, separated by %j', (separator) => {
    expect(ofHeader(authorization({}, separator))).toEqual({
      ...expected,
      signedHeaders: ['host', 'x-amz-date'],
      expiresSeconds: undefined,
    });
  });

  test('in the query', () => {
    expect(claimOf({}, presigned())).toEqual({ ...expected, signedHeaders: ['host'], expiresSeconds: 60 });
  });

  test('without x-amz-date it is of Date', () => {
    expect(ofHeader(authorization(), { date: 'Fri, 24 May 2013 00:00:00 GMT' })).toMatchObject({ date: '20130524T000000Z', atMs: AT_MS });
  });

  test.each([
    [authorization(), {}, 'MissingSecurityHeader'],
    [authorization(), { 'x-amz-date': '20131324T000000Z' }, 'MissingSecurityHeader'],
    [authorization(), { 'x-amz-date': '20130525T000000Z' }, 'AuthorizationHeaderMalformed'],
    [authorization({ Credential: 'KEY/20130524/eu-x/ec2/aws4_request' }), DATE, 'AuthorizationHeaderMalformed'],
    [authorization({ Credential: 'KEY/20130524/eu-x/s3/aws5_request' }), DATE, 'AuthorizationHeaderMalformed'],
    [authorization({ Credential: `A/${CREDENTIAL}` }), DATE, 'AuthorizationHeaderMalformed'],
    [authorization({ SignedHeaders: 'Host' }), DATE, 'AuthorizationHeaderMalformed'],
    [authorization({ SignedHeaders: '' }), DATE, 'AuthorizationHeaderMalformed'],
    [authorization({ Signature: SIGNATURE.toUpperCase() }), DATE, 'AuthorizationHeaderMalformed'],
    ['AWS4-HMAC-SHA256', DATE, 'AuthorizationHeaderMalformed'],
    ['Bearer x', DATE, 'AuthorizationHeaderMalformed'],
    ['AWS KEY:signature', DATE, 'AccessDenied'],
  ])('%s with %j is refused as %s', (value, more, code) => {
    expect(() => ofHeader(value, more)).toThrow(expect.objectContaining({ code }));
  });

  test.each([
    { 'X-Amz-Expires': '0' },
    { 'X-Amz-Expires': '604801' },
    { 'X-Amz-Expires': '1e3' },
    { 'X-Amz-Expires': undefined },
    { 'X-Amz-Date': 'today' },
    { 'X-Amz-Algorithm': 'AWS4-ECDSA-P256-SHA256' },
    { 'X-Amz-Signature': undefined },
  ])('a query with %j is refused', (change) => {
    expect(() => claimOf({}, presigned(change))).toThrow(expect.objectContaining({ code: 'AuthorizationQueryParametersError' }));
  });

  test('a parameter that is there twice is refused: two readers could each take another one', () => {
    const query = presigned();
    query.append('X-Amz-Expires', '60');
    expect(() => claimOf({}, query)).toThrow(expect.objectContaining({ code: 'AuthorizationQueryParametersError' }));
  });

  test('a week is the longest', () => {
    expect(claimOf({}, presigned({ 'X-Amz-Expires': '604800' })).expiresSeconds).toBe(604_800);
  });

  test('any header at all is read or refused with a code', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((text) => `AWS4-HMAC-SHA256 ${text}`),
        ),
        (text) => {
          try {
            ofHeader(text);
          } catch (error) {
            expect(error).toHaveProperty('status', expect.any(Number));
          }
        },
      ),
    );
  });
});

describe('time', () => {
  test('a signed request counts for 15 minutes before and after', () => {
    for (const sign of [-1, 1]) {
      checkTime({ atMs: AT_MS, expiresSeconds: undefined }, AT_MS + sign * SKEW_MAX_MS);
      expect(() => checkTime({ atMs: AT_MS, expiresSeconds: undefined }, AT_MS + sign * (SKEW_MAX_MS + 1))).toThrow(
        expect.objectContaining({
          code: 'RequestTimeTooSkewed',
          details: {
            RequestTime: '2013-05-24T00:00:00.000Z',
            ServerTime: expect.stringMatching(/^2013-05-2/),
            MaxAllowedSkewMilliseconds: '900000',
          },
        }),
      );
    }
  });

  test('a presigned URL counts until its last second', () => {
    checkTime({ atMs: AT_MS, expiresSeconds: 60 }, AT_MS + 60_000);
    expect(() => checkTime({ atMs: AT_MS, expiresSeconds: 60 }, AT_MS + 60_001)).toThrow('Request has expired');
  });
});

test('host and all x-amz- fields must be signed', () => {
  checkSignedHeaders(['host', 'x-amz-date'], ['host', 'x-amz-date', 'user-agent']);
  for (const signed of [['x-amz-date'], ['host']]) {
    expect(() => checkSignedHeaders(signed, ['host', 'x-amz-date'])).toThrow(expect.objectContaining({ code: 'AccessDenied' }));
  }
});

describe('fields in the query of a presigned URL', () => {
  test('are those of the request, but for the signature itself', () => {
    expect(presignedFields(presigned({ 'X-Amz-Content-Sha256': 'UNSIGNED-PAYLOAD', 'x-amz-meta-a': 'b', 'x-id': 'PutObject' }))).toEqual({
      'x-amz-content-sha256': 'UNSIGNED-PAYLOAD',
      'x-amz-meta-a': 'b',
    });
  });

  test('a checksum counts, unless the client computed it over no body', () => {
    const checksum = { 'x-amz-checksum-crc32': 'AAAAAA==' };
    expect(presignedFields(presigned(checksum))).toEqual(checksum);
    expect(presignedFields(presigned({ ...checksum, 'x-amz-sdk-checksum-algorithm': 'CRC32' }))).not.toHaveProperty('x-amz-checksum-crc32');
  });

  test('are none without a signature', () => {
    expect(presignedFields(new URLSearchParams({ 'x-amz-meta-a': 'b' }))).toEqual({});
  });
});
