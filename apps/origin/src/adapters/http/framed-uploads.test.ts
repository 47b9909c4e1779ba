import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { type ChunkSeed, type Credentials, signedFields, signingKey } from '@sluice/sigv4';
import { eventually } from '@sluice/testkit';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Frame, framedBody } from '../../testing/framed-body.fixture.ts';
import { type KeyedOrigin, keyedOrigin, OWNER } from '../../testing/keyed-origin.fixture.ts';
import { type OriginFixture, originFixture } from '../../testing/origin.fixture.ts';

const SIGNED = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
const SIGNED_TRAILER = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER';
const UNSIGNED_TRAILER = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';
type Payload = typeof SIGNED | typeof SIGNED_TRAILER | typeof UNSIGNED_TRAILER;

let keyed: KeyedOrigin;
let open: OriginFixture;
beforeAll(async () => {
  [keyed, open] = await Promise.all([keyedOrigin(), originFixture()]);
});
afterAll(() => Promise.all([keyed[Symbol.asyncDispose](), open[Symbol.asyncDispose]()]));

const content = Buffer.from(Array.from({ length: 3000 }, (_, index) => index % 251));
const checksum = (bytes: Uint8Array): readonly [string, string] => {
  const value = Buffer.alloc(4);
  value.writeUInt32BE(crc32(bytes));
  return ['x-amz-checksum-crc32', value.toString('base64')];
};

/** The header of a framed upload, and the seed of the signatures in its body. */
function head(url: string, payload: Payload, length: number, own: Credentials, more: Record<string, string> = {}) {
  const headers = {
    'content-encoding': 'aws-chunked',
    'x-amz-decoded-content-length': String(length),
    ...(payload === SIGNED ? {} : { 'x-amz-trailer': 'x-amz-checksum-crc32' }),
    ...more,
  };
  const fields = signedFields({ method: 'PUT', url: new URL(url), headers, payloadHash: payload }, own, Date.now());
  const date = fields['x-amz-date'] as string;
  const scope = { date: date.slice(0, 8), region: 'us-east-1', service: 's3' };
  const seed: ChunkSeed = { key: signingKey(own.secretAccessKey, scope), date, scope, signature: fields.authorization?.slice(-64) ?? '' };
  return { fields, seed };
}

/** `fetch` would send some fields otherwise. */
function send(url: string, headers: Record<string, string>, body: Uint8Array): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(url, { method: 'PUT', headers: { ...headers, 'content-length': body.byteLength } }, async (response) => {
      const text = (await response.setEncoding('utf8').toArray()).join('');
      resolve({ status: response.statusCode ?? 0, text });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

interface Upload extends Frame {
  readonly more?: Record<string, string>;
  readonly change?: (body: Buffer) => Buffer;
  readonly length?: number;
  readonly own?: Credentials;
}

async function upload(
  origin: OriginFixture,
  key: string,
  payload: Payload,
  { more, change = (body) => body, length, own = OWNER, ...frame }: Upload = {},
) {
  const url = `${origin.url}/site/${key}`;
  const { fields, seed } = head(url, payload, length ?? content.byteLength, own, more);
  const body = framedBody(content, {
    sizes: [1000, 700],
    ...(payload === UNSIGNED_TRAILER ? {} : { seed }),
    ...(payload === SIGNED ? {} : { trailer: [checksum(content)] }),
    ...frame,
  });
  const { status, text } = await send(url, fields, change(body));
  return { status, code: /<Code>(\w+)</.exec(text)?.[1], text };
}

async function read(origin: OriginFixture, key: string): Promise<{ status: number; bytes: Buffer; encoding: string | null }> {
  const url = `${origin.url}/site/${key}`;
  const headers = signedFields({ method: 'GET', url: new URL(url), headers: {}, payloadHash: 'UNSIGNED-PAYLOAD' }, OWNER, Date.now());
  const response = await fetch(url, { headers: { ...headers, 'accept-encoding': 'identity' } });
  return { status: response.status, bytes: Buffer.from(await response.arrayBuffer()), encoding: response.headers.get('content-encoding') };
}

describe.each([
  ['with keys', () => keyed],
  ['without keys', () => open],
])('%s', (_name, origin) => {
  test.each([SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER] as const)('%s is stored without its framing', async (payload) => {
    expect(await upload(origin(), payload, payload)).toMatchObject({ status: 200 });
    const stored = await read(origin(), payload);
    expect([stored.bytes.equals(content), stored.encoding]).toEqual([true, null]);
  });

  test.each([
    ['\n', '\r\n'],
    ['\r\n', ''],
  ] as const)('trailers with %j behind a field and %j before the signature are understood', async (lineEnd, beforeSignature) => {
    expect(await upload(origin(), 'ends', SIGNED_TRAILER, { lineEnd, beforeSignature })).toMatchObject({ status: 200 });
  });

  test("the content's own coding stays", async () => {
    await upload(origin(), 'coded', UNSIGNED_TRAILER, { more: { 'content-encoding': 'aws-chunked,x-own' } });
    expect((await read(origin(), 'coded')).encoding).toBe('x-own');
  });

  test.each([
    ['a trailer of other bytes', { trailer: [checksum(Buffer.from('other'))] }, 'BadDigest'],
    [
      'another trailer than announced',
      { trailer: [['x-amz-checksum-sha1', createHash('sha1').update(content).digest('base64')]] },
      'MalformedTrailerError',
    ],
    ['no trailer', { trailer: [] }, 'MalformedTrailerError'],
    ['another length', { length: content.byteLength + 1 }, 'IncompleteBody'],
    ['an end inside of the framing', { change: (body: Buffer) => body.subarray(0, -2) }, 'IncompleteBody'],
  ] as [string, Upload, string][])('%s leaves nothing', async (_what, how, code) => {
    expect(await upload(origin(), 'refused', UNSIGNED_TRAILER, how)).toMatchObject({ status: 400, code });
    expect((await read(origin(), 'refused')).status).toBe(404);
  });

  test('a body without its length is not asked for', async () => {
    const url = `${origin().url}/site/a`;
    const headers = { 'content-encoding': 'aws-chunked', 'x-amz-trailer': 'x-amz-checksum-crc32' };
    const fields = signedFields({ method: 'PUT', url: new URL(url), headers, payloadHash: UNSIGNED_TRAILER }, OWNER, Date.now());
    expect((await send(url, fields, Buffer.alloc(0))).text).toContain('MissingContentLength');
  });
});

describe('signatures in a body', () => {
  test('a wrong one, of a chunk or of the trailer, leaves nothing', async () => {
    const otherKey = { ...OWNER, secretAccessKey: 'x'.repeat(40) };
    const { seed } = head(`${keyed.url}/site/refused`, SIGNED, content.byteLength, otherKey);
    expect(await upload(keyed, 'refused', SIGNED, { seed })).toMatchObject({ status: 403, code: 'SignatureDoesNotMatch' });
    const forged = (body: Buffer) =>
      Buffer.from(body.toString('latin1').replace(/(trailer-signature:)\w{64}/, `$1${'0'.repeat(64)}`), 'latin1');
    expect(await upload(keyed, 'refused', SIGNED_TRAILER, { change: forged })).toMatchObject({
      status: 403,
      code: 'SignatureDoesNotMatch',
    });
    expect((await read(keyed, 'refused')).status).toBe(404);
  });

  test('chunks in another order, or one left out, are refused', async () => {
    const signature = ';chunk-signature='.length + 64;
    const first = `${(1000).toString(16)}\r\n`.length + signature + 1000 + 2;
    const withoutFirst = (body: Buffer) => body.subarray(first);
    expect(await upload(keyed, 'refused', SIGNED, { change: withoutFirst, length: 2000 })).toMatchObject({ code: 'SignatureDoesNotMatch' });
    const swapped = (body: Buffer) => Buffer.concat([body.subarray(first, 2 * first), body.subarray(0, first), body.subarray(2 * first)]);
    expect(await upload(keyed, 'refused', SIGNED, { sizes: [1000, 1000], change: swapped })).toMatchObject({
      code: 'SignatureDoesNotMatch',
    });
  });

  test('any other byte in the body is refused, or leaves the content what it was', async () => {
    let changes = 0;
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(SIGNED, SIGNED_TRAILER), fc.nat(), fc.integer({ min: 1, max: 255 }), async (payload, at, by) => {
        const change = (body: Buffer) => {
          const place = at % body.byteLength;
          body[place] = (body[place] ?? 0) ^ by;
          return body;
        };
        const { status } = await upload(keyed, 'changed', payload, { change });
        if (status === 200) expect((await read(keyed, 'changed')).bytes.equals(content)).toBe(true);
        else changes += 1;
      }),
      { numRuns: 150 },
    );
    expect(changes).toBeGreaterThan(100);
  });

  test('what was refused left no bytes behind', async () => {
    await eventually(async () => expect(await readdir(join(keyed.dir, 'blobs', 'incoming'))).toEqual([]));
    expect(await keyed.metric('sluice_origin_blobs')).toBe(1);
  });
});
