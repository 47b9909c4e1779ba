import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createLogger } from '@sluice/runtime';
import { eventually } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { type ConnectionLimits, type HttpServerOptions, startHttpServer } from './http-server.ts';

type Handle = HttpServerOptions['handler']['handle'];

const GET = 'GET /site/a HTTP/1.1\r\nhost: x\r\n\r\n';
const OK = /^HTTP\/1\.1 200 /;

/** A server with some limits of the test's own; the others are so long that they are not reached. */
async function serve(limits: Partial<ConnectionLimits>, handle: Handle = async (_request, response) => void response.end()) {
  const server = await startHttpServer({
    ...{ host: '127.0.0.1', port: 0, handler: { handle }, limits },
    ...{ operations: () => undefined, log: createLogger('edge', 'silent') },
  });
  const sockets: Socket[] = [];
  return {
    /** A visitor that sends some bytes, and what it gets until the connection ends. */
    visit(...pieces: string[]) {
      const socket = connect(server.port, '127.0.0.1').setEncoding('latin1');
      sockets.push(socket);
      socket.on('error', () => {}); // a reset is an end like any other
      const ended = once(socket, 'close');
      for (const piece of pieces) socket.write(piece);
      return {
        socket,
        ended,
        async all() {
          let received = '';
          socket.on('data', (text) => {
            received += text;
          });
          await ended;
          return received;
        },
      };
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await server.stop();
    },
  };
}

describe('connections of visitors', () => {
  const slowHeader = { headersMs: 50, checkMs: 10 };

  test.each([
    ['nothing', ''],
    ['a part', 'GET /site/a HTTP/1.1\r\nho'],
  ])('a header of which %s comes is answered 408 when its time is over', async (_what, sent) => {
    await using server = await serve(slowHeader);
    expect(await server.visit(sent).all()).toMatch(/^HTTP\/1\.1 408 /);
  });

  test('a header that comes byte by byte gets no longer', async () => {
    await using server = await serve(slowHeader);
    const { socket, ended } = server.visit('GET /site/a HTTP/1.1\r\nx: ');
    const dribble = setInterval(() => socket.write('x'), 10);
    socket.resume();
    await ended;
    clearInterval(dribble);
  });

  test('a request of which the rest does not come is answered 408 when its time is over', async () => {
    await using server = await serve({ headersMs: 50, requestMs: 50, checkMs: 10 }, async (request, response) => {
      await request.toArray();
      response.end();
    });
    const head = 'GET /site/a HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n';
    expect(await server.visit(head, 'abc').all()).toMatch(/^HTTP\/1\.1 408 /);
  });

  test('a connection without a further request is closed', async () => {
    await using server = await serve({ keepAliveMs: 1 });
    expect(await server.visit(GET, GET).all()).toMatch(/^(HTTP\/1\.1 200 .*){2}$/s);
  });

  test('a visitor that does not read is cut off', async () => {
    const endless = Readable.from(
      (function* () {
        for (;;) yield Buffer.alloc(65_536);
      })(),
    );
    await using server = await serve({ idleMs: 500 }, (_request, response) => pipeline(endless, response));
    server.visit(GET);
    await new Promise((resolve) => endless.once('close', resolve));
  });

  test('one more than the limit is closed at once, and there is room again afterwards', async () => {
    await using server = await serve({ connectionsMax: 2 });
    const served = [server.visit(GET), server.visit(GET)];
    for (const { socket } of served) expect(String((await once(socket, 'data'))[0])).toMatch(OK);
    expect(await server.visit().all()).toBe('');
    served[0]?.socket.destroy();
    await eventually(async () => expect(await server.visit('GET /healthz HTTP/1.0\r\n\r\n').all()).toMatch(OK));
  });
});

test('stopping waits for what the system has not taken of a response that was written at once', async () => {
  const content = Buffer.alloc(20_000_000, 'x');
  const server = await startHttpServer({
    ...{ host: '127.0.0.1', port: 0, operations: () => undefined, log: createLogger('edge', 'silent') },
    handler: { handle: (_request, response) => void response.writeHead(200, ['Content-Length', String(content.byteLength)]).end(content) },
  });
  const visitor = connect(server.port, '127.0.0.1');
  visitor.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(visitor, 'readable');
  const stopped = server.stop();
  await new Promise((resolve) => setTimeout(resolve, 200));
  let received = 0;
  visitor.on('data', (piece: Buffer) => {
    received += piece.byteLength;
  });
  await once(visitor, 'close');
  await stopped;
  expect(received).toBeGreaterThan(content.byteLength);
});
