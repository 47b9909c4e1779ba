import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { Growth } from '@sluice/blobs';
import { createLogger } from '@sluice/runtime';
import { FakeClock, temporaryDirectory } from '@sluice/testkit';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DirectDownload } from './direct-download.ts';
import { parseResponseHead } from './response-head.ts';

const BYTES = randomBytes(3_000_000);
const SHA256 = createHash('sha256').update(BYTES).digest('hex');

/** An origin that answers as told, and a download that knows it. */
async function scene(answer: RequestListener) {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(request.url ?? '');
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const dir = await temporaryDirectory();
  const clock = new FakeClock();
  const direct = new DirectDownload(clock, createLogger('edge', 'silent'));
  direct.learn(`http://127.0.0.1:${(server.address() as AddressInfo).port}/-/blobs`);
  let files = 0;
  return {
    ...{ direct, clock, requests, server },
    async bring(sha256 = SHA256, size = BYTES.byteLength) {
      files += 1;
      const path = join(dir.path, String(files));
      return { came: await direct.download(sha256, size, { path, growth: new Growth() }), path };
    },
    async [Symbol.asyncDispose]() {
      await direct.close();
      server.closeAllConnections();
      server.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

const whole: RequestListener = (_request, response) => void response.writeHead(200, { 'content-length': BYTES.byteLength }).end(BYTES);

describe('direct download', () => {
  test('brings exactly the bytes, several blobs at a time', async () => {
    await using it = await scene(whole);
    const brought = await Promise.all(Array.from({ length: 10 }, () => it.bring()));
    for (const { came, path } of brought) {
      expect(came).toBe(true);
      expect((await readFile(path)).equals(BYTES)).toBe(true);
    }
    expect(it.requests[0]).toBe(`/-/blobs/${SHA256}`);
  });

  test.each<[string, RequestListener]>([
    [
      'other bytes',
      (_request, response) => void response.writeHead(200, { 'content-length': BYTES.byteLength }).end(Buffer.from(BYTES).fill(0, 9, 12)),
    ],
    ['another length', (_request, response) => void response.writeHead(200, { 'content-length': 10 }).end('0123456789')],
    ['no length', (_request, response) => void response.writeHead(200).end(BYTES)],
    ['404', (_request, response) => void response.writeHead(404).end()],
    [
      'a cut body',
      (_request, response) => {
        response.writeHead(200, { 'content-length': BYTES.byteLength });
        response.write(BYTES.subarray(0, 1_000_000), () => response.destroy());
      },
    ],
    ['a closed connection', (_request, response) => void response.destroy()],
  ])('%s is refused', async (_what, answer) => {
    await using it = await scene(answer);
    expect((await it.bring()).came).toBe(false);
  });

  test('what does not speak HTTP is refused', async () => {
    await using it = await scene(whole);
    const server = createTcpServer((socket) => socket.on('error', () => {}).end('SSH-2.0-OpenSSH_9.2\r\n\r\n'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    it.direct.learn(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    expect((await it.bring()).came).toBe(false);
    server.close();
  });

  test('after a failure it is not tried for a while, then again', async () => {
    let failing = true;
    await using it = await scene((request, response) => (failing ? void response.destroy() : whole(request, response)));
    expect((await it.bring()).came).toBe(false);
    failing = false;
    expect((await it.bring()).came).toBe(false);
    expect(it.requests).toHaveLength(1);
    it.clock.advance(30_000);
    expect((await it.bring()).came).toBe(true);
  });

  test('a blob that is not there says nothing of the others', async () => {
    let missing = true;
    await using it = await scene((request, response) => (missing ? void response.writeHead(404).end() : whole(request, response)));
    expect((await it.bring()).came).toBe(false);
    missing = false;
    expect((await it.bring()).came).toBe(true);
  });

  test('without an address, or with one it cannot speak to, nothing is tried', async () => {
    await using it = await scene(whole);
    for (const address of [undefined, 'https://127.0.0.1:1']) {
      it.direct.learn(address);
      expect((await it.bring()).came).toBe(false);
    }
    expect(it.requests).toHaveLength(0);
  });
});

describe('response head', () => {
  const head = (text: string) => parseResponseHead(Buffer.from(text, 'latin1'));
  test.each([
    ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', { status: 200, contentLength: 5, bytes: 38 }],
    ['HTTP/1.1 204\r\n\r\n', { status: 204, contentLength: undefined, bytes: 16 }],
    ['HTTP/1.1 200 OK\r\nCONTENT-LENGTH:7\r\n\r\n', { status: 200, contentLength: 7, bytes: 37 }],
    ['HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n', { status: 200, contentLength: undefined, bytes: 39 }],
    ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n', { status: 200, contentLength: undefined, bytes: 66 }],
    ['HTTP/1.1 200 OK\r\nContent-Le', undefined],
  ])('%j', (text, expected) => {
    expect(head(text)).toEqual(expected);
  });
  test.each(['SSH-2.0\r\n\r\n', 'HTTP/2 200\r\n\r\n', `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(20_000)}`])('%.40s… is refused', (text) => {
    expect(() => head(text)).toThrow();
  });
  test('any bytes are understood, wanted more of, or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        try {
          const parsed = parseResponseHead(Buffer.from(bytes));
          expect(parsed === undefined || parsed.bytes <= bytes.byteLength).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }),
    );
  });
});
