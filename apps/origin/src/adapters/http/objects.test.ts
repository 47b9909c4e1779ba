import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorCode, md5, type OriginFixture, originFixture, rawExchange, statusOf } from '../../testing/origin.fixture.ts';
import { BODY_MAX_BYTES } from './invalidations.ts';

let origin: OriginFixture;
beforeAll(async () => {
  origin = await originFixture();
});
afterAll(() => origin[Symbol.asyncDispose]());

const put = (path: string, body: string | Buffer<ArrayBuffer>, headers: Record<string, string> = {}) =>
  fetch(origin.url + path, { method: 'PUT', body, headers });

describe('objects over HTTP', () => {
  test('what was put is got back byte for byte, with its headers', async () => {
    const headers = {
      'cache-control': 'public, max-age=60',
      'content-disposition': 'inline',
      'x-amz-meta-author': 'Ana',
      'x-amz-meta-regions': 'us,IN',
      'x-amz-meta-tags': 'v41',
    };
    const stored = await put('/site/app.js', Buffer.from('let a = 1;'), headers);
    expect(stored.status).toBe(200);
    expect(stored.headers.get('etag')).toBe(`"${md5('let a = 1;')}"`);
    expect(stored.headers.get('x-sluice-event-id')).toMatch(/^[0-9a-f]{8}-\d+$/);
    const got = await fetch(`${origin.url}/site/app.js`);
    expect(await got.text()).toBe('let a = 1;');
    expect(Object.fromEntries(got.headers)).toMatchObject({
      ...headers,
      'x-amz-meta-regions': 'US,IN',
      'content-type': 'text/javascript',
      'content-length': '10',
      'accept-ranges': 'bytes',
      etag: `"${md5('let a = 1;')}"`,
      'last-modified': expect.stringMatching(/GMT$/),
      'x-sluice-version': stored.headers.get('x-sluice-version'),
    });
  });

  test('HEAD has the headers of GET and no body; every answer has a request id', async () => {
    await put('/site/head', 'body');
    const head = await fetch(`${origin.url}/site/head`, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '4', '']);
    const missing = await fetch(`${origin.url}/site/none`, { method: 'HEAD' });
    expect([missing.status, await missing.text()]).toEqual([404, '']);
    const ids = await Promise.all(
      ['/site/head', '/site/none', '/healthz', '/'].map(async (path) => (await fetch(origin.url + path)).headers),
    );
    expect(new Set(ids.map((headers) => headers.get('x-amz-request-id'))).size).toBe(4);
  });

  test('an empty object is an object', async () => {
    await put('/site/empty', '');
    const got = await fetch(`${origin.url}/site/empty`);
    expect([got.status, got.headers.get('content-length'), await got.text()]).toEqual([200, '0', '']);
    expect((await fetch(`${origin.url}/site/empty`, { headers: { range: 'bytes=0-' } })).status).toBe(416);
  });

  test('a body in chunked coding is stored whole', async () => {
    const chunks =
      'PUT /site/chunked HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n';
    expect(statusOf(await rawExchange(origin.port, [chunks]))).toBe(200);
    expect(await (await fetch(`${origin.url}/site/chunked`)).text()).toBe('abcdefg');
  });

  test.each([
    ['bytes=0-3', 206, '0123', 'bytes 0-3/10'],
    ['bytes=-2', 206, '89', 'bytes 8-9/10'],
    ['bytes=7-', 206, '789', 'bytes 7-9/10'],
    ['bytes=0-1,4-5', 200, '0123456789', null],
    ['nonsense', 200, '0123456789', null],
  ])('range %s is answered %i', async (range, status, body, contentRange) => {
    await put('/site/range', '0123456789');
    const got = await fetch(`${origin.url}/site/range`, { headers: { range } });
    expect([got.status, await got.text(), got.headers.get('content-range')]).toEqual([status, body, contentRange]);
  });

  test('a range beyond the end is refused with the size', async () => {
    await put('/site/range', '0123456789');
    const got = await fetch(`${origin.url}/site/range`, { headers: { range: 'bytes=10-' } });
    expect([got.status, got.headers.get('content-range'), await errorCode(got)]).toEqual([416, 'bytes */10', 'InvalidRange']);
  });

  test('a range of a large object, over the borders of its pieces', async () => {
    const bytes = Buffer.from(Array.from({ length: 700_000 }, (_, index) => index % 251));
    await put('/site/large', bytes);
    const got = await fetch(`${origin.url}/site/large`, { headers: { range: 'bytes=262100-600000' } });
    expect(Buffer.from(await got.arrayBuffer()).equals(bytes.subarray(262_100, 600_001))).toBe(true);
  });

  test('conditional requests are answered 304 and 412', async () => {
    const etag = (await put('/site/conditional', 'x', { 'cache-control': 'max-age=5' })).headers.get('etag') ?? '';
    const unchanged = await fetch(`${origin.url}/site/conditional`, { headers: { 'if-none-match': etag } });
    expect([unchanged.status, unchanged.headers.get('etag'), unchanged.headers.get('cache-control')]).toEqual([304, etag, 'max-age=5']);
    const failed = await fetch(`${origin.url}/site/conditional`, { headers: { 'if-match': '"other"' } });
    expect([failed.status, await errorCode(failed)]).toEqual([412, 'PreconditionFailed']);
  });

  test('a deleted object is gone; deleting what is not there is fine and announces nothing', async () => {
    await put('/site/gone', 'x');
    const deleted = await fetch(`${origin.url}/site/gone`, { method: 'DELETE' });
    expect([deleted.status, deleted.headers.has('x-sluice-event-id')]).toEqual([204, true]);
    const again = await fetch(`${origin.url}/site/gone`, { method: 'DELETE' });
    expect([again.status, again.headers.has('x-sluice-event-id')]).toEqual([204, false]);
    expect((await fetch(`${origin.url}/site/gone`)).status).toBe(404);
  });

  test.each([
    ['GET', '/site/?policy', 'NotImplemented', 501],
    ['PUT', '/site/a?acl', 'NotImplemented', 501],
    ['PATCH', '/site/a', 'MethodNotAllowed', 405],
    ['POST', '/site/a', 'MethodNotAllowed', 405],
  ])('%s %s is refused as %s', async (method, path, code, status) => {
    const refused = await fetch(origin.url + path, { method });
    expect([refused.status, await errorCode(refused)]).toEqual([status, code]);
    if (status === 405) expect(refused.headers.get('allow')).toContain('PUT');
  });

  test('an error is an S3 error document that names the resource', async () => {
    const missing = await fetch(`${origin.url}/site/<none>&`);
    expect(missing.headers.get('content-type')).toBe('application/xml');
    expect(await missing.text()).toMatch(
      /^<\?xml version="1.0" encoding="UTF-8"\?>\n<Error><Code>NoSuchKey<\/Code><Message>.*&lt;none&gt;&amp;.*<\/Message><Resource>\/site\/%3Cnone%3E&amp;<\/Resource><RequestId>.+<\/RequestId><\/Error>$/,
    );
  });
});

describe('what the query of a GET asks for', () => {
  test('fields take the place of the object’s own, also of a part of it', async () => {
    await put('/site/overridden', '0123456789', { 'cache-control': 'max-age=5', 'content-type': 'text/css' });
    const query = 'response-content-type=text/plain&response-cache-control=no-store&response-content-disposition=attachment';
    for (const init of [{}, { method: 'HEAD' }, { headers: { range: 'bytes=0-1' } }]) {
      const got = await fetch(`${origin.url}/site/overridden?${query}`, init);
      const overridden = { 'content-type': 'text/plain', 'cache-control': 'no-store', 'content-disposition': 'attachment' };
      expect(Object.fromEntries(got.headers)).toMatchObject(overridden);
    }
    expect((await fetch(`${origin.url}/site/overridden`)).headers.get('content-type')).toBe('text/css');
    const refused = await fetch(`${origin.url}/site/overridden?response-expires=%0d%0aset-cookie:x`);
    expect([refused.status, await errorCode(refused), refused.headers.has('set-cookie')]).toEqual([400, 'InvalidArgument', false]);
  });

  test('an object uploaded in one piece is its own part 1', async () => {
    await put('/site/part', '0123456789');
    const ask = (part: string, init = {}) => fetch(`${origin.url}/site/part?partNumber=${part}`, init);
    const got = await ask('1');
    expect([got.status, got.headers.get('content-range'), await got.text()]).toEqual([206, 'bytes 0-9/10', '0123456789']);
    expect([got.headers.get('content-length'), got.headers.has('x-amz-mp-parts-count')]).toEqual(['10', false]);
    expect((await ask('1', { method: 'HEAD' })).headers.get('content-length')).toBe('10');
    const other = await ask('2');
    expect([other.status, await errorCode(other)]).toEqual([416, 'InvalidPartNumber']);
    expect(await errorCode(await ask('0'))).toBe('InvalidArgument');
    expect(await errorCode(await ask('1', { headers: { range: 'bytes=0-1' } }))).toBe('InvalidRequest');
    await put('/site/part', '');
    expect((await ask('1')).status).toBe(200);
  });
});

describe('invalidations over HTTP', () => {
  const post = (body: string) => fetch(`${origin.url}/-/invalidations`, { method: 'POST', body });

  test('an invalidation is accepted with its id and version', async () => {
    await put('/site/inv', 'x');
    for (const body of ['{"key":"site/inv"}', '{"prefix":"site/"}', '{"tag":"v1","mode":"purge"}', '{"all":true}']) {
      const accepted = await post(body);
      expect(accepted.status).toBe(202);
      const reply = await accepted.json();
      expect(reply).toEqual({ id: expect.any(String), version: expect.any(Number) });
      expect(accepted.headers.get('x-sluice-event-id')).toBe((reply as { id: string }).id);
    }
  });

  test.each([
    ['{}', 400, 'exactly one'],
    ['{"key":"site/inv","all":true}', 400, 'exactly one'],
    ['{"key":"site/inv","mode":"soft"}', 400, 'mode'],
    ['not json', 400, 'not JSON'],
    ['{"key":"site/never"}', 404, 'no object'],
    [`{"prefix":"${'a'.repeat(70_000)}"}`, 400, 'at most'],
  ])('%s is refused', async (body, status, words) => {
    const refused = await post(body);
    expect(refused.status).toBe(status);
    expect(await refused.json()).toEqual({ error: { code: expect.any(String), message: expect.stringContaining(words) } });
  });

  test.each(['content-length', 'transfer-encoding'])('a body of more bytes than the bound is refused, framed by %s', async (framing) => {
    // What follows the JSON text is white space, so that only its length is against it.
    const send = (size: number) => {
      const bytes = Buffer.from('{"all":true}'.padEnd(size));
      const body = framing === 'content-length' ? bytes : new Blob([bytes]).stream();
      return fetch(`${origin.url}/-/invalidations`, { method: 'POST', body, duplex: 'half' });
    };
    expect((await send(BODY_MAX_BYTES)).status).toBe(202);
    const refused = await send(BODY_MAX_BYTES + 1);
    expect([refused.status, await refused.json()]).toMatchObject([400, { error: { code: 'EntityTooLarge' } }]);
  });

  test('a body that is announced as too large is not asked for', async () => {
    const head = `POST /-/invalidations HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: ${BODY_MAX_BYTES + 1}\r\n\r\n`;
    expect(statusOf(await rawExchange(origin.port, [head]))).toBe(400);
  });

  test('a body without end is refused when it passes the bound', async () => {
    const socket = connect(origin.port, '127.0.0.1');
    socket.write('POST /-/invalidations HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n');
    const size = BODY_MAX_BYTES + 1;
    socket.write(`${size.toString(16)}\r\n${'x'.repeat(size)}\r\n`);
    const [answer] = await once(socket, 'data');
    expect(String(answer)).toMatch(/^HTTP\/1\.1 400 /);
    socket.destroy();
  });

  test('only POST is possible there', async () => {
    const refused = await fetch(`${origin.url}/-/invalidations`);
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'POST']);
  });
});

describe('operations', () => {
  test('alive without a broker, ready only with one', async () => {
    expect((await fetch(`${origin.url}/healthz`)).status).toBe(200);
    const ready = await fetch(`${origin.url}/readyz`);
    expect([ready.status, await ready.json()]).toEqual([503, { ready: false, problems: { broker: 'not connected to the broker' } }]);
  });

  test('what happened is counted', async () => {
    const before = await origin.metric('sluice_origin_uploads_total{outcome="stored"}');
    await put('/site/counted', 'x');
    expect(await origin.metric('sluice_origin_uploads_total{outcome="stored"}')).toBe(before + 1);
    expect(await origin.metric('sluice_origin_objects')).toBeGreaterThan(0);
    expect(await origin.metric('sluice_origin_outbox_events')).toBeGreaterThan(0);
  });

  test.each([
    ['POST', '/-/rollbacks', '{"prefix":""}'],
    ['POST', '/-/invalidations', '{"all":true}'],
    ['POST', '/site?delete', '<Delete><Object><Key>a</Key></Object></Delete>'],
    ['PUT', '/site/a', 'x'],
    ['DELETE', '/site/a', null],
  ])('%s %s from a web page is refused where there are no keys', async (method, path, body) => {
    const response = await fetch(`${origin.url}${path}`, { method, body, headers: { origin: 'https://elsewhere.example' } });
    expect([response.status, await response.text()]).toEqual([403, expect.stringContaining('a web page may not change anything')]);
  });
});
