/** What an edge reads off its connections. */
import { isIP } from 'node:net';
import { keyProblem } from '@sluice/contracts';
import { checkSignedUrl, redactSignature, signedQuery } from '@sluice/signed-url';
import { readPlainRequest } from '../../../apps/edge/src/domain/plain-request.ts';
import { readProxyHeader, V2_MAX_BYTES } from '../../../apps/edge/src/domain/proxy-header.ts';
import { authorityOf, hostProblem, parseTarget } from '../../../apps/edge/src/domain/request-target.ts';
import { joined, mutateBytes, mutateText } from '../mutate.ts';
import type { Random } from '../random.ts';
import { law, target } from '../target.ts';
import { nodeReading } from './node-reading.ts';

const V2 = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');
const PROXY_HEADERS = [
  Buffer.from('PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n'),
  Buffer.from('PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\nGET / HTTP/1.1\r\n\r\n'),
  Buffer.from('PROXY UNKNOWN\r\n'),
  joined(V2, Buffer.from('2111000cc0000201c6336401dc0401bb', 'hex')),
  joined(V2, Buffer.from('2121002420010db800000000000000000000000120010db8000000000000000000000002dc0401bb', 'hex')),
  joined(V2, Buffer.from('20000000', 'hex')),
  joined(V2, Buffer.from('2111000fc0000201c6336401dc0401bb040000', 'hex'), Buffer.from('GET')),
];

export const proxyHeaders = target({
  name: 'proxy-headers',
  law: 'a PROXY header is read the same however it is cut, ends in bounds, and names an address or none',
  make: (random) => ({ bytes: mutateBytes(random, random.pick(PROXY_HEADERS), PROXY_HEADERS), cut: random.below(120) }),
  check({ bytes, cut }) {
    const whole = readProxyHeader(bytes);
    const first = readProxyHeader(bytes.subarray(0, cut));
    if (first !== 'incomplete') {
      law(JSON.stringify(first) === JSON.stringify(whole), () => `${JSON.stringify(first)}, and with more bytes ${JSON.stringify(whole)}`);
    }
    if (typeof whole === 'string')
      return void law(whole === 'invalid' || bytes.byteLength < V2_MAX_BYTES, () => 'waits for more than there may be');
    law(whole.bytes <= bytes.byteLength && whole.bytes <= V2_MAX_BYTES, () => `a header of ${whole.bytes} bytes`);
    if (whole.source.kind === 'address') law(isIP(whole.source.address) !== 0, () => `${JSON.stringify(whole.source)} is no address`);
  },
});

export const REQUESTS = [
  'GET /site/a HTTP/1.1\r\nHost: x\r\n\r\n',
  'HEAD /site/a?b=c HTTP/1.1\r\nHost: x:8080\r\nAccept-Encoding: gzip, br\r\nUser-Agent: y/1.0\r\n\r\n',
  'GET /site/a HTTP/1.1\r\nhost: www.example.com\r\nRange: bytes=0-9\r\nIf-Range: "e"\r\nConnection: keep-alive\r\n\r\n',
  'GET /site/%61 HTTP/1.1\r\nHost: x\r\nIf-None-Match: W/"a", "b"\r\nCache-Control: no-cache\r\n\r\nGET /site/b HTTP/1.1\r\nHost: x\r\n\r\n',
  'GET /site/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc',
  'POST /site/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n0\r\nT: x\r\n\r\n',
  'GET http://x/site/a HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\nX-Empty:\r\n\r\n',
  'GET /site/a HTTP/1.1\r\nHost: x\r\nConnection: close, te\r\nTE: trailers\r\nExpect: 100-continue\r\nUpgrade: h2c\r\n\r\n',
];
export const REQUEST_WORDS = [
  ...[
    '\r\n',
    '\n',
    '\r',
    ' ',
    '\t',
    ':',
    '\0',
    'HTTP/1.0',
    'HTTP/1.1',
    'HTTP/2.0',
    'GET ',
    'HEAD ',
    'PUT ',
    'CONNECT ',
    '\r\n\r\n',
    '\r\n ',
    ' :',
  ],
  ...[
    'Host: y\r\n',
    'Content-Length: 5\r\n',
    'Content-Length: 0\r\n',
    'content-length: +5\r\n',
    'Content-Length: 5, 5\r\n',
    'Transfer-Encoding: chunked\r\n',
  ],
  ...[
    'Transfer-Encoding: xchunked\r\n',
    'Transfer-Encoding: chunked, identity\r\n',
    'Transfer-Encoding : chunked\r\n',
    'Connection: close\r\n',
    'Connection: upgrade\r\n',
  ],
  ...[
    'Keep-Alive: timeout=5\r\n',
    'Proxy-Connection: close\r\n',
    'Expect: 100-continue\r\n',
    'Trailer: x\r\n',
    '__proto__: x\r\n',
    'constructor: x\r\n',
    'X: \x80\xff\r\n',
  ],
  ...[
    '0\r\n\r\n',
    '5\r\nabcde\r\n',
    'fffffffffffffffff\r\n',
    '1;a="\r\n"\r\nx\r\n',
    '%2e%2e/',
    '%00',
    '/../',
    '//',
    '?',
    '#',
    '%',
    '%c0%af',
    'https://x',
    '*',
    '\\',
  ],
  ...[
    'Range: bytes=0-0,2-\r\n',
    'If-None-Match: *\r\n',
    'If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n',
    'Accept-Encoding: *;q=0\r\n',
    'Cache-Control: only-if-cached\r\n',
  ],
  ...[
    'Origin: https://a.example\r\n',
    'X-Forwarded-For: 1.1.1.1\r\n',
    'Authorization: Basic c2VjcmV0\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n',
  ],
];

/** A request as bytes, a character each. */
export function hostileRequest(random: Random): string {
  const text = random.pick(REQUESTS);
  const changed = mutateText(random, random.oneIn(4) ? text + random.pick(REQUESTS) : text, REQUEST_WORDS);
  return changed.replace(/[\u0100-\uffff]/g, '?');
}

export const plainRequests = target({
  name: 'plain-requests',
  law: 'what the fast lane takes for a request, Node reads as the same one with the same end',
  make: hostileRequest,
  check(text) {
    const read = readPlainRequest(text, 0);
    if (read === undefined) return;
    law(read.end <= text.length && read.end <= 8192, () => `it ends at ${read.end}`);
    // Also where something stands before it, as in a pipeline.
    const later = readPlainRequest(`xx${text}`, 2);
    law(later !== undefined && later.end === read.end + 2 && later.url === read.url, () => 'behind something else it is another request');
    const expected = nodeReading(Buffer.from(text.slice(0, read.end), 'latin1'));
    law(expected !== undefined, () => 'Node refuses it');
    const { method, url, fields } = expected;
    const own: Record<string, unknown> = { ...read.fields };
    law(method === read.method && url === read.url, () => `${read.method} ${read.url} is ${method} ${url} to Node`);
    law(
      JSON.stringify(sorted(own)) === JSON.stringify(sorted(fields)),
      () => `${JSON.stringify(own)} is ${JSON.stringify(fields)} to Node`,
    );
  },
});

function sorted(fields: Readonly<Record<string, unknown>>): [string, unknown][] {
  return Object.entries(fields).toSorted(([a], [b]) => (a < b ? -1 : 1));
}

const TARGETS = [
  '/site/a.b',
  '/site/%C3%A9?x=y',
  'http://x/site/a',
  'https://u@x:1/site/a#f',
  '*',
  'x:443',
  '/',
  '//x/a',
  '/site/%2e%2e/a',
];

export const targets = target({
  name: 'request-targets',
  law: 'a target is a path that was decoded once, or refused in a sentence; what can be a key cannot leave its bucket',
  make: (random) => ({
    url: mutateText(random, random.pick(TARGETS), ['%', '%2f', '%00', '..', '/', '?', '#', '@', ':', 'http://', '\\', '%ff', '%c3%a9']),
    host: mutateText(random, 'x:80', [':', '@', '/', '[', ']', '::1', ' ', ',', '%']),
  }),
  check({ url, host }) {
    const read = parseTarget(url);
    authorityOf(url, host);
    hostProblem(['Host', host]);
    hostProblem([':authority', host, 'host', 'x']);
    if (read.kind === 'invalid') return;
    if (keyProblem(read.path) === undefined) {
      law(!read.path.split('/').some((part) => part === '.' || part === '..') && !read.path.startsWith('/'), () => `the key ${read.path}`);
    }
  },
});

const SITE_KEY = { id: 'k1', secret: Buffer.alloc(32, 7) };
const NOW = 1_800_000_000;
const LINK = signedQuery('www', { kind: 'path', path: '/video/a.mp4' }, NOW + 600, SITE_KEY);
const DIRECTORY_LINK = signedQuery('www', { kind: 'prefix', prefix: '/video/' }, NOW + 600, SITE_KEY);

export const signedUrls = target({
  name: 'signed-urls',
  law: 'a link opens nothing but what it was made for, and is never shown with its signature',
  make: (random) => {
    const query = random.pick([LINK, DIRECTORY_LINK]);
    const words = [
      '&',
      '=',
      'sluice-prefix=',
      'sluice-expires=',
      'sluice-signature=',
      '%2F',
      '%',
      '/',
      '+',
      '..',
      '9',
      'sluice%2dsignature=',
    ];
    return {
      path: random.oneIn(2) ? '/video/a.mp4' : mutateText(random, '/video/a.mp4', ['/', '..', '%', 'video/']),
      query: mutateText(random, query, words),
    };
  },
  check({ path, query }) {
    const shown = redactSignature(`/x?${query}`);
    for (const value of new URLSearchParams(query).getAll('sluice-signature')) {
      if (value.length >= 20) law(!new URLSearchParams(shown.slice(3)).getAll('sluice-signature').includes(value), () => `shown: ${shown}`);
    }
    if (checkSignedUrl('www', path, query, [SITE_KEY], NOW) !== 'granted') return;
    const parameters = new URLSearchParams(query);
    const isPrefix = parameters.has('sluice-prefix');
    const made = new URLSearchParams(isPrefix ? DIRECTORY_LINK : LINK);
    for (const [name, value] of made) {
      law(sameParameter(name, parameters.get(name) ?? '', value), () => `${name} is another one and opens it`);
    }
    law(isPrefix ? path.startsWith('/video/') : path === '/video/a.mp4', () => `it opens ${path}`);
  },
});

/** The last character of a signature has two bits that say nothing, and a number may have zeros before it. */
function sameParameter(name: string, given: string, made: string): boolean {
  if (name === 'sluice-signature') return given.slice(0, -1) === made.slice(0, -1);
  return name === 'sluice-expires' ? Number(given) === Number(made) : given === made;
}
