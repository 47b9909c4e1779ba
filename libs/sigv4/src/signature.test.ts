import { createHash, createHmac } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  amzDate,
  type ChunkSeed,
  ChunkSignatures,
  canonicalRequest,
  EMPTY_SHA256,
  type Scope,
  signatureOf,
  signaturesEqual,
  signedFields,
  signingKey,
  stringToSign,
  uriEncode,
} from './mod.ts';

/** Of AWS's published examples. */
const CREDENTIALS = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' };
const DATE = '20130524T000000Z';
const SCOPE: Scope = { date: '20130524', region: 'us-east-1', service: 's3' };
const KEY = signingKey(CREDENTIALS.secretAccessKey, SCOPE);

function signature(method: string, path: string, query: [string, string][], headers: Record<string, string>, payloadHash: string): string {
  const lines = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]]));
  const canonical = canonicalRequest({ method, path, query, headers: lines, signedHeaders: Object.keys(headers).sort(), payloadHash });
  return signatureOf(KEY, stringToSign(DATE, SCOPE, canonical));
}

describe('the examples that AWS has published', () => {
  const host = 'examplebucket.s3.amazonaws.com';
  const own = (payloadHash: string) => ({ host, 'x-amz-content-sha256': payloadHash, 'x-amz-date': DATE });
  const get = (path: string, query: [string, string][], more: Record<string, string> = {}) =>
    signature('GET', path, query, { ...own(EMPTY_SHA256), ...more }, EMPTY_SHA256);

  // https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
  test('GET Object', () => {
    expect(get('/test.txt', [], { range: 'bytes=0-9' })).toBe('f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41');
  });

  test('PUT Object', () => {
    const hash = '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072';
    const headers = { ...own(hash), date: 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-storage-class': 'REDUCED_REDUNDANCY' };
    expect(signature('PUT', '/test$file.text', [], headers, hash)).toBe('98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd');
  });

  test('GET Bucket Lifecycle', () => {
    expect(get('/', [['lifecycle', '']])).toBe('fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543');
  });

  test('Get Bucket (List Objects)', () => {
    const query: [string, string][] = [
      ['prefix', 'J'],
      ['max-keys', '2'],
    ];
    expect(get('/', query)).toBe('34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7');
  });

  // https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
  test('a presigned URL', () => {
    const query: [string, string][] = [
      ['X-Amz-Algorithm', 'AWS4-HMAC-SHA256'],
      ['X-Amz-Credential', `${CREDENTIALS.accessKeyId}/20130524/us-east-1/s3/aws4_request`],
      ['X-Amz-Date', DATE],
      ['X-Amz-Expires', '86400'],
      ['X-Amz-SignedHeaders', 'host'],
    ];
    const expected = 'aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404';
    expect(signature('GET', '/test.txt', query, { host }, 'UNSIGNED-PAYLOAD')).toBe(expected);
  });

  const chunked = (payload: string, more: Record<string, string>) => ({
    host: 's3.amazonaws.com',
    'content-encoding': 'aws-chunked',
    'x-amz-content-sha256': payload,
    'x-amz-date': DATE,
    'x-amz-decoded-content-length': '66560',
    'x-amz-storage-class': 'REDUCED_REDUNDANCY',
    ...more,
  });
  const chunksAfter = (seedSignature: string) => {
    const chunks = new ChunkSignatures({ key: KEY, date: DATE, scope: SCOPE, signature: seedSignature });
    const signed = [65_536, 1024, 0].map((size) => {
      chunks.update(Buffer.alloc(size, 'a'));
      return chunks.chunk();
    });
    return { chunks, signed };
  };

  // https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
  test('a chunked upload', () => {
    const payload = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
    const seed = signature('PUT', '/examplebucket/chunkObject.txt', [], chunked(payload, { 'content-length': '66824' }), payload);
    expect(seed).toBe('4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9');
    expect(chunksAfter(seed).signed).toEqual([
      'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648',
      '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497',
      'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9',
    ]);
  });

  // https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
  test('a chunked upload with a trailer', () => {
    const payload = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER';
    const headers = chunked(payload, { 'x-amz-trailer': 'x-amz-checksum-crc32c' });
    const seed = signature('PUT', '/examplebucket/chunkObject.txt', [], headers, payload);
    expect(seed).toBe('106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e');
    const { chunks, signed } = chunksAfter(seed);
    expect(signed).toEqual([
      'b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2',
      '1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7',
      '2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992',
    ]);
    expect(chunks.trailer('x-amz-checksum-crc32c:sOO8/Q==\n')).toBe('d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435');
  });
});

/** SHA-256, or HMAC with a secret, in the form in which the other implementation takes it. */
class Sha256 {
  readonly #hash;
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret as string);
  }
  update(data: string | Uint8Array): void {
    this.#hash.update(data);
  }
  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest());
  }
  reset(): void {}
}
const oracle = new SignatureV4({ credentials: CREDENTIALS, region: 'eu-x', service: 's3', sha256: Sha256 as never, uriEscapePath: false });

const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const special = fc.stringMatching(/^[ +%&=/?~*'()!éß✓a-c]{0,12}$/);
const anyText = fc.oneof(text, special);
const fieldValue = fc.stringMatching(/^[\t\x20-\x7e]{0,20}$/);
const fieldName = fc.stringMatching(/^x-amz-[a-z0-9-]{1,12}$/).filter((name) => !/^x-amz-(date|content-sha256|signature)$/.test(name));

const requests = fc.record({
  method: fc.constantFrom('GET', 'PUT', 'HEAD', 'DELETE', 'POST'),
  segments: fc.array(anyText, { maxLength: 4 }),
  query: fc.dictionary(
    anyText.filter((name) => name !== '' && name !== '__proto__' && name.toLowerCase() !== 'x-amz-signature'),
    fc.oneof(anyText, fc.array(anyText, { minLength: 1, maxLength: 3 })),
    { maxKeys: 4, noNullPrototype: true },
  ),
  headers: fc.dictionary(fieldName, fieldValue, { maxKeys: 4, noNullPrototype: true }),
  atMs: fc.integer({ min: 0, max: 4e12 }),
});

test('it signs whatever is asked for as the official client does', async () => {
  await fc.assert(
    fc.asyncProperty(requests, async ({ method, segments, query, headers, atMs }) => {
      const path = `/${segments.join('/')}`;
      const sent = { ...headers, host: 'origin.example:9000', 'x-amz-content-sha256': EMPTY_SHA256 };
      const encodedPath = uriEncode(path).replaceAll('%2F', '/');
      const signed = await oracle.sign(
        { method, path: encodedPath, query, headers: sent, protocol: 'http:', hostname: 'origin.example' },
        { signingDate: new Date(atMs) },
      );
      const date = amzDate(atMs);
      const [, signedHeaders = '', expected] = /SignedHeaders=(\S+), Signature=(\S+)$/.exec(signed.headers.authorization ?? '') ?? [];
      const lines = Object.fromEntries(Object.entries({ ...sent, 'x-amz-date': date }).map(([name, value]) => [name, [value]]));
      const scope = { date: date.slice(0, 8), region: 'eu-x', service: 's3' };
      const canonical = canonicalRequest({
        ...{ method, path, headers: lines, signedHeaders: signedHeaders.split(';'), payloadHash: EMPTY_SHA256 },
        query: Object.entries(query).flatMap(([name, values]) => [values].flat().map((value): [string, string] => [name, value])),
      });
      expect(signatureOf(signingKey(CREDENTIALS.secretAccessKey, scope), stringToSign(date, scope, canonical))).toBe(expected);
    }),
    { numRuns: 500 },
  );
});

test('a client signs as the official one does', async () => {
  const url = new URL('http://127.0.0.1:9000/site/a%20b%2Bc?x-id=PutObject&a');
  const headers = { 'content-type': 'text/plain', 'x-amz-meta-regions': 'US,  IN' };
  const mine = signedFields({ method: 'PUT', url, headers, payloadHash: 'UNSIGNED-PAYLOAD' }, CREDENTIALS, 1e12);
  const { authorization, 'x-amz-date': _date, ...given } = mine;
  const theirs = new SignatureV4({
    credentials: CREDENTIALS,
    region: 'us-east-1',
    service: 's3',
    sha256: Sha256 as never,
    uriEscapePath: false,
  });
  const request = {
    method: 'PUT',
    path: url.pathname,
    query: { 'x-id': 'PutObject', a: '' },
    headers: given,
    protocol: 'http:',
    hostname: '127.0.0.1',
  };
  const signed = await theirs.sign(request, { signingDate: new Date(1e12) });
  expect(mine).toEqual(signed.headers);
  expect(authorization).toBe(signed.headers.authorization);
});

describe('fields', () => {
  const canonicalOf = (values: string[]) =>
    canonicalRequest({ method: 'GET', path: '/', query: [], headers: { 'x-a': values }, signedHeaders: ['x-a'], payloadHash: '' }).split(
      '\n',
    )[3];

  test('several lines of one field are one value, each trimmed and with single spaces', () => {
    expect(canonicalOf(['  a \t b ', 'c'])).toBe('x-a:a b,c');
  });

  test('bytes that are white space in some character set are left as they are', () => {
    const bytes = Buffer.from('à b').toString('latin1');
    expect(canonicalOf([bytes])).toBe(`x-a:${bytes}`);
    expect(stringToSign(DATE, SCOPE, bytes).split('\n').at(-1)).toBe(createHash('sha256').update('à b').digest('hex'));
  });
});

test('signatures of another length or with one other character are not equal', () => {
  const seed: ChunkSeed = { key: KEY, date: DATE, scope: SCOPE, signature: '' };
  const right = new ChunkSignatures(seed).chunk();
  expect(new ChunkSignatures(seed).isChunk(right)).toBe(true);
  for (const wrong of ['', right.slice(1), `${right}0`, right.replace(/.$/, 'x'), right.toUpperCase()]) {
    expect(signaturesEqual(right, wrong)).toBe(false);
    expect(new ChunkSignatures(seed).isChunk(wrong)).toBe(false);
  }
});
