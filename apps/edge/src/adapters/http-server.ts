import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answerOperations, type Logger, type Readiness, type Registry } from '@sluice/runtime';
import type { VisitorHandler } from './visitor-handler.ts';

/** RFC 9110 sets no limits; these keep slow or idle clients from holding connections. */
const HEADERS_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_TIMEOUT_MS = 65_000;
const REQUEST_TIMEOUT_MS = 30_000;
/** A connection on which nothing moves for so long, for example of a visitor that does not read, is closed. */
const IDLE_TIMEOUT_MS = 60_000;
/** Time for running downloads after the end was announced; below the lifecycle's own deadline. */
const DRAIN_MS = 8_000;
/** Connections beyond this are closed at once. */
const CONNECTIONS_MAX = 10_000;
/** While stopping, how often connections that have become idle are closed. */
const IDLE_SWEEP_MS = 50;

export interface HttpServer {
  readonly port: number;
  /** Stops accepting, lets running responses finish. */
  stop(): Promise<void>;
}

export interface HttpServerOptions {
  readonly host: string;
  readonly port: number;
  readonly handler: VisitorHandler;
  readonly readiness: Readiness;
  readonly registry: Registry;
  readonly log: Logger;
}

/** Serves visitors and the operations paths on one port. @throws when the address cannot be bound */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const server = createServer(
    { headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS, keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS },
    (request, response) => void answer(options, request, response),
  );
  server.maxConnections = CONNECTIONS_MAX;
  server.timeout = IDLE_TIMEOUT_MS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.host, resolve);
  });
  return { port: (server.address() as AddressInfo).port, stop: () => stop(server) };
}

async function answer(
  { handler, readiness, registry, log }: HttpServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const operations = await answerOperations(request.url ?? '', readiness, registry);
    if (operations === undefined) return await handler.handle(request, response);
    response.writeHead(operations.status, ['Content-Type', operations.contentType, 'Cache-Control', 'no-store']);
    response.end(operations.body);
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

async function stop(server: Server): Promise<void> {
  // A connection whose last response ends from now on would stay open for the next request: close it then.
  server.prependListener('request', (_request, response) => {
    response.shouldKeepAlive = false;
  });
  const sweep = setInterval(() => server.closeIdleConnections(), IDLE_SWEEP_MS);
  const deadline = setTimeout(() => server.closeAllConnections(), DRAIN_MS);
  await new Promise<void>((resolve) => server.close(() => resolve()));
  clearInterval(sweep);
  clearTimeout(deadline);
}
