import { type Server as HttpServer, type IncomingMessage, ServerResponse } from 'node:http';
import { Server, type Socket } from 'node:net';
import { hostname } from 'node:os';

/** While draining, how often connections that have become idle are closed. */
const IDLE_SWEEP_MS = 50;

/** The URL of a server that listens on `host`: its address, or the machine's name when it listens on all addresses. */
export function httpUrl(host: string, port: number): string {
  if (host === '0.0.0.0' || host === '::') return `http://${hostname()}:${port}`;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** The connections of a server that are open, from now on; those of TLS and what each of them is carried by. */
export function openSockets(server: Server): ReadonlySet<Socket> {
  const sockets = new Set<Socket>();
  const add = (socket: Socket): void => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  };
  server.on('connection', add);
  server.on('secureConnection', add);
  return sockets;
}

/**
 * Takes no more connections, lets running responses end, and closes what is left after `drainMs`. Keep that below the lifecycle's deadline. `server`: of `node:http`, or
 * of `node:http2` with HTTP/1.1 beside it, whose sessions the caller tells to go away. `sockets`: see {@link openSockets}. To Node a connection is idle when its response has been
 * written, also while the system has not taken all of it; so none is closed while one of them waits for that.
 */
export async function drainHttpServer(
  server: Server & Pick<HttpServer, 'closeIdleConnections'>,
  drainMs: number,
  sockets: ReadonlySet<Socket>,
): Promise<void> {
  // A connection whose last response ends from now on would stay open for the next request: close it then.
  server.prependListener('request', (_request: unknown, response: unknown) => {
    if (response instanceof ServerResponse) response.shouldKeepAlive = false;
  });
  const closeIdle = (): void => {
    for (const { writableLength } of sockets) if (writableLength > 0) return;
    server.closeIdleConnections();
  };
  const sweep = setInterval(closeIdle, IDLE_SWEEP_MS);
  const deadline = setTimeout(() => {
    for (const socket of sockets) socket.destroy();
  }, drainMs);
  // Those of `node:http` and `node:http2` would close idle connections themselves.
  const closed = new Promise<void>((resolve) => Server.prototype.close.call(server, () => resolve()));
  closeIdle();
  await closed;
  clearInterval(sweep);
  clearTimeout(deadline);
  // Nothing is open any more; it ends its own timer.
  server.close();
}

/**
 * Calls `answer` when a response is the next on its connection: at once, or when those before it have been sent; never, when the connection ends before. Of a response that waits,
 * Node sends the head before whatever else was written for it, so a `100 Continue` that came too early would stand between head and body, and be taken for content.
 */
export function inItsTurn(response: Pick<ServerResponse, 'socket' | 'once'>, answer: () => void): void {
  if (response.socket === null) response.once('socket', answer);
  else answer();
}

/** Asks for the content that requests hold back (RFC 9110 §10.1.1) as Node does where nobody listens, but {@link inItsTurn}. */
export function continueInTurn(server: Pick<HttpServer, 'emit'> & Server): void {
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) =>
    inItsTurn(response, () => {
      response.writeContinue();
      server.emit('request', request, response);
    }),
  );
}
