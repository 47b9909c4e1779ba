import { createServer, type IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo, Server, Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { TLSSocket } from 'node:tls';
import {
  type AdminCredentials,
  continueInTurn,
  drainHttpServer,
  isOperationsPath,
  type Logger,
  type OperationsReply,
  openSockets,
} from '@sluice/runtime';
import { type Certificates, isMisdirected } from '../domain/certificates.ts';
import { fieldSectionBytes } from '../domain/http2-fields.ts';
import { authorityOf } from '../domain/request-target.ts';
import { type AccessLog, noteBody } from './access-log.ts';
import type { Listener, VisitorRequest, VisitorResponse } from './exchange.ts';
import { FastLane } from './fast-lane.ts';
import { VisitorHttp2Request, VisitorHttp2Response } from './http2-exchange.ts';
import { expectProxyHeaders, type ProxyProtocolOptions } from './proxy-protocol.ts';
import { createTlsServer, FIELDS_MAX_BYTES, limitIdleStream } from './secure-server.ts';
import type { VisitorHandler } from './visitor-handler.ts';

/** RFC 9110 sets no limits; these keep slow or idle clients from holding connections. */
export interface ConnectionLimits {
  /** For the header of a request, and for the whole of it. */
  readonly headersMs: number;
  readonly requestMs: number;
  /** How often the two are looked at. By Node's own 30 s, a header would have up to 40. */
  readonly checkMs: number;
  /** Between two requests. */
  readonly keepAliveMs: number;
  /** A connection on which nothing moves for so long, for example of a visitor that does not read, is closed. */
  readonly idleMs: number;
  /** Connections beyond this, on both ports together, are closed at once. */
  readonly connectionsMax: number;
  /** For running downloads after the end was announced; below the lifecycle's own deadline. */
  readonly drainMs: number;
}

/** For all threads of an edge together. */
export const CONNECTIONS_MAX = 10_000;

const LIMITS: ConnectionLimits = {
  headersMs: 10_000,
  requestMs: 30_000,
  checkMs: 1_000,
  keepAliveMs: 65_000,
  idleMs: 60_000,
  connectionsMax: CONNECTIONS_MAX,
  drainMs: 8_000,
};

export interface HttpServer {
  readonly port: number;
  /** Undefined without TLS. */
  readonly tlsPort: number | undefined;
  /** From now on, for new connections. */
  use(certificates: Certificates): void;
  /** Stops accepting, lets running responses finish. */
  stop(): Promise<void>;
}

export interface HttpServerOptions {
  readonly host: string;
  readonly port: number;
  /** Absent: no TLS. */
  readonly tls?: { readonly port: number; readonly certificates: Certificates } | undefined;
  readonly handler: Pick<VisitorHandler, 'handle'> & Partial<Pick<VisitorHandler, 'readyAnswer'>>;
  /** Other servers of this process listen on the same port. */
  readonly reusePort?: boolean;
  /** What a path of the operator's answers; undefined: what it would if it were like any other. */
  readonly operations: (path: string, credentials: AdminCredentials) => Promise<OperationsReply> | undefined;
  readonly log: Logger;
  readonly accessLog?: AccessLog | undefined;
  /** When connections begin with a PROXY header. */
  readonly proxyProtocol?: ProxyProtocolOptions | undefined;
  readonly limits?: Partial<ConnectionLimits>;
}

/** Serves visitors and the operations paths, on a plain port and one for TLS. @throws when an address cannot be bound */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const limits = { ...LIMITS, ...options.limits };
  const { accessLog, proxyProtocol } = options;
  const plain = createServer({
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    connectionsCheckingInterval: limits.checkMs,
    keepAliveTimeout: limits.keepAliveMs,
    ...(accessLog === undefined ? {} : { ServerResponse: accessLog.ServerResponse }),
  });
  plain.timeout = limits.idleMs;
  const lane = openFastLane(plain, options, limits, () => tlsPort);
  let certificates = options.tls?.certificates;
  const secure = certificates === undefined ? undefined : createTlsServer(certificates, limits, accessLog?.ServerResponse);
  const sockets = openSockets(plain);
  limitConnections(limits.connectionsMax, secure === undefined ? [plain] : [plain, secure.server]);

  accessLog?.watch(plain);
  if (secure !== undefined) accessLog?.watch(secure.server);
  const proxied =
    proxyProtocol === undefined
      ? []
      : [plain, ...(secure === undefined ? [] : [secure.server])].map((server) => expectProxyHeaders(server, proxyProtocol));
  // First, because a plain request may be sent there.
  const tlsPort = options.tls && secure && (await listen(secure.server, options.tls.port, options));
  const overTls: Listener = { isSecure: true, tlsPort };
  secure?.server.on('request', (request: IncomingMessage | VisitorHttp2Request, response: ServerResponse | VisitorHttp2Response) => {
    if (response instanceof VisitorHttp2Response) {
      limitIdleStream(response, limits.idleMs);
      accessLog?.begin(request, response);
    }
    if (refuseMisplaced(request, response, certificates as Certificates)) return;
    void answer(options, request, response, overTls);
  });
  secure?.server.on('connect', refuseTunnel);
  if (secure !== undefined) continueInTurn(secure.server);
  const port = await listen(plain, options.port, options).catch((error) => {
    secure?.server.close();
    throw error;
  });
  const overPlain: Listener = { isSecure: false, tlsPort };
  plain.on('request', (request, response) => void answer(options, request, response, overPlain));
  plain.on('connect', refuseTunnel);
  continueInTurn(plain);
  return {
    port,
    tlsPort,
    use(renewed) {
      if (secure === undefined) return;
      certificates = renewed;
      secure.use(renewed);
    },
    async stop() {
      lane?.stop();
      const drained = Promise.all([drainHttpServer(plain, limits.drainMs, sockets), secure?.drain(limits.drainMs)]);
      for (const waiting of proxied) waiting.stop();
      await drained;
    },
  };
}

/** Puts a fast lane before a server, unless each request has to be logged: its lines are made of what `node:http` knows. */
function openFastLane(
  server: Server,
  { handler, accessLog }: HttpServerOptions,
  limits: ConnectionLimits,
  tlsPort: () => number | undefined,
): FastLane | undefined {
  const { readyAnswer } = handler;
  const [own] = server.listeners('connection');
  if (readyAnswer === undefined || accessLog !== undefined || own === undefined) return undefined;
  const lane = new FastLane({
    answer: ({ method, url, fields }, socket) => {
      if (isOperationsPath(url)) return undefined;
      return readyAnswer.call(handler, { method, url, headers: fields, socket }, { isSecure: false, tlsPort: tlsPort() });
    },
    handOver: (socket) => own.call(server, socket),
    firstMs: limits.headersMs,
    keepAliveMs: limits.keepAliveMs,
  });
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => lane.take(socket));
  return lane;
}

async function listen(server: Server, port: number, { host, reusePort = false }: HttpServerOptions): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host, reusePort }, resolve);
  });
  return (server.address() as AddressInfo).port;
}

/** Bounds the connections of several servers together: each may have what the others leave. */
function limitConnections(max: number, servers: readonly Server[]): void {
  const open = servers.map(() => 0);
  const share = (): void => {
    const all = open.reduce((sum, count) => sum + count, 0);
    servers.forEach((server, at) => {
      server.maxConnections = max - all + (open[at] as number);
    });
  };
  share();
  servers.forEach((server, at) => {
    const count = (by: 1 | -1): void => {
      open[at] = (open[at] as number) + by;
      if (servers.length > 1) share();
    };
    server.on('connection', (socket) => {
      count(1);
      socket.once('close', () => count(-1));
    });
  });
}

/** This is no proxy to elsewhere (RFC 9110 §9.3.6). Without an answer Node would cut an HTTP/1.1 connection without a word. */
function refuseTunnel(_request: unknown, to: Duplex | VisitorResponse): void {
  if (to instanceof Duplex) to.end('HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD, OPTIONS\r\nConnection: close\r\n\r\n');
  else to.writeHead(405, ['Allow', 'GET, HEAD, OPTIONS']).end();
}

/** Answers what is not handled: more fields than HTTP/1.1 takes (RFC 9113 §10.5.1), and what this connection is not for: another scheme (RFC 9113 §8.3.1), or a host with another certificate. */
function refuseMisplaced(request: IncomingMessage | VisitorHttp2Request, response: VisitorResponse, certificates: Certificates): boolean {
  if (request instanceof VisitorHttp2Request && request.scheme !== 'https' && request.scheme !== 'http') {
    refuse(response, 400, 'the scheme must be https');
    return true;
  }
  if (request instanceof VisitorHttp2Request && fieldSectionBytes(request.rawHeaders) > FIELDS_MAX_BYTES) {
    refuse(response, 431, 'the fields of the request are too large');
    return true;
  }
  const socket = request instanceof VisitorHttp2Request ? request.stream.session?.socket : request.socket;
  const serverName = (socket as TLSSocket | undefined)?.servername || undefined;
  if (!isMisdirected(certificates, serverName, authorityOf(request.url ?? '', request.headers.host))) return false;
  refuse(response, 421, 'this connection was made for another host; make one for this');
  return true;
}

function refuse(response: VisitorResponse, status: number, message: string): void {
  const body = `${status} ${message}\n`;
  const about = ['Content-Type', 'text/plain; charset=utf-8', 'Content-Length', String(Buffer.byteLength(body))];
  response.writeHead(status, ['Cache-Control', 'no-store', ...about]);
  response.end(body);
}

function hasContent({ headers }: VisitorRequest): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
}

async function answer(
  { handler, operations: operationsOf, log }: HttpServerOptions,
  request: VisitorRequest,
  response: VisitorResponse,
  listener: Listener,
): Promise<void> {
  // An upgrade is not taken (RFC 9110 §7.8), and after one Node reads no further request from the connection. HTTP/2 has none.
  if (response instanceof ServerResponse && request.headers.upgrade !== undefined) response.shouldKeepAlive = false;
  try {
    // Nobody reads the content of a request here, but it has to end as it should: else what follows is no request.
    if (response instanceof ServerResponse && hasContent(request)) await finished(request.resume());
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    const { url = '', headers } = request;
    const operations =
      isRead && isOperationsPath(url) ? operationsOf(url, { authorization: headers.authorization, host: headers.host }) : undefined;
    // Nothing is awaited before: a hit in memory is answered in the turn in which it came.
    if (operations === undefined) return await handler.handle(request, response, listener);
    const { status, contentType, body, challenge } = await operations;
    const about = ['Content-Type', contentType, 'Cache-Control', 'no-store'];
    response.writeHead(status, challenge === undefined ? about : [...about, 'WWW-Authenticate', challenge]);
    response.end(body);
    noteBody(response, Buffer.byteLength(body), true);
  } catch (err) {
    if (response.destroyed) return; // the visitor has gone
    log.error({ err }, 'request failed');
    try {
      if (response.headersSent) response.destroy();
      else refuse(response, 500, 'the edge failed to answer');
    } catch {
      // Over HTTP/2 fields that cannot be sent stay with the response.
      response.destroy();
    }
  }
}
