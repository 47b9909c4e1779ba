import { once } from 'node:events';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect, type Server } from 'node:net';
import { text } from 'node:stream/consumers';
import { connect as connectTls, type TlsOptions } from 'node:tls';
import { answerOperations, createLogger, Readiness, Registry } from '@sluice/runtime';
import { eventually } from '@sluice/testkit';
import { afterEach, describe, expect, test } from 'vitest';
import { clientAddress } from '../domain/client-address.ts';
import { parseTrustedRanges } from '../domain/trusted-ranges.ts';
import { type ConnectionLimits, startHttpServer } from './http-server.ts';
import { Peers } from './peers.ts';
import { expectProxyHeaders } from './proxy-protocol.ts';

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const SIGNATURE = '\r\n\r\n\0\r\nQUIT\n';
const V1 = 'PROXY TCP4 192.0.2.1 198.51.100.7 56324 80\r\n';
const V2 = `${SIGNATURE}\x21\x11\x00\x11\xc0\x00\x02\x01\xc6\x33\x64\x07\xdc\x04\x00\x50\x04\x00\x02\x00\x00`;
const V2_IPV6 = `${SIGNATURE}\x21\x21\x00\x24\x20\x01\x0d\xb8${'\0'.repeat(11)}\x01\x20\x01\x0d\xb8${'\0'.repeat(11)}\x02\xdc\x04\x00\x50`;
const V2_LOCAL = `${SIGNATURE}\x20\x00\x00\x00`;
const V2_UNIX = `${SIGNATURE}\x21\x31\x00\xd8${'/'.repeat(216)}`;
const get = (fields = 'Connection: close\r\n') => `GET /a HTTP/1.1\r\nHost: x\r\n${fields}\r\n`;

/** A server that answers with the address that it takes for the visitor's. */
async function serve({
  trusted = '127.0.0.0/8',
  headerMs = 5_000,
  limits = {},
}: {
  trusted?: string;
  headerMs?: number;
  limits?: Partial<ConnectionLimits>;
} = {}) {
  const peers = new Peers(parseTrustedRanges(trusted).ranges);
  const refusals: string[] = [];
  const server = await startHttpServer({
    ...{ host: '127.0.0.1', port: 0, limits, proxyProtocol: { peers, headerMs, onRefused: (reason) => refusals.push(reason) } },
    handler: {
      handle: async (request, response) =>
        void response.end(`for ${clientAddress(peers.of(request.socket), request.headers, peers.isTrusted)}\n`),
    },
    ...{ operations: (path: string) => answerOperations(path, new Readiness(), new Registry()), log: createLogger('edge', 'silent') },
  });
  stops.push(() => server.stop());
  const open = () => {
    const socket = connect(server.port, '127.0.0.1').setNoDelay().setEncoding('latin1');
    socket.on('error', () => {}); // a reset is an end like any other
    stops.push(() => socket.destroy());
    return socket;
  };
  return {
    ...{ server, refusals, open },
    /** Sends pieces, each in a packet of its own, and gives back what comes until the connection ends. */
    async exchange(...pieces: string[]): Promise<string> {
      const socket = open();
      const received = text(socket).catch(() => '');
      await once(socket, 'connect');
      for (const piece of pieces) {
        socket.write(piece, 'latin1');
        await new Promise(setImmediate);
      }
      return received;
    },
  };
}

describe('a connection from a trusted proxy', () => {
  test.each([
    ['version 1', V1, '192.0.2.1'],
    ['version 1, IPv6', 'PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n', '2001:db8::1'],
    ['version 2, with a TLV', V2, '192.0.2.1'],
    ['version 2, IPv6', V2_IPV6, '2001:db8::1'],
    ['the proxy itself', V2_LOCAL, '127.0.0.1'],
    ['a visitor without an address', 'PROXY UNKNOWN\r\n', '127.0.0.1'],
    ['a UNIX socket', V2_UNIX, '127.0.0.1'],
  ])('%s: with its request, before it, and byte by byte', async (_what, header, address) => {
    const it = await serve();
    for (const pieces of [[header + get()], [header, get()], [...header, ...get()]]) {
      expect(await it.exchange(...pieces)).toMatch(new RegExp(`^HTTP/1\\.1 200 .*for ${address}\\n`, 's'));
    }
    expect(it.refusals).toEqual([]);
  });

  test('keeps its address over all requests on it, also when they come in a pipeline', async () => {
    const it = await serve();
    const received = await it.exchange(V1 + get('') + get(''), get());
    expect(received.match(/for 192\.0\.2\.1\n/g)).toHaveLength(3);
  });

  test.each([
    ['a visitor whose address is told', V1, 'X-Forwarded-For: 203.0.113.9\r\n', '192.0.2.1'],
    ['a visitor whose address is not known', 'PROXY UNKNOWN\r\n', 'X-Forwarded-For: 203.0.113.9\r\n', '127.0.0.1'],
    ['another trusted proxy', 'PROXY TCP4 127.0.0.9 127.0.0.1 1 2\r\n', 'X-Forwarded-For: 203.0.113.9\r\n', '203.0.113.9'],
    ['the proxy itself', V2_LOCAL, 'X-Forwarded-For: 203.0.113.9\r\n', '203.0.113.9'],
  ])('the fields of %s are believed only if it is trusted', async (_what, header, fields, address) => {
    const it = await serve();
    expect(await it.exchange(`${header}${get(`${fields}Connection: close\r\n`)}`)).toContain(`for ${address}\n`);
  });

  test.each([
    ['no header', get()],
    ['a header of another version', V2.replace('\x21\x11', '\x31\x11')],
    ['a header that is longer than any', `${SIGNATURE}\x21\x00\xff\xff`],
    ['a line that does not end', `PROXY UNKNOWN ${'x'.repeat(200)}`],
    ['TLS', '\x16\x03\x01\x02\x00'],
  ])('with %s is closed without a word, and counted', async (_what, bytes) => {
    const it = await serve();
    expect(await it.exchange(bytes)).toBe('');
    expect(it.refusals).toEqual(['malformed']);
  });

  test('that ends within its header is closed and counted; one that never sends anything is a check and no fault', async () => {
    const it = await serve();
    it.open().end('PROXY TCP4');
    await eventually(() => Promise.resolve(expect(it.refusals).toEqual(['malformed'])));
    const check = it.open();
    check.end();
    check.resume();
    await once(check, 'close');
    expect(it.refusals).toEqual(['malformed']);
  });

  test('whose header does not come in time is closed and counted, also when it comes byte by byte', async () => {
    const it = await serve({ headerMs: 50 });
    expect(await it.exchange('PROX')).toBe('');
    const socket = it.open().resume();
    const dribble = setInterval(() => socket.write('PROXY UNKNOWN '), 10).unref();
    await new Promise((resolve) => socket.once('close', resolve)); // after a reset, too
    clearInterval(dribble);
    expect(it.refusals[0]).toBe('timeout');
    expect(it.refusals).toHaveLength(2);
  });
});

test('a connection from anyone else is closed at once, and counted', async () => {
  const it = await serve({ trusted: '192.0.2.0/24' });
  expect(await it.exchange(V1 + get())).toBe('');
  expect(it.refusals).toEqual(['untrusted']);
});

describe('the limits of connections', () => {
  test('count those that wait for their header', async () => {
    const it = await serve({ limits: { connectionsMax: 2 } });
    const waiting = [it.open(), it.open()];
    for (const socket of waiting) await once(socket, 'connect');
    waiting[0]?.write('PROXY');
    expect(await it.exchange(V1 + get())).toBe('');
    for (const socket of waiting) socket.destroy();
    await eventually(async () => expect(await it.exchange(V1 + get())).toContain('for 192.0.2.1'));
  });

  test('hold behind a header: the time for a request', async () => {
    const it = await serve({ limits: { headersMs: 50, checkMs: 10 } });
    expect(await it.exchange(`${V1}GET /a HTTP/1.1\r\nHo`)).toMatch(/^HTTP\/1\.1 408 /);
    expect(await it.exchange(V1)).toMatch(/^HTTP\/1\.1 408 /);
  });

  test('hold behind a header: the time between two requests', async () => {
    const it = await serve({ limits: { keepAliveMs: 1 } });
    expect(await it.exchange(V1 + get(''))).toMatch(/^HTTP\/1\.1 200 /);
  });

  test('hold behind a header: the time in which nothing moves', async () => {
    const it = await serve({ limits: { idleMs: 100 } });
    expect(await it.exchange(V1)).toBe('');
  });
});

test('a server that stops waits for no header', async () => {
  const it = await serve({ headerMs: 60_000 });
  const socket = it.open().resume();
  await once(socket, 'connect');
  socket.write('PROXY');
  expect(await it.exchange(V1 + get())).toContain('for 192.0.2.1'); // so the one before has been accepted
  const ended = new Promise((resolve) => socket.once('close', resolve));
  await it.server.stop();
  await ended;
});

test('in front of TLS: the address is that of the header, whether the handshake comes with it or behind it', async () => {
  // A key that both sides know stands for a certificate.
  const key = Buffer.alloc(32, 7);
  const psk: TlsOptions = { ciphers: 'PSK', maxVersion: 'TLSv1.2', pskCallback: () => key };
  const peers = new Peers(parseTrustedRanges('loopback').ranges);
  const server: Server = createHttpsServer(psk, (request, response) => response.end(`for ${peers.of(request.socket).address}\n`));
  expectProxyHeaders(server, { peers, onRefused: () => {} });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  stops.push(() => new Promise((resolve) => server.close(resolve)));
  const { port } = server.address() as AddressInfo;
  for (const apart of [true, false]) {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    if (!apart) socket.cork();
    socket.write(V1);
    if (apart) await new Promise(setImmediate);
    const tls = connectTls({
      socket,
      ciphers: 'PSK',
      maxVersion: 'TLSv1.2',
      pskCallback: () => ({ psk: key, identity: 'x' }),
      checkServerIdentity: () => undefined,
    });
    if (!apart) process.nextTick(() => socket.uncork());
    tls.write(get());
    expect(await text(tls)).toMatch(/^HTTP\/1\.1 200 .*for 192\.0\.2\.1\n/s);
  }
});
