import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { eventually } from '@sluice/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorCode, md5, type OriginFixture, originFixture, rawExchange, sha256, statusOf } from '../../testing/origin.fixture.ts';

let origin: OriginFixture;
beforeAll(async () => {
  origin = await originFixture({ config: { ORIGIN_UPLOADS_MAX: 4 } });
});
afterAll(() => origin[Symbol.asyncDispose]());

/** Nothing was stored: no object, no bytes, no event, no temporary file. */
async function expectNothingStored(): Promise<void> {
  await eventually(async () => {
    expect(await origin.metric('sluice_origin_objects')).toBe(0);
    expect(await origin.metric('sluice_origin_blobs')).toBe(0);
    expect(await origin.metric('sluice_origin_outbox_events')).toBe(0);
    expect(await readdir(join(origin.dir, 'blobs', 'incoming'))).toEqual([]);
  });
}

const put = (path: string, body: string | Buffer<ArrayBuffer>, headers: Record<string, string> = {}) =>
  fetch(origin.url + path, { method: 'PUT', body, headers });

describe('an upload that is not as announced leaves nothing', () => {
  const CHECK = '123456789';
  const right: Record<string, string> = {
    'content-md5': md5(CHECK, 'base64'),
    'x-amz-checksum-crc32': Buffer.from('cbf43926', 'hex').toString('base64'),
    'x-amz-checksum-crc32c': Buffer.from('e3069283', 'hex').toString('base64'),
    'x-amz-checksum-crc64nvme': Buffer.from('ae8b14860a799888', 'hex').toString('base64'),
    'x-amz-checksum-sha1': createHash('sha1').update(CHECK).digest('base64'),
    'x-amz-checksum-sha256': sha256(CHECK, 'base64'),
    'x-amz-content-sha256': sha256(CHECK),
  };

  test.each(Object.entries(right))('%s of other bytes', async (header, value) => {
    const refused = await put('/site/a', '123456780', { [header]: value });
    const text = await refused.text();
    const code = header === 'x-amz-content-sha256' ? 'XAmzContentSHA256Mismatch' : 'BadDigest';
    expect([refused.status, /<Code>(\w+)</.exec(text)?.[1]]).toEqual([400, code]);
    expect(text).toContain(header);
    await expectNothingStored();
  });

  test.each(['content-md5', 'x-amz-checksum-sha256', 'x-amz-content-sha256'])('%s that is no digest', async (header) => {
    const refused = await put('/site/a', CHECK, { [header]: 'AAAA' });
    expect([refused.status, await errorCode(refused)]).toEqual([400, 'InvalidDigest']);
    await expectNothingStored();
  });

  test.each([
    ['/site/../a', 'InvalidArgument'],
    ['/site/%2e%2e/a', 'InvalidArgument'],
    ['/site/a%00b', 'InvalidArgument'],
    ['/site/a%0Ab', 'InvalidArgument'],
    [`/site/${'a'.repeat(1020)}`, 'KeyTooLongError'],
    ['/site/%zz', 'InvalidURI'],
    ['/site/%E2%82', 'InvalidURI'],
    ['/UPPER/a', 'InvalidArgument'],
  ])('%s', async (path, code) => {
    const response = await rawExchange(origin.port, [
      `PUT ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\r\nabc`,
    ]);
    expect(statusOf(response)).toBe(400);
    expect(response).toContain(`<Code>${code}</Code>`);
    await expectNothingStored();
  });

  test.each([
    ['if-none-match', '"x"'],
    ['if-modified-since', 'Thu, 01 Dec 2094 16:00:00 GMT'],
    ['content-range', 'bytes 0-8/9'],
    ['x-amz-content-sha256', 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD'],
  ])('%s: %s is not ignored', async (header, value) => {
    const refused = await put('/site/a', CHECK, { [header]: value });
    expect([refused.status, await errorCode(refused)]).toEqual([501, 'NotImplemented']);
    await expectNothingStored();
  });

  test('metadata that is not valid, naming the header', async () => {
    const refused = await put('/site/a', CHECK, { 'x-amz-meta-regions': 'US,,IN' });
    expect(refused.status).toBe(400);
    expect(await refused.text()).toContain('x-amz-meta-regions');
    await expectNothingStored();
  });

  test('fewer bytes than announced, and then the end of the stream', async () => {
    const before = await origin.metric('sluice_origin_uploads_total{outcome="aborted"}');
    const response = await rawExchange(origin.port, ['PUT /site/a HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc'], {
      halfClose: true,
    });
    expect(statusOf(response)).toBe(400);
    expect(response).toContain('<Code>IncompleteBody</Code>');
    await expectNothingStored();
    expect(await origin.metric('sluice_origin_uploads_total{outcome="aborted"}')).toBe(before + 1);
  });

  test.each([3, 1_000_000])('the client goes away after %i bytes', async (sent) => {
    const before = await origin.metric('sluice_origin_uploads_total{outcome="aborted"}');
    const socket = connect(origin.port, '127.0.0.1');
    socket.write('PUT /site/a HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000\r\n\r\n');
    await new Promise((resolve) => socket.write(Buffer.alloc(sent), resolve));
    if (sent > 100_000) await eventually(async () => expect(await readdir(join(origin.dir, 'blobs', 'incoming'))).toHaveLength(1));
    socket.resetAndDestroy();
    await eventually(async () => expect(await origin.metric('sluice_origin_uploads_total{outcome="aborted"}')).toBe(before + 1));
    await expectNothingStored();
  });

  test('a body in chunked coding that breaks off', async () => {
    const pieces = ['PUT /site/a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabc'];
    expect(statusOf(await rawExchange(origin.port, pieces, { halfClose: true }))).toBe(400);
    await expectNothingStored();
  });
});

describe('a refusal reaches the client', () => {
  test('before the body when the client waits for it', async () => {
    const head = 'PUT /site/../a HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1000000\r\n\r\n';
    const response = await rawExchange(origin.port, [head]);
    expect(response).not.toContain('100 Continue');
    expect(statusOf(response)).toBe(400);
  });

  test('while megabytes of body are still on their way', async () => {
    const { request, sent } = upload('/site/a?acl', 30_000_000);
    const [response] = (await once(request, 'response')) as [import('node:http').IncomingMessage];
    expect([response.statusCode, response.headers.connection]).toEqual([501, 'close']);
    const chunks = await response.setEncoding('utf8').toArray();
    expect(chunks.join('')).toContain('NotImplemented');
    await sent;
    await expectNothingStored();
  });

  test('also a client that writes its whole body whatever happens: the connection is not reset under it', async () => {
    const size = 20_000_000;
    const head = `PUT /site/a?acl HTTP/1.1\r\nhost: x\r\ncontent-length: ${size}\r\n\r\n`;
    const response = await rawExchange(origin.port, [head, Buffer.alloc(size)]);
    expect(statusOf(response)).toBe(501);
    expect(response).toContain('</Error>');
  });

  test('when too many uploads are under way, and there is room again afterwards', async () => {
    const waiting = Array.from({ length: 4 }, () => {
      const socket = connect(origin.port, '127.0.0.1');
      socket.write('PUT /site/slow HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n');
      return socket;
    });
    // 100 Continue says that the upload has its place.
    await Promise.all(waiting.map((socket) => once(socket, 'data')));
    const refused = await put('/site/one-more', 'x');
    expect([refused.status, await errorCode(refused)]).toEqual([503, 'SlowDown']);
    for (const socket of waiting) socket.destroy();
    await eventually(async () => {
      const accepted = await put('/site/one-more', 'x');
      expect(accepted.status).toBe(200);
    });
    await fetch(`${origin.url}/site/one-more`, { method: 'DELETE' });
  });

  /** A PUT that sends `size` bytes as fast as they are taken. */
  function upload(path: string, size: number) {
    const options = {
      port: origin.port,
      host: '127.0.0.1',
      method: 'PUT',
      path,
      headers: { 'content-length': size },
      agent: false,
    } as const;
    const request = httpRequest(options);
    const sent = new Promise<void>((resolve) => {
      request.once('close', () => resolve());
      request.on('error', () => resolve());
    });
    createReadStream('/dev/zero', { end: size - 1, highWaterMark: 1 << 16 }).pipe(request);
    return { request, sent };
  }
});

test('100 Continue comes before the body when nothing speaks against it', async () => {
  const socket = connect(origin.port, '127.0.0.1');
  socket.setEncoding('latin1');
  socket.write('PUT /site/continued HTTP/1.1\r\nhost: x\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n');
  expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1\.1 100 /);
  socket.write('abc');
  expect(statusOf(String((await once(socket, 'data'))[0]))).toBe(200);
  await once(socket, 'close');
  expect(await (await fetch(`${origin.url}/site/continued`)).text()).toBe('abc');
});

test('100 Continue comes before the whole of an answer also behind another request, never between its head and its body', async () => {
  // Still being sent when the second one is ready to be.
  const first = 'GET /site/long HTTP/1.1\r\nhost: x\r\n\r\n';
  const keys = Array.from({ length: 500 }, (_, at) => `<Object><Key>none-${at}</Key></Object>`);
  const body = `<Delete>${keys.join('')}</Delete>`;
  const second = `POST /site?delete HTTP/1.1\r\nhost: x\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  await put('/site/long', 'x'.repeat(5_000_000));
  const received = await rawExchange(origin.port, [first + second]);
  expect([...received.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual(['200', '100', '200']);
  expect(received.slice(received.lastIndexOf('\r\n\r\n') + 4)).toMatch(/^<\?xml .*<Key>none-499<\/Key><\/Deleted><\/DeleteResult>$/s);
});

test('an upload of the same random bytes under two keys costs one blob', async () => {
  const bytes = randomBytes(200_000);
  const before = await origin.metric('sluice_origin_blobs');
  await Promise.all([put('/site/one', bytes), put('/site/two', bytes)]);
  expect(await origin.metric('sluice_origin_blobs')).toBe(before + 1);
  await fetch(`${origin.url}/site/one`, { method: 'DELETE' });
  expect(Buffer.from(await (await fetch(`${origin.url}/site/two`)).arrayBuffer()).equals(bytes)).toBe(true);
});
