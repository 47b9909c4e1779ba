/** TLS with HTTP/2, and HTTP/1.1 beside it (ALPN, RFC 7301). What each limit is for is said where the plain port has it, in `http-server.ts`. */
import { type Server as HttpServer, ServerResponse } from 'node:http';
import { constants, createSecureServer, type Http2SecureServer, type ServerHttp2Session } from 'node:http2';
import { Socket } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import { drainHttpServer, openSockets } from '@sluice/runtime';
import { type Certificate, type Certificates, certificateFor } from '../domain/certificates.ts';
import type { ConnectionLimits } from './http-server.ts';
import { activityOf, VisitorHttp2Request, VisitorHttp2Response } from './http2-exchange.ts';

/** Of the fields of a request, as Node's HTTP/1.1 takes them. Node tells the visitor and leaves it at that. */
export const FIELDS_MAX_BYTES = 16 * 1024;
/** RFC 9113 §6.5.2. Streams beyond are refused. */
const SETTINGS = { maxConcurrentStreams: 128, maxHeaderListSize: FIELDS_MAX_BYTES, enablePush: false };
/** MB that a session may take: its streams, the tables of header compression, what waits to be sent. Beyond it further streams are refused. */
const SESSION_MEMORY_MAX_MB = 10;
/**
 * Streams that a visitor may take back at once, and per second from then on (CVE-2023-44487). A page that is left while it loads takes back as many as may be open;
 * more than that is an attack, and ends the session.
 */
const RESETS = { streamResetBurst: 500, streamResetRate: 33 };
/** PING and SETTINGS frames between two looks at a session: each costs an answer. Node ends a session that reads none of a thousand answers; this one, one that reads them. */
const CONTROL_FRAMES_MAX = 200;

/** Node's own, with what its types leave out: the server is one of HTTP/1.1 too. */
type TlsServer = Http2SecureServer & { timeout: number } & Pick<HttpServer, 'closeIdleConnections'>;

export interface SecureServer {
  readonly server: TlsServer;
  /** From now on, for new connections. The ones there are go on. */
  use(certificates: Certificates): void;
  /** Takes no more connections, lets running responses end, and closes what is left after `drainMs`. */
  drain(drainMs: number): Promise<void>;
}

/** `onRequest` gets requests of both versions, those of HTTP/2 as {@link VisitorHttp2Request} and {@link VisitorHttp2Response}. */
export function createTlsServer(
  certificates: Certificates,
  limits: ConnectionLimits,
  Http1ServerResponse: typeof ServerResponse = ServerResponse,
): SecureServer {
  let current = certificates;
  const contexts = new WeakMap<Certificate, SecureContext>();
  const contextOf = (certificate: Certificate): SecureContext => {
    const context = contexts.get(certificate) ?? createSecureContext(pemOf(certificate));
    contexts.set(certificate, context);
    return context;
  };
  const server = createSecureServer({
    ...pemOf(current.fallback),
    ticketKeys: Buffer.from(current.ticketKeys),
    SNICallback(serverName, done) {
      const certificate = certificateFor(current, serverName);
      done(null, certificate && contextOf(certificate));
    },
    handshakeTimeout: limits.headersMs,
    allowHTTP1: true,
    ...httpOptions(limits),
    settings: SETTINGS,
    ...RESETS,
    maxSessionMemory: SESSION_MEMORY_MAX_MB,
    Http2ServerRequest: VisitorHttp2Request,
    Http2ServerResponse: VisitorHttp2Response,
    Http1ServerResponse,
  }) as Http2SecureServer as TlsServer;
  server.timeout = limits.idleMs;
  // Of HTTP/2 it is the streams that time out, and sessions without any.
  server.on('timeout', (idle: unknown) => {
    if (idle instanceof Socket) idle.destroy();
  });
  const sockets = openSockets(server);
  const handshakes = watchHandshakes(server);
  const sessions = watchSessions(server, limits);
  return {
    server,
    use(renewed) {
      current = renewed;
      // For clients that name no host.
      server.setSecureContext({ ...pemOf(renewed.fallback), ticketKeys: Buffer.from(renewed.ticketKeys) });
    },
    async drain(drainMs) {
      const drained = drainHttpServer(server, drainMs, sockets);
      handshakes.cut();
      sessions.sendAway();
      await drained;
      sessions.stop();
    },
  };
}

function pemOf(certificate: Certificate | undefined): { cert?: string; key?: string } {
  return certificate === undefined ? {} : { cert: certificate.chain, key: certificate.key };
}

/** Node takes these for the HTTP/1.1 side, though its types do not know. */
function httpOptions(limits: ConnectionLimits): object {
  return {
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    connectionsCheckingInterval: limits.checkMs,
    keepAliveTimeout: limits.keepAliveMs,
  };
}

/** Knows the connections whose handshake is not over. To the server they are neither idle nor sessions, so nothing else would end them before their time is over. */
function watchHandshakes(server: Http2SecureServer): { cut(): void } {
  const open = new Map<string, Socket>();
  server.on('connection', (socket: Socket) => {
    const name = peerOf(socket);
    open.set(name, socket);
    socket.once('close', () => {
      if (open.get(name) === socket) open.delete(name);
    });
  });
  // Another object, of the same connection.
  server.on('secureConnection', (socket: Socket) => open.delete(peerOf(socket)));
  return {
    /** No request has come on them, so that they end as those of the plain port do. */
    cut() {
      for (const socket of open.values()) socket.destroy();
    },
  };
}

/** Of a port that listens, each peer has one connection at a time. */
function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

interface SessionWatch {
  /** Tells each session to go away (RFC 9113 §6.8); it ends with its last stream. */
  sendAway(): void;
  stop(): void;
}
interface Watched {
  readonly startedAtMs: number;
  controlFrames: number;
}

/** Ends sessions in which no request is under way for too long (Node's own time-out counts a PING as life), and ones that keep the edge busy with nothing. */
function watchSessions(server: Http2SecureServer, limits: ConnectionLimits): SessionWatch {
  const sessions = new Map<ServerHttp2Session, Watched>();
  server.on('session', (session: ServerHttp2Session) => {
    const watched: Watched = { startedAtMs: performance.now(), controlFrames: 0 };
    sessions.set(session, watched);
    session.once('close', () => sessions.delete(session));
    const count = (): void => {
      watched.controlFrames += 1;
      if (watched.controlFrames > CONTROL_FRAMES_MAX && !session.destroyed) session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    };
    session.on('ping', count);
    session.on('remoteSettings', count);
  });
  const sweep = setInterval(() => {
    const nowMs = performance.now();
    for (const [session, watched] of sessions) {
      watched.controlFrames = 0;
      if (!isIdle(session, watched, nowMs, limits)) continue;
      // The second time: it does not even read that it is to go away.
      if (session.closed) session.destroy();
      else session.close();
    }
  }, limits.checkMs);
  sweep.unref();
  return {
    sendAway() {
      for (const session of sessions.keys()) session.close();
    },
    stop: () => clearInterval(sweep),
  };
}

function isIdle(session: ServerHttp2Session, { startedAtMs }: Watched, nowMs: number, limits: ConnectionLimits): boolean {
  const { streams, endedAtMs } = activityOf(session);
  if (streams > 0) return false;
  return endedAtMs === undefined ? nowMs - startedAtMs > limits.headersMs : nowMs - endedAtMs > limits.keepAliveMs;
}

/** Ends a stream on which nothing moves, for example because the visitor does not read. */
export function limitIdleStream(response: VisitorHttp2Response, idleMs: number): void {
  response.setTimeout(idleMs, () => response.stream.close(constants.NGHTTP2_CANCEL));
}
