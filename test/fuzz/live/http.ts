/** The HTTP sides of the apps, by raw bytes on their sockets. */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { readPlainRequest } from '../../../apps/edge/src/domain/plain-request.ts';
import type { Outcome } from '../attempt.ts';
import { mutateBytes, mutateJson, mutateText } from '../mutate.ts';
import type { Random } from '../random.ts';
import { hostileRequest, REQUEST_WORDS, REQUESTS } from '../targets/edge.ts';
import type { RunOptions } from '../thread.ts';
import { type Sending, sendBatches } from './batches.ts';
import { EDGE_ID, type LiveScene, SECRET_MARK } from './scene.ts';

/** From the end of what is sent to the end of what comes: nobody has anything to wait for. */
const END_MS = 20_000;
/** The same over HTTP/2, where a stream that was begun may be idle for a minute. */
const STREAM_END_MS = 90_000;
/** Whoever waits for an answer before it ends its side does so no longer than this. */
const PATIENCE_MS = 100;
const RECEIVED_MAX_BYTES = 4 * 1024 * 1024;

export interface Exchanged {
  /** A character is a byte. */
  readonly received: string;
  /** Whether the connection ended in time. */
  readonly ended: boolean;
}

export interface ExchangeOptions {
  /** This side ends with what comes first, not with what it has sent. */
  readonly patient?: boolean;
  readonly endMs?: number;
}

/** Sends pieces one after the other, ends this side, and reads until the other does. */
export function exchange(socket: Socket, pieces: readonly Uint8Array[], options: ExchangeOptions = {}): Promise<Exchanged> {
  const { patient = false, endMs = END_MS } = options;
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const finish = (ended: boolean): void => {
      clearTimeout(timer);
      clearTimeout(patience);
      socket.destroy();
      resolve({ received: Buffer.concat(chunks).toString('latin1'), ended });
    };
    const timer = setTimeout(finish, endMs, false);
    const patience = setTimeout(() => socket.end(), patient ? PATIENCE_MS : 0);
    socket.on('data', (chunk: Buffer) => {
      size += chunk.byteLength;
      if (size <= RECEIVED_MAX_BYTES) chunks.push(chunk);
      socket.end();
    });
    // A reset is an end like any other.
    socket.on('error', () => {});
    socket.on('close', () => finish(true));
    for (const piece of pieces) socket.write(piece);
    if (!patient) socket.end();
  });
}

const HEAD = /^HTTP\/1\.1 ([1-5]\d\d) [\t\x20-\x7e\x80-\xff]*\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*\r\n)*)\r\n/;

/** What is wrong with bytes that should be whole responses, one behind the other; undefined: nothing. */
export function problemInResponses(received: string): string | undefined {
  let rest = received;
  while (rest !== '') {
    const head = HEAD.exec(rest);
    if (head === null) return `no response: ${JSON.stringify(rest.slice(0, 200))}`;
    const [whole, status = '', fields = ''] = head;
    rest = rest.slice(whole.length);
    const lengths = [...fields.matchAll(/^content-length: *(\d+)\r$/gim)].map(([, length]) => Number(length));
    const isChunked = /^transfer-encoding: *chunked\r$/im.test(fields);
    if (lengths.length > 1 || (lengths.length === 1 && isChunked)) return `two lengths: ${JSON.stringify(whole)}`;
    if (/^(?:1\d\d|204|304)$/.test(status) || rest === '' || rest.startsWith('HTTP/1.1 ')) continue; // without a body, or to HEAD
    if (isChunked) {
      const body = /^(?:[0-9a-f]+\r\n[\s\S]*?\r\n)*?0\r\n\r\n/i.exec(rest);
      if (body === null) return `a body that does not end: ${JSON.stringify(rest.slice(0, 200))}`;
      rest = rest.slice(body[0].length);
    } else if (lengths[0] !== undefined) {
      if (rest.length < lengths[0]) return `a body of ${rest.length} bytes instead of ${lengths[0]}`;
      rest = rest.slice(lengths[0]);
    } else return undefined; // it ends with the connection
  }
  return undefined;
}

function openTo(port: number): Socket {
  return connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true });
}

/** All at once, or cut in two. */
function pieces(random: Random, bytes: Uint8Array): Uint8Array[] {
  if (!random.oneIn(4)) return [bytes];
  const at = random.below(bytes.byteLength + 1);
  return [bytes.subarray(0, at), bytes.subarray(at)];
}

function problemOf(scene: LiveScene, { received, ended }: Exchanged): string | undefined {
  if (!ended) return `the connection does not end within ${END_MS} ms; so far: ${JSON.stringify(received.slice(0, 300))}`;
  const leak = scene.leakIn(received);
  return leak === undefined ? problemInResponses(received) : `an answer tells of the inside: ${leak}`;
}

async function sendBytes(scene: LiveScene, port: number, random: Random, bytes: Uint8Array): ReturnType<Sending['send']> {
  const problem = problemOf(scene, await exchange(openTo(port), pieces(random, bytes), { patient: random.oneIn(3) }));
  return problem === undefined ? undefined : { input: JSON.stringify({ hex: Buffer.from(bytes).toString('hex') }), problem };
}

export function fuzzEdgeHttp(options: RunOptions): Promise<Outcome> {
  const send: Sending['send'] = (scene, random) =>
    sendBytes(scene, scene.stack.edge(EDGE_ID).port, random, Buffer.from(hostileRequest(random), 'latin1'));
  return sendBatches({ name: 'edge-http', concurrency: 16, send }, options);
}

const SIGNATURE = `${SECRET_MARK}${'0a'.repeat(28)}`;
const body = (text: string): string => `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
const ORIGIN_REQUESTS = [
  ...REQUESTS,
  'GET /site?list-type=2&prefix=a&delimiter=%2F&max-keys=2 HTTP/1.1\r\nHost: x\r\n\r\n',
  'GET /?x-id=ListBuckets HTTP/1.1\r\nHost: x\r\nAuthorization: AWS4-HMAC-SHA256 Credential=A/20260110/r/s3/aws4_request, SignedHeaders=host, Signature=' +
    `${SIGNATURE}\r\n\r\n`,
  `GET /site/a?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=${SIGNATURE} HTTP/1.1\r\nHost: x\r\n\r\n`,
  `PUT /site/new HTTP/1.1\r\nHost: x\r\nx-amz-meta-regions: US\r\nx-amz-tagging: a=b\r\n${body('hello')}`,
  'PUT /site/new HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;e=1\r\nabc\r\n0\r\n\r\n',
  `PUT /site/new HTTP/1.1\r\nHost: x\r\nx-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\nx-amz-trailer: x-amz-checksum-crc32\r\nx-amz-decoded-content-length: 5\r\n${body('5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n')}`,
  `PUT /site/copy HTTP/1.1\r\nHost: x\r\nx-amz-copy-source: /site/a\r\nContent-Length: 0\r\n\r\n`,
  `POST /site?delete HTTP/1.1\r\nHost: x\r\n${body('<Delete><Object><Key>none</Key></Object></Delete>')}`,
  `POST /site/up?uploads HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`,
  `POST /site/up?uploadId=none HTTP/1.1\r\nHost: x\r\n${body('<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"a"</ETag></Part></CompleteMultipartUpload>')}`,
  `PUT /site/new?tagging HTTP/1.1\r\nHost: x\r\n${body('<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>')}`,
  `GET /-/blobs/${'a'.repeat(64)} HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\n\r\n`,
  'DELETE /site/none HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc',
];
const JSON_REQUESTS = [
  ['/-/invalidations', { key: 'site/none' }],
  ['/-/invalidations', { prefix: 'none/', mode: 'purge' }],
  ['/-/rollbacks', { key: 'site/none' }],
  ['/-/rollbacks', { prefix: 'none/', to: 1_790_000_000_000_000 }],
] as const;
const ORIGIN_WORDS = [
  ...REQUEST_WORDS,
  ...[
    '?versionId=',
    '?uploadId=',
    '?partNumber=1',
    'x-amz-copy-source: /site/%61\r\n',
    'x-amz-content-sha256: UNSIGNED-PAYLOAD\r\n',
    'Content-MD5: AAAA\r\n',
  ],
  ...[
    'x-amz-meta-tags: ,\r\n',
    'If-Match: *\r\n',
    'If-None-Match: *\r\n',
    'x-amz-trailer: x\r\n',
    'x-amz-date: 1\r\n',
    '<a>',
    '</a>',
    '&x;',
    '<!DOCTYPE a>',
  ],
];

function originRequest(random: Random): Uint8Array {
  if (random.oneIn(4)) {
    const [path, value] = random.pick(JSON_REQUESTS);
    const json = mutateJson(random, value);
    return Buffer.from(`POST ${path} HTTP/1.1\r\nHost: x\r\n${body(json)}`);
  }
  const text = mutateText(random, random.pick(ORIGIN_REQUESTS), ORIGIN_WORDS);

  return Buffer.from(text.replace(/[\u0100-\uffff]/g, '?'), 'latin1');
}

export function fuzzOriginHttp(options: RunOptions): Promise<Outcome> {
  const send: Sending['send'] = (scene, random) => sendBytes(scene, scene.stack.origin.port, random, originRequest(random));
  return sendBatches({ name: 'origin-http', concurrency: 16, send }, options);
}

const CONTROLLER_REQUESTS = ['/edges', '/distributions?limit=3', '/distributions/announce-1', '/metrics', '/readyz'].map(
  (path) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
);

export function fuzzControllerHttp(options: RunOptions): Promise<Outcome> {
  const send: Sending['send'] = (scene, random) => {
    const text = mutateText(random, random.pick([...CONTROLLER_REQUESTS, ...REQUESTS]), [
      ...REQUEST_WORDS,
      'limit=',
      '/distributions/',
      '%2e',
    ]);
    return sendBytes(scene, scene.stack.controller.port, random, Buffer.from(text.replace(/[\u0100-\uffff]/g, '?'), 'latin1'));
  };
  return sendBatches({ name: 'controller-http', concurrency: 16, send }, options);
}

/** What differs from one answer to the next: the moment, the way the connection goes on, and the random delimiter of parts. */
function comparable(received: string): string {
  const boundary = /boundary=([\w-]+)/.exec(received)?.[1];
  const text = received.replace(/^(?:Date|Age|Connection|Keep-Alive): .*\r\n/gim, '');
  return boundary === undefined ? text : text.replaceAll(boundary, 'BOUNDARY');
}

/** The origin was asked, for the one and not for the other: they have come one after the other. */
function isForwarded({ received }: Exchanged): boolean {
  return /^Cache-Status: .*\bfwd=/im.test(received);
}

const PLAIN = REQUESTS.slice(0, 4).map((text) => text.slice(0, text.indexOf('\r\n\r\n') + 4));

/** A request that the fast lane takes gets the same answer there as from node:http, which gets it with a field twice that nobody reads. */
export function fuzzLanes(options: RunOptions): Promise<Outcome> {
  const send: Sending['send'] = async (scene, random) => {
    let text = '';
    // Most changes make a request that is not for the fast lane.
    do text = mutateText(random, random.pick(PLAIN), REQUEST_WORDS).replace(/[\u0100-\uffff]/g, '?');
    while (readPlainRequest(text, 0)?.end !== text.length);
    const port = scene.stack.edge(EDGE_ID).port;
    const ask = async (request: string): Promise<Exchanged> => exchange(openTo(port), [Buffer.from(request, 'latin1')], { patient: true });
    const fast = await ask(text);
    const slow = await ask(`${text.slice(0, -2)}X-Twice: 1\r\nX-Twice: 2\r\n\r\n`);
    const problem = problemOf(scene, fast) ?? problemOf(scene, slow);
    if (problem !== undefined) return { input: JSON.stringify({ text }), problem };
    if (comparable(fast.received) === comparable(slow.received) || isForwarded(fast) || isForwarded(slow)) return undefined;
    return {
      input: JSON.stringify({ text }),
      problem: `the lanes differ: ${JSON.stringify(fast.received)} and ${JSON.stringify(slow.received)}`,
    };
  };
  return sendBatches({ name: 'edge-lanes', concurrency: 16, send }, options);
}

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
/** A frame of HTTP/2, RFC 9113 §4.1. */
const frame = (type: number, flags: number, stream: number, payload: Uint8Array): Uint8Array => {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.byteLength, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
};
const SETTINGS = frame(4, 0, 0, Buffer.alloc(0));
/** GET https localhost /site/a, by RFC 7541 with the static table and one literal. */
const FIELDS = Buffer.concat([
  Buffer.from([0x82, 0x87, 0x04, 7]),
  Buffer.from('/site/a'),
  Buffer.from([0x01, 9]),
  Buffer.from('localhost'),
]);
const FRAMES = [
  SETTINGS,
  frame(1, 5, 1, FIELDS),
  frame(1, 4, 3, FIELDS),
  frame(0, 1, 3, Buffer.from('body')),
  frame(6, 0, 0, Buffer.alloc(8)),
  frame(8, 0, 0, Buffer.from([0, 0, 0xff, 0xff])),
  frame(3, 0, 1, Buffer.from([0, 0, 0, 8])),
  frame(2, 0, 1, Buffer.from([0, 0, 0, 0, 16])),
  frame(9, 4, 1, FIELDS),
  frame(4, 0, 0, Buffer.from([0, 4, 0xff, 0xff, 0xff, 0xff])),
];

export function fuzzEdgeHttp2(options: RunOptions): Promise<Outcome> {
  const send: Sending['send'] = async (scene, random) => {
    const frames = Buffer.concat(Array.from({ length: random.between(1, 5) }, () => random.pick(FRAMES)));
    const valid = Buffer.concat([PREFACE, SETTINGS, frames]);
    const bytes = random.oneIn(4)
      ? mutateBytes(random, valid, FRAMES)
      : Buffer.concat([PREFACE, SETTINGS, mutateBytes(random, frames, FRAMES)]);
    const socket = connectTls({
      port: scene.tlsPort,
      host: '127.0.0.1',
      servername: 'localhost',
      ALPNProtocols: ['h2'],
      rejectUnauthorized: false,
    });
    const { received, ended } = await exchange(socket, [bytes], { endMs: STREAM_END_MS });
    const leak = scene.leakIn(received);
    const problem = leak === undefined ? (ended ? undefined : 'the connection does not end') : `an answer tells of the inside: ${leak}`;
    return problem === undefined ? undefined : { input: JSON.stringify({ hex: Buffer.from(bytes).toString('hex') }), problem };
  };
  return sendBatches({ name: 'edge-http2', concurrency: 8, send }, options);
}
