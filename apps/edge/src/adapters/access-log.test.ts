import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { answerOperations, createLogger, Readiness, Registry, systemClock } from '@sluice/runtime';
import { eventually } from '@sluice/testkit';
import { afterEach, describe, expect, test } from 'vitest';
import { makeCertificate } from '../certificates.fixture.ts';
import { parseTrustedRanges } from '../domain/trusted-ranges.ts';
import { AccessLog, noteAnswer, noteBody, noteSite } from './access-log.ts';
import { type ConnectionLimits, type HttpServerOptions, startHttpServer } from './http-server.ts';
import { Peers } from './peers.ts';

type Handle = HttpServerOptions['handler']['handle'];
interface Line {
  readonly client: string | null;
  readonly method: string | null;
  readonly target: string | null;
  readonly status: number;
  readonly bodyBytes: number;
  readonly complete: boolean;
}

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

function startLog(trusted = '') {
  const lines: Line[] = [];
  const log = new AccessLog({
    ...{ format: 'json', edgeId: 'us-1', clock: systemClock },
    peers: new Peers(parseTrustedRanges(trusted).ranges),
    write: (line) => lines.push(JSON.parse(line) as Line),
  });
  return { log, lines };
}

async function serve(handle: Handle, { trusted = '', limits = {} }: { trusted?: string; limits?: Partial<ConnectionLimits> } = {}) {
  const { log: accessLog, lines } = startLog(trusted);
  const server = await startHttpServer({
    ...{ host: '127.0.0.1', port: 0, handler: { handle }, limits, accessLog },
    ...{ operations: (path: string) => answerOperations(path, new Readiness(), new Registry()), log: createLogger('edge', 'silent') },
  });
  stops.push(() => server.stop());
  return {
    lines,
    port: server.port,
    /** Sends bytes and gives back what comes until the connection ends. */
    async exchange(...pieces: string[]): Promise<string> {
      const socket = connect(server.port, '127.0.0.1').setEncoding('latin1');
      let received = '';
      socket.on('data', (text) => {
        received += text;
      });
      socket.on('error', () => {}); // a reset is an end like any other
      const ended = once(socket, 'close');
      for (const piece of pieces) socket.write(piece, 'latin1');
      await ended;
      return received;
    },
    /** The lines, once there are so many. */
    async logged(count: number): Promise<[string | null, string | null, number, boolean][]> {
      await eventually(() => Promise.resolve(expect(lines.length).toBeGreaterThanOrEqual(count)));
      return lines.map(({ method, target, status, complete }) => [method, target, status, complete]);
    },
  };
}

const hello: Handle = async (_request, response) => {
  response.end('hello');
  noteBody(response, 5, true);
};
const get = (path: string, fields = 'Host: x\r\n') => `GET ${path} HTTP/1.1\r\n${fields}\r\n`;
const LAST = get('/last', 'Host: x\r\nConnection: close\r\n');
const LAST_LINE = ['GET', '/last', 200, true];

describe('every request has exactly one line', () => {
  test('with who asked for what, what came of it and how much was sent', async () => {
    const server = await serve(async (_request, response) => {
      noteSite(response, 'www');
      noteAnswer(response, 'hit', 7);
      response.write('he');
      noteBody(response, 2, false);
      response.end('llo');
      noteBody(response, 3, true);
    });
    await server.exchange(get('/a?b', 'Host: y.org\r\nReferer: https://z/\r\nUser-Agent: A\r\nConnection: close\r\n'));
    await server.logged(1);
    expect(server.lines).toEqual([
      expect.objectContaining({
        ...{
          client: '127.0.0.1',
          method: 'GET',
          target: '/a?b',
          protocol: 'HTTP/1.1',
          host: 'y.org',
          referer: 'https://z/',
          userAgent: 'A',
        },
        ...{ site: 'www', status: 200, bodyBytes: 5, cache: 'hit', version: 7, complete: true },
      }),
    ]);
  });

  test('in a pipeline, in its order', async () => {
    const server = await serve(hello);
    await server.exchange(get('/1') + get('/2') + get('/3') + LAST);
    expect(await server.logged(4)).toEqual([['GET', '/1', 200, true], ['GET', '/2', 200, true], ['GET', '/3', 200, true], LAST_LINE]);
  });

  test('HEAD sends no body, whatever the handler has noted', async () => {
    const server = await serve(hello);
    await server.exchange('HEAD /a HTTP/1.0\r\n\r\n');
    await server.logged(1);
    expect(server.lines).toMatchObject([{ method: 'HEAD', bodyBytes: 0, complete: true }]);
  });

  test.each([
    ['an operations path', `${get('/healthz')}${LAST}`, ['GET', '/healthz', 200, true]],
    ['no Host, which Node refuses itself', `${get('/a', '')}`, ['GET', '/a', 400, true]],
    [
      'an expectation that is not known, which Node refuses itself',
      get('/a', 'Host: x\r\nExpect: a-miracle\r\n') + LAST,
      ['GET', '/a', 417, true],
    ],
    ['an upgrade that is not taken', get('/a', 'Host: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n'), ['GET', '/a', 200, true]],
    ['a tunnel that is asked for', 'CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n', ['CONNECT', 'x:443', 405, true]],
    ['what is no HTTP', '\x16\x03\x01\x02', [null, null, 400, true]],
    ['a header that is too long', get('/a', `Host: x\r\nX-A: ${'a'.repeat(20_000)}\r\n`), [null, null, 431, true]],
    [
      'a body that is malformed, of a request that is not answered yet',
      `${get('/slow', 'Host: x\r\nTransfer-Encoding: chunked\r\n')}zz\r\n`,
      ['GET', '/slow', 400, true],
    ],
  ])('%s', async (_what, bytes, line) => {
    const server = await serve((request, response, listener) => (request.url === '/slow' ? undefined : hello(request, response, listener)));
    await server.exchange(bytes);
    const expected = bytes.endsWith(LAST) ? [line, LAST_LINE] : [line];
    expect(await server.logged(expected.length)).toEqual(expected);
  });

  test.each([
    ['of which only a part comes', 'GET /a HTTP/1.1\r\nHo', [[null, null, 408, true]]],
    ['of which the body does not come', get('/slow', 'Host: x\r\nContent-Length: 9\r\n'), [['GET', '/slow', 408, true]]],
  ])('a request %s is answered 408', async (_what, bytes, expected) => {
    const server = await serve(() => undefined, { limits: { headersMs: 50, requestMs: 50, checkMs: 10 } });
    expect(await server.exchange(bytes)).toMatch(/^HTTP\/1\.1 408 /);
    expect(await server.logged(1)).toEqual(expected);
  });

  test('a connection that has sent nothing is no request', async () => {
    const server = await serve(hello, { limits: { headersMs: 50, requestMs: 50, checkMs: 10 } });
    expect(await server.exchange()).toMatch(/^HTTP\/1\.1 408 /);
    await server.exchange(LAST);
    expect(await server.logged(1)).toEqual([LAST_LINE]);
  });

  test('what a malformed request is told is what Node tells where no log is kept', async () => {
    const server = await serve(hello);
    const plain = await startHttpServer({
      ...{ host: '127.0.0.1', port: 0, handler: { handle: hello } },
      ...{ operations: (path: string) => answerOperations(path, new Readiness(), new Registry()), log: createLogger('edge', 'silent') },
    });
    stops.push(() => plain.stop());
    for (const bytes of ['x\r\n\r\n', get('/a', `Host: x\r\nX-A: ${'a'.repeat(20_000)}\r\n`), get('/a', 'Host: x\r\nA : b\r\n')]) {
      const socket = connect(plain.port, '127.0.0.1').setEncoding('latin1');
      socket.on('error', () => {});
      let told = '';
      socket.on('data', (text) => {
        told += text;
      });
      socket.write(bytes);
      await once(socket, 'close');
      expect(await server.exchange(bytes)).toBe(told);
    }
  });
});

describe('an answer that is cut off', () => {
  const MEBIBYTE = Buffer.alloc(1024 ** 2);

  test('has its status, and is not complete; what the system had not taken is not counted', async () => {
    const server = await serve(async (_request, response) => {
      response.writeHead(200, ['Content-Length', String(20 * MEBIBYTE.byteLength)]);
      response.write(MEBIBYTE.subarray(0, 1_000), () => noteBody(response, 1_000, false));
      response.end(Buffer.concat(Array(20).fill(MEBIBYTE)));
      noteBody(response, 20 * MEBIBYTE.byteLength, true);
    });
    const socket = connect(server.port, '127.0.0.1');
    socket.write(get('/a'));
    await once(socket, 'data');
    socket.destroy();
    expect(await server.logged(1)).toEqual([['GET', '/a', 200, false]]);
    expect(server.lines[0]?.bodyBytes).toBe(1_000);
  });

  test('before it has begun has the status 499', async () => {
    const asked = Promise.withResolvers<void>();
    const server = await serve(() => asked.resolve() as undefined);
    const socket = connect(server.port, '127.0.0.1');
    socket.write(get('/a'));
    await asked.promise;
    socket.destroy();
    expect(await server.logged(1)).toEqual([['GET', '/a', 499, false]]);
  });

  test('also those that wait behind it in a pipeline', async () => {
    const asked = Promise.withResolvers<void>();
    const server = await serve((request, response, listener) => {
      if (request.url !== '/3') return undefined;
      asked.resolve();
      return hello(request, response, listener);
    });
    const socket = connect(server.port, '127.0.0.1');
    socket.write(get('/1') + get('/2') + get('/3'));
    await asked.promise;
    socket.destroy();
    expect(await server.logged(3)).toEqual([
      ['GET', '/1', 499, false],
      ['GET', '/2', 499, false],
      ['GET', '/3', 200, false],
    ]);
  });

  test('by the edge that closes the connection when its time to stop is over', async () => {
    const server = await serve(async (request, response) => {
      response.end(Buffer.concat(Array(20).fill(MEBIBYTE)));
      noteBody(response, 20 * MEBIBYTE.byteLength, true);
      setImmediate(() => (request as IncomingMessage).socket.destroy());
    });
    const socket = connect(server.port, '127.0.0.1').pause();
    socket.on('error', () => {});
    socket.write(get('/a'));
    expect(await server.logged(1)).toEqual([['GET', '/a', 200, false]]);
    expect(server.lines[0]?.bodyBytes).toBe(0);
    socket.destroy();
  });

  test('by the edge itself', async () => {
    const server = await serve(async (_request, response) => {
      response.writeHead(200, ['Content-Length', '9']).write('x');
      response.destroy();
    });
    await server.exchange(get('/a'));
    expect(await server.logged(1)).toEqual([['GET', '/a', 200, false]]);
  });
});

test.each([
  ['a trusted proxy', 'loopback', '192.0.2.1'],
  ['anyone else', '192.0.2.0/24', '127.0.0.1'],
])('of %s the client is by its fields, or by its connection', async (_who, trusted, client) => {
  const server = await serve(hello, { trusted });
  await server.exchange(get('/a', 'Host: x\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 192.0.2.1, 127.0.0.1\r\n') + LAST);
  await server.logged(2);
  expect(server.lines.map((line) => line.client)).toEqual([client, '127.0.0.1']);
});

test('requests of HTTP/2 have their lines too, complete or not', async () => {
  const { log, lines } = startLog();
  const server = createHttp2Server((request, response) => {
    log.begin(request, response);
    if (request.url === '/slow') return void response.write('x');
    response.end('hello');
    noteBody(response, 5, true);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const whole = client.request({ ':path': '/a', 'user-agent': 'A' }).resume();
  await once(whole, 'close');
  const cut = client.request({ ':path': '/slow' });
  await once(cut, 'data');
  cut.close(8); // CANCEL
  const lost = client.request({ ':path': '/slow' });
  await once(lost, 'data');
  await eventually(() => Promise.resolve(expect(lines).toHaveLength(2)));
  client.destroy();
  await eventually(() => Promise.resolve(expect(lines).toHaveLength(3)));
  server.close();
  const host = expect.stringMatching(/^127\.0\.0\.1:\d+$/);
  const same = { client: '127.0.0.1', method: 'GET', protocol: 'HTTP/2.0', host, status: 200 };
  expect(lines).toEqual([
    expect.objectContaining({ ...same, target: '/a', userAgent: 'A', bodyBytes: 5, complete: true }),
    expect.objectContaining({ ...same, target: '/slow', complete: false }),
    expect.objectContaining({ ...same, target: '/slow', complete: false }),
  ]);
});

test('over TLS and HTTP/2 a request that came just before its connection was reset has the address of its visitor', async () => {
  const { log: accessLog, lines } = startLog();
  const { certificate: chain, key } = await makeCertificate();
  const fallback = { name: 'own', chain, key, dnsNames: ['localhost'], notBeforeMs: 0, notAfterMs: 0 };
  const server = await startHttpServer({
    ...{ host: '127.0.0.1', port: 0, handler: { handle: hello }, accessLog, log: createLogger('edge', 'silent') },
    ...{ tls: { port: 0, certificates: { byHost: new Map(), fallback, ticketKeys: randomBytes(48) } }, operations: () => undefined },
  });
  stops.push(() => server.stop());
  for (let visit = 0; visit < 10; visit += 1) {
    const socket = connect(server.tlsPort ?? 0, '127.0.0.1');
    const session = connectHttp2('https://localhost', {
      createConnection: () => connectTls({ socket, servername: 'localhost', ca: chain, ALPNProtocols: ['h2'] }),
    });
    session.on('error', () => {});
    await once(session, 'remoteSettings');
    session.request({ ':path': '/a' }).on('error', () => {});
    // When the request is out, and before it is read.
    await new Promise(setImmediate);
    socket.resetAndDestroy();
    await once(session, 'close');
  }
  await eventually(async () => expect(lines.length).toBeGreaterThan(0));
  expect(new Set(lines.map(({ client }) => client))).toEqual(new Set(['127.0.0.1']));
});
