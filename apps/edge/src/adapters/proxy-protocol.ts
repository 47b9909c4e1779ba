/** The PROXY protocol before HTTP and before TLS: reads the header of each new connection, then hands the connection on as if it had begun behind it. */
import type { Server, Socket } from 'node:net';
import { readProxyHeader } from '../domain/proxy-header.ts';
import type { ProxyRefusal } from '../metrics.ts';
import type { Peers } from './peers.ts';

/** For the whole header, however it comes. The specification asks for 3 s at least, for one packet that is lost (its §2). */
const HEADER_MS = 5_000;

export interface ProxyProtocolOptions {
  readonly peers: Peers;
  readonly onRefused: (reason: ProxyRefusal) => void;
  /** For tests. */
  readonly headerMs?: number;
}

export interface ProxyProtocol {
  /** Closes the connections that have sent no whole header yet. */
  stop(): void;
}

/**
 * Lets every connection to `server` begin with a PROXY header. The server's own listeners for connections get it afterwards, so that all of its limits and time-outs hold
 * as before; it counts the ones that wait for their header as its own. Call it before the server listens, and after it has its own listeners.
 */
export function expectProxyHeaders(server: Server, { peers, onRefused, headerMs = HEADER_MS }: ProxyProtocolOptions): ProxyProtocol {
  const listeners = server.listeners('connection');
  server.removeAllListeners('connection');
  const waiting = new Set<Socket>();

  server.on('connection', (socket: Socket) => {
    const refuse = (reason: ProxyRefusal): void => {
      onRefused(reason);
      socket.destroy();
    };
    if (!peers.of(socket).trusted) {
      refuse('untrusted');
      return;
    }
    let received: Buffer = Buffer.alloc(0);
    const read = (): void => {
      for (;;) {
        const piece: Buffer | null = socket.read();
        if (piece === null) return;
        received = received.byteLength === 0 ? piece : Buffer.concat([received, piece]);
        const header = readProxyHeader(received);
        if (header === 'incomplete') continue;
        leave();
        if (header === 'invalid') {
          refuse('malformed');
          return;
        }
        peers.introduce(socket, header.source);
        if (received.byteLength > header.bytes) socket.unshift(received.subarray(header.bytes));
        for (const listener of listeners) listener.call(server, socket);
        return;
      }
    };
    const leave = (): void => {
      clearTimeout(deadline);
      waiting.delete(socket);
      socket.off('readable', read).off('end', close).off('error', close).off('close', leave);
    };
    // A header that is cut off is none; a check that connects and leaves, as proxies make them, is no fault.
    const close = (): void => {
      if (received.byteLength > 0) onRefused('malformed');
      socket.destroy();
    };
    const deadline = setTimeout(refuse, headerMs, 'timeout');
    waiting.add(socket);
    socket.on('readable', read).on('end', close).on('error', close).on('close', leave);
  });

  return {
    stop() {
      for (const socket of waiting) socket.destroy();
    },
  };
}
