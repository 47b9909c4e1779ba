import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { answerOperations, drainHttpServer, type Logger, type Readiness, type Registry } from '@sluice/runtime';
import { type AccessLog, noteBody } from './access-log.ts';
import { expectProxyHeaders, type ProxyProtocolOptions } from './proxy-protocol.ts';
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
  /** Connections beyond this are closed at once. */
  readonly connectionsMax: number;
}

const LIMITS: ConnectionLimits = {
  headersMs: 10_000,
  requestMs: 30_000,
  checkMs: 1_000,
  keepAliveMs: 65_000,
  idleMs: 60_000,
  connectionsMax: 10_000,
};
/** Time for running downloads after the end was announced; below the lifecycle's own deadline. */
const DRAIN_MS = 8_000;

export interface HttpServer {
  readonly port: number;
  /** Stops accepting, lets running responses finish. */
  stop(): Promise<void>;
}

export interface HttpServerOptions {
  readonly host: string;
  readonly port: number;
  readonly handler: Pick<VisitorHandler, 'handle'>;
  readonly readiness: Readiness;
  readonly registry: Registry;
  readonly log: Logger;
  readonly accessLog?: AccessLog | undefined;
  /** When connections begin with a PROXY header. */
  readonly proxyProtocol?: ProxyProtocolOptions | undefined;
  /** For tests. */
  readonly limits?: Partial<ConnectionLimits>;
}

/** Serves visitors and the operations paths on one port. @throws when the address cannot be bound */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const limits = { ...LIMITS, ...options.limits };
  const { accessLog, proxyProtocol } = options;
  const server = createServer(
    {
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      connectionsCheckingInterval: limits.checkMs,
      keepAliveTimeout: limits.keepAliveMs,
      ...(accessLog === undefined ? {} : { ServerResponse: accessLog.ServerResponse }),
    },
    (request, response) => void answer(options, request, response),
  );
  // This is no proxy to elsewhere (RFC 9110 §9.3.6). Without an answer Node would cut the connection without a word.
  server.on('connect', (_request, socket: Duplex) =>
    socket.end('HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD, OPTIONS\r\nConnection: close\r\n\r\n'),
  );
  server.maxConnections = limits.connectionsMax;
  server.timeout = limits.idleMs;
  accessLog?.watch(server);
  const proxied = proxyProtocol === undefined ? undefined : expectProxyHeaders(server, proxyProtocol);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    stop() {
      const drained = drainHttpServer(server, DRAIN_MS);
      proxied?.stop();
      return drained;
    },
  };
}

async function answer(
  { handler, readiness, registry, log }: HttpServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // An upgrade is not taken (RFC 9110 §7.8), and after one Node reads no further request from the connection.
  if (request.headers.upgrade !== undefined) response.shouldKeepAlive = false;
  try {
    const operations = answerOperations(request.url ?? '', readiness, registry);
    // Nothing is awaited before: a hit in memory is answered in the turn in which it came.
    if (operations === undefined) return await handler.handle(request, response);
    const { status, contentType, body } = await operations;
    response.writeHead(status, ['Content-Type', contentType, 'Cache-Control', 'no-store']);
    response.end(body);
    noteBody(response, Buffer.byteLength(body), true);
  } catch (err) {
    if (response.destroyed) return; // the visitor has gone
    log.error({ err }, 'request failed');
    if (response.headersSent) response.destroy();
    else
      response
        .writeHead(500, ['Content-Type', 'text/plain; charset=utf-8', 'Cache-Control', 'no-store'])
        .end('500 the edge failed to answer\n');
  }
}
