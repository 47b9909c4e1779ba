/** What holds a client of the port for TLS within bounds, and what it may rely on. */
import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2, constants, type IncomingHttpHeaders } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { createLogger } from '@sluice/runtime';
import { eventually } from '@sluice/testkit';
import { beforeAll, describe, expect, test } from 'vitest';
import { makeCertificate, type TestCertificate } from '../certificates.fixture.ts';
import { type ConnectionLimits, type HttpServerOptions, startHttpServer } from './http-server.ts';

type Handle = HttpServerOptions['handler']['handle'];

let own: TestCertificate;
beforeAll(async () => {
  own = await makeCertificate();
});

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const FRAMES = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, continuation: 9 };
const END_STREAM = 1;
const END_HEADERS = 4;

/** RFC 9113 §4.1. */
function frame(type: number, flags: number, stream: number, payload = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.byteLength, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}
/** GET https://localhost/ in HPACK: three fields of the static table and one literal (RFC 7541 appendix A, §6.2.2). */
const GET = Buffer.concat([Buffer.from([0x82, 0x87, 0x84, 0x01, 9]), Buffer.from('localhost')]);
const REQUEST = 'GET /site/a HTTP/1.1\r\nHost: localhost\r\n\r\n';
const OPENING = Buffer.concat([PREFACE, frame(FRAMES.settings, 0, 0)]);

/** The types of all whole frames in what came. */
function frameTypes(bytes: Buffer): number[] {
  const types: number[] = [];
  for (let at = 0; at + 9 <= bytes.byteLength; at += 9 + bytes.readUIntBE(at, 3)) types.push(bytes.readUInt8(at + 3));
  return types;
}

/** A server with some limits of the test's own; the others are so long that they are not reached. */
async function serve(limits: Partial<ConnectionLimits> = {}, handle: Handle = async (_request, response) => void response.end()) {
  const certificate = { name: 'own', chain: own.certificate, key: own.key, dnsNames: ['localhost'], notBeforeMs: 0, notAfterMs: 0 };
  const certificates = { byHost: new Map(), fallback: certificate, ticketKeys: Buffer.alloc(48) };
  let handled = 0;
  const server = await startHttpServer({
    ...{ host: '127.0.0.1', port: 0, limits, operations: () => undefined, log: createLogger('edge', 'silent') },
    tls: { port: 0, certificates },
    handler: {
      handle(request, response, listener) {
        handled += 1;
        return handle(request, response, listener);
      },
    },
  });
  const port = server.tlsPort ?? 0;
  const clients: (Socket | ClientHttp2Session)[] = [];
  const keep = <Client extends Socket | ClientHttp2Session>(client: Client): Client => {
    clients.push(client);
    client.on('error', () => {}); // a reset is an end like any other
    return client;
  };
  return {
    ...{ server, port, certificates },
    handled: () => handled,
    plain: () => keep(connectTcp(server.port, '127.0.0.1')),
    tcp: () => keep(connectTcp(port, '127.0.0.1')),
    async tls(protocol: 'h2' | 'http/1.1', options: ConnectionOptions = {}): Promise<TLSSocket> {
      const socket = keep(
        connectTls({ host: '127.0.0.1', port, servername: 'localhost', ca: own.certificate, ALPNProtocols: [protocol], ...options }),
      );
      await once(socket, 'secureConnect');
      return socket;
    },
    session: (options: object = {}) => keep(connectHttp2(`https://localhost:${port}`, { ca: own.certificate, ...options })),
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.destroy();
      await server.stop();
    },
  };
}

/** However it came to it. */
function closed(client: Socket | ClientHttp2Session | Readable): Promise<void> {
  return new Promise((resolve) => client.once('close', () => resolve()));
}

/** How a stream ended: the status, or the code of its reset. */
async function outcomeOf(stream: ClientHttp2Stream): Promise<number | string> {
  let status: number | undefined;
  stream.on('response', (headers: IncomingHttpHeaders & { ':status'?: number }) => {
    status = headers[':status'];
  });
  stream.on('error', () => {});
  stream.resume();
  await closed(stream);
  if (stream.rstCode === constants.NGHTTP2_NO_ERROR) return status ?? 'no answer';
  return RESET_CODES.find((name) => constants[name] === stream.rstCode) ?? String(stream.rstCode);
}
const RESET_CODES = ['NGHTTP2_INTERNAL_ERROR', 'NGHTTP2_ENHANCE_YOUR_CALM', 'NGHTTP2_PROTOCOL_ERROR', 'NGHTTP2_CANCEL'] as const;

const endless = () =>
  Readable.from(
    (function* () {
      for (;;) yield Buffer.alloc(16_384);
    })(),
  );

describe('connections', () => {
  test.each([
    ['nothing', Buffer.alloc(0)],
    ['a part', Buffer.from([0x16, 0x03, 0x01])],
  ])('a handshake of which %s comes ends when its time is over', async (_what, sent) => {
    await using server = await serve({ headersMs: 50 });
    const socket = server.tcp();
    socket.write(sent);
    socket.resume();
    await closed(socket);
  });

  test('what is no handshake ends the connection, and no other', async () => {
    await using server = await serve();
    const session = server.session();
    const socket = server.tcp();
    socket.end('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    socket.resume();
    await closed(socket);
    expect(await outcomeOf(session.request())).toBe(200);
  });

  test('a header over HTTP/1.1 that does not come whole is answered 408', async () => {
    await using server = await serve({ headersMs: 50, checkMs: 10 });
    const socket = await server.tls('http/1.1');
    socket.write('GET /site/a HTTP/1.1\r\nho');
    expect((await buffer(socket)).toString()).toMatch(/^HTTP\/1\.1 408 /);
  });

  test('a connection over HTTP/1.1 without a further request is closed', async () => {
    await using server = await serve({ keepAliveMs: 1 });
    const socket = await server.tls('http/1.1');
    socket.write('GET /site/a HTTP/1.1\r\nHost: localhost\r\n\r\n');
    expect((await buffer(socket)).toString()).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('a visitor over HTTP/1.1 that does not read is cut off', async () => {
    const body = endless();
    body.on('error', () => {}); // it is told that nobody reads
    await using server = await serve({ idleMs: 200 }, (_request, response) => pipeline(body, response).catch(() => {}));
    const socket = await server.tls('http/1.1');
    socket.write('GET /site/a HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await closed(body);
  });

  test.each([
    ['that makes no request', { headersMs: 50, checkMs: 10 }, false],
    ['that makes no further request', { keepAliveMs: 50, checkMs: 10 }, true],
  ])('a session over HTTP/2 %s is told to go away, whatever it pings', async (_what, limits, asks) => {
    await using server = await serve(limits);
    const session = server.session();
    const goAway = once(session, 'goaway');
    const end = closed(session);
    await once(session, 'connect');
    if (asks) expect(await outcomeOf(session.request())).toBe(200);
    const pings = setInterval(() => !session.destroyed && session.ping(() => {}), 10);
    expect((await goAway)[0]).toBe(constants.NGHTTP2_NO_ERROR);
    await end;
    clearInterval(pings);
  });

  test('a session that sends nothing but a part of a frame is closed', async () => {
    await using server = await serve({ headersMs: 50, checkMs: 10 });
    const socket = await server.tls('h2');
    socket.write(Buffer.concat([OPENING, frame(FRAMES.headers, 0, 1, GET)]));
    socket.resume();
    await closed(socket);
  });

  test('both ports share one limit of connections, and there is room again afterwards', async () => {
    await using server = await serve({ connectionsMax: 2 });
    const session = server.session();
    await once(session, 'connect');
    const plain = server.plain();
    plain.write('GET /site/a HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(plain, 'data');
    await Promise.all([server.plain(), server.tcp()].map((socket) => closed(socket.resume())));
    plain.destroy();
    await eventually(async () => {
      const another = server.session();
      const isThere = once(another, 'connect').then(() => true);
      expect(await Promise.race([isThere, closed(another)])).toBe(true);
    });
    session.destroy();
    await eventually(async () => {
      const another = server.plain();
      another.write('GET /site/a HTTP/1.1\r\nHost: x\r\n\r\n');
      expect(await Promise.race([once(another, 'data').then(() => true), closed(another)])).toBe(true);
    });
  });
});

test.each(['TLSv1.2', 'TLSv1.3'] as const)(
  'with other ticket keys no older session of %s is resumed, and what is open goes on',
  async (version) => {
    await using server = await serve();
    /** A connection that was answered, whether it has resumed `session`, and the session to resume next. */
    const visit = async (session?: Buffer) => {
      const socket = await server.tls('http/1.1', { minVersion: version, maxVersion: version, ...(session && { session }) });
      const reused = socket.isSessionReused();
      socket.write(REQUEST);
      await once(socket, 'data');
      // With TLS 1.3 tickets come after the handshake, but before the answer.
      return { socket, reused, session: socket.getSession() };
    };
    const first = await visit();
    expect((await visit(first.session)).reused).toBe(true);
    server.server.use({ ...server.certificates, ticketKeys: Buffer.alloc(48, 1) });
    const later = await visit(first.session);
    expect(later.reused).toBe(false);
    expect((await visit(later.session)).reused).toBe(true);
    first.socket.write(REQUEST);
    expect(String((await once(first.socket, 'data'))[0])).toMatch(/^HTTP\/1\.1 200 /);
  },
);

describe('streams of HTTP/2', () => {
  test('a visitor that does not read is cut off, and its session goes on', async () => {
    const body = endless();
    body.on('error', () => {}); // it is told that nobody reads
    await using server = await serve({ idleMs: 200 }, (request, response) => {
      if (request.url === '/a') return void response.end();
      return pipeline(body, response).catch(() => {});
    });
    const session = server.session();
    const stalled = session.request({ ':path': '/endless' });
    stalled.on('error', () => {});
    const ended = closed(body);
    await once(stalled, 'response');
    await ended;
    expect(await outcomeOf(session.request({ ':path': '/a' }))).toBe(200);
  });

  test('at most 128 are open at once; one more is refused and the others are answered', async () => {
    const waiting: (() => void)[] = [];
    await using server = await serve({}, (_request, response) => void waiting.push(() => response.end()));
    // Node's client keeps to the limit when it knows it: these are sent before.
    const socket = await server.tls('h2');
    const requests = Array.from({ length: 129 }, (_, at) => frame(FRAMES.headers, END_STREAM | END_HEADERS, 2 * at + 1, GET));
    socket.write(Buffer.concat([OPENING, ...requests]));
    let received = Buffer.alloc(0);
    socket.on('data', (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
    });
    await eventually(() => expect(frameTypes(received)).toContain(FRAMES.reset));
    expect(server.handled()).toBe(128);
    for (const answer of waiting) answer();
    await eventually(() => expect(frameTypes(received).filter((type) => type === FRAMES.headers)).toHaveLength(128));
  });

  test.each([
    ['20 kB of fields', { 'x-a': 'a'.repeat(20_000) }, 431],
    ['600 short ones', Object.fromEntries(Array.from({ length: 600 }, (_, at) => [`x-${at}`, ''])), 'NGHTTP2_ENHANCE_YOUR_CALM'],
    ['90 kB of fields', { 'x-a': 'a'.repeat(45_000), 'x-b': 'b'.repeat(45_000) }, 431],
  ])('%s are refused, and the session goes on', async (_what, fields, outcome) => {
    await using server = await serve();
    const session = server.session({ maxSendHeaderBlockLength: 200_000 });
    expect(await outcomeOf(session.request({ ':path': '/', ...fields }))).toBe(outcome);
    expect(await outcomeOf(session.request({ ':path': '/' }))).toBe(200);
    expect(server.handled()).toBe(1);
  });

  test('requests that are made and taken back without end (CVE-2023-44487) end the session, as many as a page may take back do not', async () => {
    await using server = await serve({}, () => undefined);
    const cancel = Buffer.from([0, 0, 0, 8]);
    const takenBack = (count: number) =>
      Buffer.concat(
        Array.from({ length: count }, (_, at) => [
          frame(FRAMES.headers, END_STREAM | END_HEADERS, 2 * at + 1, GET),
          frame(FRAMES.reset, 0, 2 * at + 1, cancel),
        ]).flat(),
      );
    const ping = frame(FRAMES.ping, 0, 0, Buffer.alloc(8));
    /** Whether the session still answers. */
    const survives = async (count: number): Promise<boolean> => {
      const socket = await server.tls('h2');
      let received = Buffer.alloc(0);
      // The first answer may have been under way before the end: it is asked again.
      const answered = new Promise<true>((resolve) => {
        socket.on('data', (bytes: Buffer) => {
          received = Buffer.concat([received, bytes]);
          const answers = frameTypes(received).filter((type) => type === FRAMES.ping).length;
          if (answers === 1) socket.write(ping);
          if (answers === 2) resolve(true);
        });
      });
      socket.write(Buffer.concat([OPENING, takenBack(count), ping]));
      return Promise.race([answered, closed(socket).then(() => false)]);
    };
    expect([await survives(400), await survives(700)]).toEqual([true, false]);
    const before = server.handled();
    expect(await survives(50_000)).toBe(false);
    expect(server.handled() - before).toBeLessThan(5_000);
  });

  test.each([
    ['PING', frame(FRAMES.ping, 0, 0, Buffer.alloc(8))],
    ['SETTINGS', frame(FRAMES.settings, 0, 0)],
  ])('%s without end, of which no acknowledgement is read, end the session', async (_what, flood) => {
    await using server = await serve();
    const socket = await server.tls('h2');
    socket.pause();
    socket.write(OPENING);
    const many = Buffer.concat(Array(10_000).fill(flood));
    const end = closed(socket);
    let written = 0;
    const write = (error?: Error | null): void => {
      if (error || written > 200_000_000) return;
      written += many.byteLength;
      socket.write(many, write);
    };
    write();
    await end;
    expect(written).toBeLessThan(100_000_000);
    expect(await outcomeOf(server.session().request())).toBe(200);
  });

  test.each([
    ['PING', frame(FRAMES.ping, 0, 0, Buffer.alloc(8))],
    ['SETTINGS', frame(FRAMES.settings, 0, 0)],
  ])('%s without end, of which all acknowledgements are read, end the session', async (_what, flood) => {
    await using server = await serve();
    const socket = await server.tls('h2');
    const end = closed(socket.resume());
    socket.write(OPENING);
    const answered = () => new Promise<void>((resolve) => socket.once('data', () => resolve()));
    let sent = 0;
    for (; !socket.destroyed && sent < 10_000; sent += 10) {
      const next = answered();
      socket.write(Buffer.concat(Array(10).fill(flood)));
      await Promise.race([next, end]);
    }
    await end;
    expect(sent).toBeLessThan(2_000);
  });

  test('a header that goes on without end (CONTINUATION) ends the session', async () => {
    await using server = await serve();
    const socket = await server.tls('h2');
    socket.resume();
    const end = closed(socket);
    socket.write(Buffer.concat([OPENING, frame(FRAMES.headers, END_STREAM, 1, GET)]));
    const field = Buffer.concat([Buffer.from([0x00, 1]), Buffer.from('x'), Buffer.from([1]), Buffer.from('y')]);
    for (let at = 0; at < 1_000; at += 1) socket.write(frame(FRAMES.continuation, 0, 1, Buffer.concat(Array(100).fill(field))));
    await end;
    expect(server.handled()).toBe(0);
  });

  test('bytes that are no frames end the session, and the edge goes on', async () => {
    await using server = await serve();
    for (const bytes of [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.concat([PREFACE, Buffer.alloc(1_000, 0xff)]),
      frame(FRAMES.data, 0, 1),
    ]) {
      const socket = await server.tls('h2');
      socket.write(bytes);
      socket.resume();
      await closed(socket);
    }
    expect(await outcomeOf(server.session().request())).toBe(200);
  });

  test('bodies of requests are passed over, however many there are in a session', async () => {
    await using server = await serve();
    const session = server.session();
    for (let round = 0; round < 20; round += 1) {
      const stream = session.request({ ':path': '/', ':method': 'GET' }, { endStream: false });
      stream.end(Buffer.alloc(60_000));
      expect(await outcomeOf(stream)).toBe(200);
    }
  });

  test.each<[string, Handle]>([
    [
      'after the head',
      async (_request, response) => {
        response.writeHead(200, ['Content-Length', '10']);
        response.write('a part');
        throw new Error('the disk is gone');
      },
    ],
    ['with fields that cannot be sent', async (_request, response) => void response.writeHead(200, ['TE', 'x'])],
    [
      'by being cut off',
      (_request, response) => {
        response.writeHead(200, []);
        response.write('a part');
        response.destroy();
        return undefined;
      },
    ],
  ])('an answer that fails %s is never taken for a whole one, and the session goes on', async (_when, fail) => {
    await using server = await serve({}, (request, response, listener) => {
      if (request.url === '/fails') return fail(request, response, listener);
      response.end();
      return undefined;
    });
    const session = server.session();
    expect(await outcomeOf(session.request({ ':path': '/fails' }))).toBe('NGHTTP2_INTERNAL_ERROR');
    expect(await outcomeOf(session.request({ ':path': '/' }))).toBe(200);
  });

  test('a failure before the head is answered 500', async () => {
    await using server = await serve({}, async () => {
      throw new Error('the disk is gone');
    });
    expect(await outcomeOf(server.session().request())).toBe(500);
  });

  test.each([
    ['CONNECT', { ':method': 'CONNECT', ':authority': 'x:80' }, 405],
    ['a scheme that is none of ours', { ':path': '/', ':scheme': 'ftp' }, 400],
    ['the scheme of a proxy that speaks HTTP to its own clients', { ':path': '/', ':scheme': 'http' }, 200],
    ['a path without a slash', { ':path': 'x' }, 'NGHTTP2_PROTOCOL_ERROR'],
    ['a field of the connection', { ':path': '/', 'transfer-encoding': 'chunked' }, 'NGHTTP2_PROTOCOL_ERROR'],
  ])('%s', async (_what, fields, outcome) => {
    await using server = await serve();
    const pairs = Object.entries({ ':method': 'GET', ':scheme': 'https', ':authority': 'localhost', ...fields });
    if (':method' in fields) pairs.splice(1, 1); // CONNECT has no scheme (RFC 9113 §8.5)
    const socket = await server.tls('h2');
    const literal = pairs.map(([name, value]) =>
      Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)]),
    );
    socket.write(Buffer.concat([OPENING, frame(FRAMES.headers, END_STREAM | END_HEADERS, 1, Buffer.concat(literal))]));
    let received = Buffer.alloc(0);
    socket.on('data', (bytes: Buffer) => {
      received = Buffer.concat([received, bytes]);
    });
    const answered = () => {
      for (let at = 0; at + 9 <= received.byteLength; at += 9 + received.readUIntBE(at, 3)) {
        const type = received.readUInt8(at + 3);
        if (type === FRAMES.reset)
          return received.readUInt32BE(at + 9) === constants.NGHTTP2_PROTOCOL_ERROR ? 'NGHTTP2_PROTOCOL_ERROR' : 'reset';
        // The first field is the status: of the static table, or a literal of three digits (RFC 7541 §6.1, §6.2).
        if (type === FRAMES.headers) return statusOf(received.subarray(at + 9));
      }
      throw new Error('no answer yet');
    };
    expect(await eventually(answered)).toBe(outcome);
  });
});

/** The status at the beginning of a header block of HPACK. */
function statusOf(block: Buffer): number {
  const indexed: Record<number, number> = { 136: 200, 137: 204, 138: 206, 139: 304, 140: 400, 141: 404, 142: 500 };
  const first = block.readUInt8(0);
  const known = indexed[first];
  if (known !== undefined) return known;
  // A literal; 405 is "405" in the code of Huffman: 5 bits each for the digits (RFC 7541 appendix B).
  const length = block.readUInt8(1) & 0x7f;
  const text = block.subarray(2, 2 + length);
  if ((block.readUInt8(1) & 0x80) === 0) return Number(text.toString());
  const bits = [...text].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  const codes: Record<string, string> = {
    '00000': '0',
    '00001': '1',
    '00010': '2',
    '011001': '3',
    '011010': '4',
    '011011': '5',
    '011100': '6',
    '011101': '7',
    '011110': '8',
    '011111': '9',
  };
  let digits = '';
  for (let at = 0; digits.length < 3; ) {
    const length = codes[bits.slice(at, at + 5)] === undefined ? 6 : 5;
    digits += codes[bits.slice(at, at + length)];
    at += length;
  }
  return Number(digits);
}

describe('the end of an edge', () => {
  test('sessions are told to go away, running downloads of both versions end whole, and nothing new is taken', async () => {
    const finish: (() => void)[] = [];
    const server = await serve({}, (_request, response) => {
      response.write('first ');
      finish.push(() => response.end('last'));
      return undefined;
    });
    const session = server.session();
    const stream = session.request();
    await once(stream, 'response');
    const http1 = await server.tls('http/1.1');
    http1.write('GET /site/a HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const idle = await server.tls('http/1.1');
    await eventually(() => expect(finish).toHaveLength(2));
    const idleClosed = closed(idle.resume());
    const goAway = once(session, 'goaway');
    const stopped = server.server.stop();
    expect((await goAway)[0]).toBe(constants.NGHTTP2_NO_ERROR);
    await idleClosed;
    // One that goes on asking is answered, and told that it is the last time.
    http1.write('GET /site/b HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await eventually(() => expect(finish).toHaveLength(3));
    const late = server.tcp();
    await closed(late);
    const bodies = Promise.all([buffer(stream), buffer(http1)]);
    for (const end of finish) end();
    const [two, one] = await bodies;
    expect(two.toString()).toBe('first last');
    expect(one.toString()).toMatch(/^HTTP.*last\r\n0\r\n\r\nHTTP.*\r\nConnection: close\r\n.*last\r\n0\r\n\r\n$/s);
    await stopped;
    await server[Symbol.asyncDispose]();
  });

  test('connections on which no request was begun do not hold it up, however far they have come', async () => {
    // Nobody waits for so long.
    const server = await serve({ drainMs: 600_000, headersMs: 600_000, requestMs: 600_000 });
    const clients: Socket[] = [server.tcp(), server.tcp()];
    // The first bytes of a ClientHello (RFC 8446 §5.1), of which more are to follow.
    clients[1]?.write(Buffer.from([22, 3, 1, 2, 0, 1]));
    await Promise.all(clients.map((client) => once(client, 'connect')));
    // Connections are taken in their order, so the two before are there as well.
    for (const protocol of ['http/1.1', 'h2'] as const) clients.push(await server.tls(protocol));
    const ends = clients.map((client) => closed(client.resume()));
    await server.server.stop();
    await Promise.all(ends);
  });

  test('over HTTP/1.1 it waits for what the system has not taken of a response that was written at once', async () => {
    const content = Buffer.alloc(20_000_000, 'x');
    const server = await serve({}, (_request, response) => void response.writeHead(200, ['Content-Length', '20000000']).end(content));
    const visitor = await server.tls('http/1.1');
    visitor.write('GET /site/a HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await once(visitor, 'readable');
    const idleClosed = closed((await server.tls('http/1.1')).resume());
    const stopped = server.server.stop();
    // The time in which an idle connection would have been closed.
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect((await buffer(visitor)).byteLength).toBeGreaterThan(content.byteLength);
    await idleClosed;
    await stopped;
  });

  test('what does not end in time is cut off', async () => {
    const server = await serve({ drainMs: 50 }, (_request, response) => pipeline(endless(), response).catch(() => {}));
    const stream = server.session().request();
    await once(stream, 'response');
    const http1 = await server.tls('http/1.1');
    http1.write('GET /site/a HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await once(http1, 'data');
    const outcome = outcomeOf(stream);
    await server.server.stop();
    expect(await outcome).not.toBe(200);
  });
});
