/**
 * Exit 0 when this container's app does its job (`/readyz`), else 1 with the reason on stdout, which `docker inspect` shows. The image is
 * the same for all apps: whichever answers on its port is the one that runs here.
 */
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';

const { ORIGIN_PORT, CONTROLLER_PORT, EDGE_PORT, EDGE_PROXY_PROTOCOL } = process.env;

/** A connection that says for whom it is made, as an edge demands it that expects the PROXY protocol: for nobody but itself. */
function connectAsProxy(port: number): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.write('PROXY UNKNOWN\r\n');
  return socket;
}

/** The answer of the app on `port`, undefined when nothing listens there. */
async function ask(port: string): Promise<{ ready: boolean; text: string } | undefined> {
  const proxied = EDGE_PROXY_PROTOCOL === 'on' ? { createConnection: () => connectAsProxy(Number(port)) } : {};
  try {
    const request = get({
      host: '127.0.0.1',
      port,
      path: '/readyz',
      headers: { connection: 'close' },
      signal: AbortSignal.timeout(2_500),
      ...proxied,
    });
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return { ready: response.statusCode === 200, text: await text(response) };
  } catch {
    return undefined;
  }
}

const answers = await Promise.all([ORIGIN_PORT || '9000', CONTROLLER_PORT || '9100', EDGE_PORT || '8080'].map(ask));
const answer = answers.find((found) => found !== undefined);
console.log(answer?.text.trim() ?? 'nothing answers');
process.exitCode = answer?.ready ? 0 : 1;
