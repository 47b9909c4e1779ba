import type { Server } from 'node:http';
import { Server as NetServer, type Socket } from 'node:net';
import { hostname } from 'node:os';

/** While draining, how often connections that have become idle are closed. */
const IDLE_SWEEP_MS = 50;

/** The URL of a server that listens on `host`: its address, or the machine's name when it listens on all addresses. */
export function httpUrl(host: string, port: number): string {
  if (host === '0.0.0.0' || host === '::') return `http://${hostname()}:${port}`;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/**
 * Takes no more connections, lets running responses end, and closes what is left after `drainMs`. Keep that below the lifecycle's deadline. `sockets`: the connections
 * that are open. To Node a connection is idle when its response has been written, also while the system has not taken all of it; so none is closed while one of them waits for that.
 */
export async function drainHttpServer(server: Server, drainMs: number, sockets: ReadonlySet<Socket> = new Set()): Promise<void> {
  // A connection whose last response ends from now on would stay open for the next request: close it then.
  server.prependListener('request', (_request, response) => {
    response.shouldKeepAlive = false;
  });
  const closeIdle = (): void => {
    for (const { writableLength } of sockets) if (writableLength > 0) return;
    server.closeIdleConnections();
  };
  const sweep = setInterval(closeIdle, IDLE_SWEEP_MS);
  const deadline = setTimeout(() => {
    server.closeAllConnections();
    for (const socket of sockets) socket.destroy();
  }, drainMs);
  // That of `node:http` would close idle connections itself.
  const closed = new Promise<void>((resolve) => NetServer.prototype.close.call(server, () => resolve()));
  closeIdle();
  await closed;
  clearInterval(sweep);
  clearTimeout(deadline);
  // Nothing is open any more; it ends its own timer.
  server.close();
}
