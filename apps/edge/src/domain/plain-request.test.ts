import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readPlainRequest } from './plain-request.ts';

const WHOLE = 'GET /site/a.js?v=1 HTTP/1.1\r\nHost: www.example.com:8080\r\nUser-Agent:  x y \r\nAccept: */*\r\n\r\n';

test('a request as browsers send it is read, values without the space around them, and where it ends is told', () => {
  expect(readPlainRequest(`${WHOLE}GET /`, 0)).toEqual({
    method: 'GET',
    url: '/site/a.js?v=1',
    fields: { __proto__: null, host: 'www.example.com:8080', 'user-agent': 'x y', accept: '*/*' },
    end: WHOLE.length,
  });
  expect(readPlainRequest(WHOLE + WHOLE, WHOLE.length)?.end).toBe(2 * WHOLE.length);
  expect(readPlainRequest('HEAD / HTTP/1.1\r\nhost: x\r\nConnection: Keep-Alive\r\n\r\n', 0)?.method).toBe('HEAD');
});

test('a part of a request is none, wherever it is cut off', () => {
  for (let length = 0; length < WHOLE.length; length += 1) expect(readPlainRequest(WHOLE.slice(0, length), 0)).toBeUndefined();
});

test.each([
  ['another method', 'POST / HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['another version', 'GET / HTTP/1.0\r\nHost: x\r\n\r\n'],
  ['an absolute-form', 'GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['no host', 'GET / HTTP/1.1\r\nA: b\r\n\r\n'],
  ['two hosts', 'GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n'],
  ['a field twice', 'GET / HTTP/1.1\r\nHost: x\r\nA: b\r\na: c\r\n\r\n'],
  ['a host that is none', 'GET / HTTP/1.1\r\nHost: x/y\r\n\r\n'],
  ['content', 'GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n'],
  ['a coding', 'GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'],
  ['an end of the connection', 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'],
  ['an expectation', 'GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n'],
  ['a space before the colon', 'GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n'],
  ['a folded line', 'GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n'],
  ['a line feed alone', 'GET / HTTP/1.1\nHost: x\n\n'],
  ['a carriage return alone', 'GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n'],
  ['an end without its line feed', 'GET / HTTP/1.1\r\nHost: x\r\n\rx'],
  ['two spaces', 'GET  / HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['a control character', 'GET / HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n'],
  ['an empty line first', '\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n'],
  ['more than the other parser takes at once', `GET / HTTP/1.1\r\nHost: x\r\nA: ${'b'.repeat(9_000)}\r\n\r\n`],
])('with %s it is left to the other parser', (_what, text) => {
  expect(readPlainRequest(text, 0)).toBeUndefined();
});

test('whatever is accepted the parser of Node reads as the same one request', async () => {
  const seen: object[] = [];
  const server = createServer((request, response) => {
    seen.push({ method: request.method, url: request.url, fields: { ...request.headers } });
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const asNodeReads = async (text: string): Promise<object[]> => {
    seen.length = 0;
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {});
    socket.resume().write(text, 'latin1');
    // A whole request ends the connection; what is not whole is answered 400 together with it.
    socket.write('GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    await once(socket, 'close');
    return [...seen];
  };
  const name = fc.constantFrom(
    'A',
    'Accept',
    'if-none-match',
    'Range',
    'Cookie',
    'Content-Length',
    'Transfer-Encoding',
    'TE',
    'A ',
    'é',
    '__proto__',
  );
  const value = fc.oneof(
    fc.constantFrom('', 'b', ' b ', '0', 'chunked', '"x", W/"y"', '\t', 'b\rc', '\0', 'é'),
    fc.string({ maxLength: 8 }),
  );
  const line = fc.tuple(name, fc.constantFrom(':', ': ', ' : ', ''), value, fc.constantFrom('\r\n', '\r\n', '\r\n', '\n', '\r\n '));
  const target = fc.oneof(fc.constantFrom('/', '/a?b', '/%2e', '//x', '*', 'http://x/', '/a#b', '/é', '/ a'), fc.webPath());
  const request = fc
    .tuple(
      fc.constantFrom('GET', 'GET', 'HEAD', 'get'),
      target,
      fc.constantFrom('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0'),
      fc.array(line, { maxLength: 4 }),
    )
    .map(
      ([method, url, version, lines]) => `${method} ${url} ${version}\r\nHost: x\r\n${lines.map((parts) => parts.join('')).join('')}\r\n`,
    );
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(request, async (text) => {
      const read = readPlainRequest(text, 0);
      if (read === undefined || read.end !== text.length) return;
      accepted += 1;
      const { method, url, fields } = read;
      const requests = await asNodeReads(text);
      expect(requests).toHaveLength(2);
      expect(requests[0]).toEqual({ method, url, fields: { ...fields } });
    }),
    { numRuns: 2_000 },
  );
  expect(accepted).toBeGreaterThan(100);
  server.close();
});
