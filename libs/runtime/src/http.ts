import type { Server } from 'node:http';
import { hostname } from 'node:os';

/** While draining, how often connections that have become idle are closed. */
const IDLE_SWEEP_MS = 50;

/** The URL of a server that listens on `host`: its address, or the machine's name when it listens on all addresses. */
export function httpUrl(host: string, port: number): string {
  if (host === '0.0.0.0' || host === '::') return `http://${hostname()}:${port}`;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Takes no more connections, lets running responses end, and closes what is left after `drainMs`. Keep that below the lifecycle's deadline. */
export async function drainHttpServer(server: Server, drainMs: number): Promise<void> {
  // A connection whose last response ends from now on would stay open for the next request: close it then.
  server.prependListener('request', (_request, response) => {
    response.shouldKeepAlive = false;
  });
  const sweep = setInterval(() => server.closeIdleConnections(), IDLE_SWEEP_MS);
  const deadline = setTimeout(() => server.closeAllConnections(), drainMs);
  await new Promise<void>((resolve) => server.close(() => resolve()));
  clearInterval(sweep);
  clearTimeout(deadline);
}
