/** What arrives on the wire, byte for byte: requests that two readers could take for different things, and ones that no client means well with. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Scene } from './scene.fixture.ts';

let scene: Scene;
beforeAll(async () => {
  scene = await Scene.start();
  for (const name of ['a', 'b']) await scene.pushStore(scene.origin.upload(`site/${name}`, Buffer.from(`content ${name}`)));
});
afterAll(() => scene[Symbol.asyncDispose]());

/** Everything that comes back until the connection ends; the last request asks for that. */
async function exchange(...pieces: string[]): Promise<string> {
  const socket = connect(scene.edge?.port ?? 0, '127.0.0.1').setEncoding('latin1');
  let received = '';
  socket.on('data', (text) => {
    received += text;
  });
  socket.on('error', () => {}); // a reset is an end like any other
  const closed = once(socket, 'close');
  for (const piece of pieces) socket.write(piece, 'latin1');
  await closed;
  return received;
}

/** The status lines of all responses, in order. */
function statuses(received: string): number[] {
  return [...received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
}

const LAST = 'GET /site/b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
const get = (path: string, fields = 'Host: x\r\n') => `GET ${path} HTTP/1.1\r\n${fields}\r\n`;

describe('shapes that smuggle a request past a proxy (RFC 9112 §6.3, §11.2)', () => {
  const hidden = 'GET /site/a HTTP/1.1\r\nHost: x\r\n\r\n';
  test.each([
    [
      'a length and a chunked coding',
      `Host: x\r\nContent-Length: ${hidden.length}\r\nTransfer-Encoding: chunked\r\n`,
      `0\r\n\r\n${hidden}`,
    ],
    ['two lengths', 'Host: x\r\nContent-Length: 0\r\nContent-Length: 5\r\n', hidden],
    ['a list of lengths', 'Host: x\r\nContent-Length: 0, 5\r\n', hidden],
    ['a length with a sign', 'Host: x\r\nContent-Length: +0\r\n', hidden],
    ['a length in hexadecimal', 'Host: x\r\nContent-Length: 0x0\r\n', hidden],
    ['a coding that is not the last', 'Host: x\r\nTransfer-Encoding: chunked, identity\r\n', hidden],
    ['a coding that nobody knows', 'Host: x\r\nTransfer-Encoding: xchunked\r\n', hidden],
    ['a space before the colon', 'Host: x\r\nContent-Length : 5\r\n', hidden],
    ['a field that is folded over two lines', 'Host: x\r\nX-A: b\r\n Content-Length: 5\r\n', hidden],
    ['a NUL in a field', 'Host: x\r\nX-A: \0\r\n', hidden],
    ['a carriage return alone', 'Host: x\r\nX-A: b\rTransfer-Encoding: chunked\r\n', hidden],
    ['a chunk that is longer than its size', 'Host: x\r\nTransfer-Encoding: chunked\r\n', `1\r\nab\r\n0\r\n\r\n${hidden}`],
  ])('%s: the connection ends with 400, and what is hidden is never answered', async (_what, fields, rest) => {
    const received = await exchange(get('/site/b', fields) + rest);
    expect(statuses(received).at(-1)).toBe(400);
    expect(received).not.toContain('content a');
  });

  test('a chunk size that overflows ends the connection, and what is hidden is never answered', async () => {
    const received = await exchange(`${get('/site/b', 'Host: x\r\nTransfer-Encoding: chunked\r\n')}fffffffffffffffff\r\n${hidden}`);
    expect(received).not.toContain('content a');
  });

  test('a body of a GET is passed over and never taken for a request', async () => {
    const body = get('/site/a');
    const received = await exchange(get('/site/b', `Host: x\r\nContent-Length: ${body.length}\r\n`) + body + LAST);
    expect(statuses(received)).toEqual([200, 200]);
    expect(received).not.toContain('content a');
    const chunked = `${body.length.toString(16)};ext=1\r\n${body}\r\n0\r\nTrailer: x\r\n\r\n`;
    const again = await exchange(get('/site/b', 'Host: x\r\nTransfer-Encoding: chunked\r\n') + chunked + LAST);
    expect(statuses(again)).toEqual([200, 200]);
    expect(again).not.toContain('content a');
  });
});

describe('requests in a pipeline (RFC 9112 §9.3.2)', () => {
  test('are answered in their order, also when they come in pieces of one byte', async () => {
    const all = get('/site/a') + get('/site/none') + get('/site/b') + LAST;
    for (const pieces of [[all], [...all]]) {
      const received = await exchange(...pieces);
      expect(statuses(received)).toEqual([200, 404, 200, 200]);
      expect([received.indexOf('content a') < received.indexOf('content b'), received.split('content b')]).toEqual([
        true,
        expect.objectContaining({ length: 3 }),
      ]);
    }
  });
});

describe('a request that holds its content back (RFC 9110 §10.1.1)', () => {
  test('is told to go on before its answer, also behind others in a pipeline: never between head and body', async () => {
    const expecting = get('/site/b', 'Host: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n');
    for (const first of ['', get('/site/a'), get('/site/none'), 'POST /site/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx']) {
      const received = await exchange(`${first}${expecting}hi${LAST}`);
      expect(received.split('HTTP/1.1 100 Continue\r\n\r\n')).toHaveLength(2);
      expect(received).toMatch(/HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n(?:[^\r\n]+\r\n)+\r\ncontent bHTTP\/1\.1 200 OK\r\n/);
    }
  });
});

describe('targets and hosts (RFC 9112 §3.2)', () => {
  test.each([
    ['a path out of the bucket', get('/site/../a'), 400],
    ['the same, encoded', get('/site/%2e%2e/a'), 400],
    ['the same, with an encoded slash', get('/site/..%2fa'), 400],
    ['an encoded slash is a slash', get('/site%2fa'), 200],
    ['encoded twice is another name', get('/site/%2561'), 404],
    ['an encoded NUL', get('/site/%00'), 400],
    ['overlong UTF-8', get('/site/%c0%af'), 400],
    ['a lone surrogate in UTF-8', get('/site/%ed%a0%80'), 400],
    ['a backslash is no slash', get('/site\\a'), 400],
    ['a target with a space', 'GET /site/a b HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['the absolute form', get('http://y/site/a'), 200],
    ['the authority form', get('x:80'), 400],
    ['no Host', get('/site/a', ''), 400],
    ['an empty Host', get('/site/a', 'Host:\r\n'), 200],
    ['two Hosts', get('/site/a', 'Host: x\r\nHost: x\r\n'), 400],
    ['a Host that is no host', get('/site/a', 'Host: x/y\r\n'), 400],
    ['a Host with a user', get('/site/a', 'Host: u@x\r\n'), 400],
    ['a Host that is an IPv6 address', get('/site/a', 'Host: [::1]:80\r\n'), 200],
    ['HTTP/0.9', 'GET /site/a\r\n\r\n', 400],
    ['a version that does not exist', 'GET /site/a HTTP/9.9\r\nHost: x\r\n\r\n', 400],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['a method in small letters', 'get /site/a HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['CONNECT', 'CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n', 405],
    ['OPTIONS of the server', 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n', 204],
    ['an upgrade that is not offered', get('/site/a', 'Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'), 200],
    ['an expectation that is not known (RFC 9110 §10.1.1)', get('/site/a', 'Host: x\r\nExpect: a-miracle\r\n'), 417],
    ['a header of 20 kB', get('/site/a', `Host: x\r\nX-A: ${'a'.repeat(20_000)}\r\n`), 431],
    ['a target of 20 kB', get(`/site/${'a'.repeat(20_000)}`), 431],
    ['a key that is too long', get(`/site/${'a'.repeat(1_020)}`), 400],
    ['what is no HTTP at all', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
  ])('%s', async (_what, bytes, status) => {
    expect(statuses(await exchange(bytes, LAST))[0]).toBe(status);
  });

  test.each(['/healthz', '/readyz', '/metrics'])('%s is for GET and HEAD alone', async (path) => {
    const received = await exchange(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`, LAST);
    expect(received).toMatch(/^HTTP\/1\.1 405 .*\r\nAllow: GET, HEAD, OPTIONS\r\n/s);
  });

  test('HTTP/1.0 needs no Host, and its connection ends with the answer', async () => {
    expect(await exchange('GET /site/a HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 OK\r\n.*Connection: close\r\n.*content a$/s);
  });

  test('an upgrade that is not offered is answered in HTTP/1.1, and the connection says that it ends', async () => {
    const received = await exchange(get('/site/a', 'Host: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n'));
    expect(received).toMatch(/^HTTP\/1\.1 200 OK\r\n.*Connection: close\r\n.*content a$/s);
  });
});
