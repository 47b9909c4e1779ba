import { writeFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  type ListBucketsCommandInput,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { type Credentials, signedFields } from '@sluice/sigv4';
import { eventually } from '@sluice/testkit';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { KEYS, type KeyedOrigin, keyedOrigin, OWNER, STRANGER, WRITER } from '../../testing/keyed-origin.fixture.ts';
import { errorCode, rawExchange, sha256, statusOf } from '../../testing/origin.fixture.ts';

const MINUTE_MS = 60_000;
let origin: KeyedOrigin;
let clockOffsetMs = 0;
beforeAll(async () => {
  origin = await keyedOrigin({ clockOffsetMs: () => clockOffsetMs });
});
beforeEach(() => {
  clockOffsetMs = 0;
});
afterAll(() => origin[Symbol.asyncDispose]());

const bytes = Buffer.from('a body of some bytes');
const AT = { Bucket: 'site', Key: 'a b/ü+c(1).txt' };
const put = (credentials: Credentials, Key = AT.Key) => origin.client(credentials).send(new PutObjectCommand({ ...AT, Key, Body: bytes }));
/** The code with which the official client sees itself refused. */
const refusal = (sent: Promise<unknown>): Promise<string> =>
  sent.then(
    () => 'accepted',
    (error: Error) => error.name,
  );
const signed = (method: string, path: string, own = OWNER, more: Record<string, string> = {}, payloadHash = 'UNSIGNED-PAYLOAD') =>
  signedFields({ method, url: new URL(path, origin.url), headers: more, payloadHash }, own, Date.now());
/** What is said of a refusal: status, code and the whole document. */
const answerTo = async (target: string | URL, init: RequestInit = {}) => {
  const response = await fetch(new URL(target, origin.url), init);
  const text = await response.text();
  return { status: response.status, code: /<Code>(\w+)</.exec(text)?.[1] ?? '', text };
};

describe('the official client, with its default settings', () => {
  test('puts, reads and deletes', async () => {
    const client = origin.client(OWNER);
    await client.send(new PutObjectCommand({ ...AT, Body: bytes, ContentType: 'text/plain', Metadata: { a: 'x  y' } }));
    expect(await client.send(new HeadObjectCommand(AT))).toMatchObject({ ContentLength: bytes.byteLength, Metadata: { a: 'x  y' } });
    const { Body } = await client.send(new GetObjectCommand({ ...AT, Range: 'bytes=2-5' }));
    expect(await Body?.transformToString()).toBe('body');
    await client.send(new DeleteObjectCommand(AT));
    expect(await refusal(client.send(new HeadObjectCommand(AT)))).toBe('NotFound');
  });

  test('streams a body of which it knows the checksum only at its end', async () => {
    const client = origin.client(OWNER);
    const content = Buffer.alloc(300_000, 'stream');
    const Body = Readable.from([content.subarray(0, 10), content.subarray(10)]);
    await client.send(new PutObjectCommand({ ...AT, Body, ContentLength: content.byteLength, ContentEncoding: 'x-own' }));
    const got = await client.send(new GetObjectCommand(AT));
    expect(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(content)).toBe(true);
    expect(got.ContentEncoding).toBe('x-own');
  });

  test('is refused with a wrong secret, an unknown key, and outside of 15 minutes', async () => {
    expect(await refusal(put({ ...OWNER, secretAccessKey: WRITER.secretAccessKey }))).toBe('SignatureDoesNotMatch');
    expect(await refusal(put({ ...OWNER, accessKeyId: 'NOBODY' }))).toBe('InvalidAccessKeyId');
    for (const [offset, expected] of [
      [-14 * MINUTE_MS, 'accepted'],
      [14 * MINUTE_MS, 'accepted'],
      [16 * MINUTE_MS, 'RequestTimeTooSkewed'],
      [-16 * MINUTE_MS, 'RequestTimeTooSkewed'],
    ] as const) {
      clockOffsetMs = offset;
      // The client learns the server's time from a refusal, so each is another one.
      expect(await refusal(put(OWNER))).toBe(expected);
    }
  });
});

describe('presigned URLs', () => {
  const url = (command: PutObjectCommand | GetObjectCommand | HeadObjectCommand | DeleteObjectCommand, expiresIn = 60) =>
    getSignedUrl(origin.client(OWNER), command as GetObjectCommand, { expiresIn });

  test('upload, read, look at and remove without any further field', async () => {
    const Metadata = { a: 'b', regions: 'US,IN' };
    const uploaded = await fetch(await url(new PutObjectCommand({ ...AT, Metadata })), { method: 'PUT', body: bytes });
    expect(uploaded.status).toBe(200);
    const head = await fetch(await url(new HeadObjectCommand(AT)), { method: 'HEAD' });
    // What it says of the object counts, although it is in the query.
    expect([head.status, head.headers.get('x-amz-meta-a'), head.headers.get('x-amz-meta-regions')]).toEqual([200, 'b', 'US,IN']);
    expect(await (await fetch(await url(new GetObjectCommand(AT)))).text()).toBe(bytes.toString());
    expect((await fetch(await url(new DeleteObjectCommand(AT)), { method: 'DELETE' })).status).toBe(204);
  });

  test('a checksum that was signed is checked', async () => {
    const signedUrl = await url(new PutObjectCommand({ ...AT, ChecksumSHA256: sha256('other bytes', 'base64') }));
    expect(await answerTo(signedUrl, { method: 'PUT', body: bytes })).toMatchObject({ status: 400, code: 'BadDigest' });
  });

  test('open until they expire, and not before their time', async () => {
    await put(OWNER);
    const signedUrl = await url(new GetObjectCommand(AT), 20 * 60);
    clockOffsetMs = 19 * MINUTE_MS;
    expect((await fetch(signedUrl)).status).toBe(200);
    clockOffsetMs = 21 * MINUTE_MS;
    const late = await answerTo(signedUrl);
    expect([late.status, late.code]).toEqual([403, 'AccessDenied']);
    expect(late.text).toMatch(/<Message>Request has expired<.*<X-Amz-Expires>1200<.*<Expires>20\d\d-.*<ServerTime>20/);
    clockOffsetMs = -16 * MINUTE_MS;
    expect((await answerTo(signedUrl)).text).toContain('Request is not valid yet');
  });

  test.each([
    ['path', (it: URL) => (it.pathname += 'x')],
    ['parameter', (it: URL) => it.searchParams.set('x-id', 'y')],
    ['further parameter', (it: URL) => it.searchParams.append('response-content-type', 'text/html')],
    ['time', (it: URL) => it.searchParams.set('X-Amz-Expires', '3600')],
    ['signature', (it: URL) => it.searchParams.set('X-Amz-Signature', 'f'.repeat(64))],
  ])('another %s than was signed is refused', async (_what, change) => {
    const changed = new URL(await url(new GetObjectCommand(AT)));
    change(changed);
    expect(await answerTo(changed)).toMatchObject({ status: 403, code: 'SignatureDoesNotMatch' });
  });

  test('another method than was signed is refused', async () => {
    expect(await answerTo(await url(new GetObjectCommand(AT)), { method: 'DELETE' })).toMatchObject({ code: 'SignatureDoesNotMatch' });
  });

  test('fields that decide what is stored cannot be added', async () => {
    const signedUrl = await url(new PutObjectCommand(AT));
    const refused = await answerTo(signedUrl, { method: 'PUT', body: bytes, headers: { 'x-amz-meta-regions': 'EU' } });
    expect([refused.status, refused.code]).toEqual([403, 'AccessDenied']);
    expect(refused.text).toContain('<HeadersNotSigned>x-amz-meta-regions<');
  });
});

describe('the header', () => {
  test('fields that decide what is stored must be signed', async () => {
    const headers = { ...signed('PUT', '/site/a'), 'x-amz-meta-a': 'b' };
    expect(await answerTo('/site/a', { method: 'PUT', body: bytes, headers })).toMatchObject({ code: 'AccessDenied' });
  });

  test('another value of a signed field is refused, and the answer says what would have been signed', async () => {
    const headers = { ...signed('PUT', '/site/a', OWNER, { 'x-amz-meta-a': 'b' }), 'x-amz-meta-a': 'c' };
    const refused = await answerTo('/site/a', { method: 'PUT', body: bytes, headers });
    expect(refused).toMatchObject({ status: 403, code: 'SignatureDoesNotMatch' });
    // Line ends are written as references.
    expect(refused.text).toContain('x-amz-meta-a:c&#10;');
    expect(refused.text).toContain('<StringToSign>AWS4-HMAC-SHA256&#10;');
  });

  test('a body that is another one than was signed is refused, also a small one', async () => {
    const headers = signed('PUT', '/site/a', OWNER, {}, sha256('other'));
    expect(await answerTo('/site/a', { method: 'PUT', body: bytes, headers })).toMatchObject({ code: 'XAmzContentSHA256Mismatch' });
    const path = '/-/invalidations';
    const invalidation = { method: 'POST', body: '{"all":true}', headers: signed('POST', path, OWNER, {}, sha256('{"key":"site/a"}')) };
    expect((await answerTo(path, invalidation)).text).toContain('XAmzContentSHA256Mismatch');
  });

  test('several lines of one field are signed as one', async () => {
    const fields = signed('PUT', '/site/a', OWNER, { 'x-amz-meta-a': 'b,c' });
    const lines = Object.entries(fields).flatMap(([name, value]) =>
      name === 'x-amz-meta-a' ? [`${name}: b`, `${name}:  c `] : [`${name}: ${value}`],
    );
    const request = `PUT /site/a HTTP/1.1\r\n${lines.join('\r\n')}\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc`;
    expect(statusOf(await rawExchange(origin.port, [request]))).toBe(200);
  });

  test.each([
    ['nothing', undefined, 'AccessDenied'],
    ['version 2', 'AWS OWNER:signature=', 'AccessDenied'],
    ['another scheme', 'Basic T1dORVI6', 'AuthorizationHeaderMalformed'],
    ['no signature', 'AWS4-HMAC-SHA256 Credential=OWNER/20260101/r/s3/aws4_request, SignedHeaders=host', 'AuthorizationHeaderMalformed'],
  ])('%s is refused before the body is asked for', async (_name, authorization, code) => {
    const fields = authorization === undefined ? '' : `authorization: ${authorization}\r\nx-amz-date: 20260101T000000Z\r\n`;
    const request = `PUT /site/a HTTP/1.1\r\nhost: x\r\n${fields}expect: 100-continue\r\ncontent-length: 3\r\n\r\n`;
    const response = await rawExchange(origin.port, [request]);
    expect(response).toContain(`<Code>${code}</Code>`);
    expect(response).not.toContain('100 Continue');
  });

  test('a signature both in the query and in the header is refused', async () => {
    const signedUrl = await getSignedUrl(origin.client(OWNER), new GetObjectCommand(AT));
    expect(await answerTo(signedUrl, { headers: signed('GET', '/site/a') })).toMatchObject({ code: 'InvalidArgument' });
  });

  test('operations without a handler need a key first', async () => {
    expect((await answerTo('/site/a?tagging')).code).toBe('AccessDenied');
    expect(['NotImplemented', '']).toContain((await answerTo('/site/a?tagging', { headers: signed('GET', '/site/a?tagging') })).code);
  });
});

describe('rights', () => {
  test('a key does what it may, and is told which right it has not', async () => {
    await put(WRITER);
    const remove = origin.client(WRITER).send(new DeleteObjectCommand(AT));
    await expect(remove).rejects.toThrow(/WRITER has not the right "delete" on the bucket "site"/);
    await expect(put(STRANGER)).rejects.toThrow(/"write" on the bucket "site"/);
    await expect(origin.client(WRITER).send(new PutObjectCommand({ ...AT, Bucket: 'other', Body: bytes }))).rejects.toThrow(
      /bucket "other"/,
    );
    expect((await origin.client(WRITER).send(new GetObjectCommand(AT))).ContentLength).toBe(bytes.byteLength);
  });

  test('the list of buckets tells a key of those that it may list, page by page, and a key that may list none is refused', async () => {
    const names = ['list-a', 'other', 'list-b', 'other-b', 'list-c'];
    for (const Bucket of names) await origin.client(OWNER).send(new PutObjectCommand({ Bucket, Key: 'a', Body: 'a' }));
    const rights = { 'list-c': ['list'], 'list-a': ['list', 'read'], 'list-b': ['list'], 'list-none-yet': ['list'], other: ['read'] };
    const seer = { accessKeyId: 'SEER', secretAccessKey: 'secret-of-seer'.padEnd(40, '0') };
    await writeFile(origin.keysFile, `${KEYS}  - ${JSON.stringify({ ...seer, rights })}\n`);
    const listed = async (own: Credentials, more: ListBucketsCommandInput = {}) =>
      (await origin.client(own).send(new ListBucketsCommand(more))).Buckets?.map(({ Name }) => Name);
    await eventually(async () => expect(await listed(seer)).toEqual(['list-a', 'list-b', 'list-c']));
    const first = await origin.client(seer).send(new ListBucketsCommand({ MaxBuckets: 2 }));
    expect(first.Buckets?.map(({ Name }) => Name)).toEqual(['list-a', 'list-b']);
    expect(await listed(seer, { MaxBuckets: 2, ContinuationToken: first.ContinuationToken })).toEqual(['list-c']);
    expect(await listed(seer, { Prefix: 'other' })).toEqual([]);
    expect(await listed(STRANGER)).toEqual(['other']);
    expect(await listed(OWNER)).toEqual(expect.arrayContaining(names));
    expect(await refusal(listed(WRITER))).toBe('AccessDenied');
    await writeFile(origin.keysFile, KEYS);
  });

  test('an invalidation needs its right on what it covers', async () => {
    const path = '/-/invalidations';
    const invalidate = async (own: Credentials, body: object) =>
      (await fetch(origin.url + path, { method: 'POST', body: JSON.stringify(body), headers: signed('POST', path, own) })).status;
    expect(await invalidate(STRANGER, { prefix: 'other/' })).toBe(202);
    for (const body of [{ prefix: 'site/' }, { prefix: 'other' }, { tag: 'a' }, { all: true }]) {
      expect(await invalidate(STRANGER, body)).toBe(403);
      expect(await invalidate(OWNER, body)).toBe(202);
    }
    const unsigned = await fetch(origin.url + path, { method: 'POST', body: '{"all":true}' });
    expect([unsigned.status, ((await unsigned.json()) as { error: { code: string } }).error.code]).toEqual([403, 'AccessDenied']);
  });

  test('a checksum is enough to read its bytes, and operations paths need no key', async () => {
    await put(OWNER);
    expect((await fetch(`${origin.url}/-/blobs/${sha256(bytes)}`)).status).toBe(200);
    expect((await fetch(`${origin.url}/healthz`)).status).toBe(200);
    const refused = await fetch(`${origin.url}/site/a`);
    expect([refused.status, await errorCode(refused)]).toEqual([403, 'AccessDenied']);
  });
});

test('a key that was taken out of the file is refused from then on, and the others are not', async () => {
  await using own = await keyedOrigin();
  const upload = (credentials: Credentials) => own.client(credentials).send(new PutObjectCommand({ ...AT, Body: bytes }));
  await Promise.all([upload(OWNER), upload(WRITER)]);
  await writeFile(own.keysFile, KEYS.replace(/ {2}- accessKeyId: WRITER.*(?= {2}- accessKeyId: STRANGER)/s, ''));
  await eventually(async () => expect(await refusal(upload(WRITER))).toBe('InvalidAccessKeyId'));
  await upload(OWNER);
});
