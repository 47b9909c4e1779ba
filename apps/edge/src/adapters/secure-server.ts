/** TLS with HTTP/2, and HTTP/1.1 beside it (ALPN, RFC 7301). What each limit is for is said where the plain port has it, in `http-server.ts`. */
import { type Server as HttpServer, ServerResponse } from 'node:http';
import { constants, createSecureServer, type Http2SecureServer, type ServerHttp2Session } from 'node:http2';
import type { Duplex } from 'node:stream';
import { createSecureContext, type SecureContext } from 'node:tls';
import { type Certificate, type Certificates, certificateFor } from '../domain/certificates.ts';
import type { ConnectionLimits } from './http-server.ts';
import { activityOf, VisitorHttp2Request, VisitorHttp2Response } from './http2-exchange.ts';

/** While draining, how often connections that have become idle are closed. */
const IDLE_SWEEP_MS = 50;
/** RFC 9113 §6.5.2. What a visitor sends beyond is reset. Streams as nginx has them by default, fields as Node's HTTP/1.1 has them. */
const SETTINGS = { maxConcurrentStreams: 128, maxHeaderListSize: 16 * 1024, enablePush: false };
/**
 * Streams that a visitor may take back at once, and per second from then on (CVE-2023-44487). A page that is left while it loads takes back as many as may be open;
 * more than that is an attack, and ends the session.
 */
const RESETS = { streamResetBurst: 1_000, streamResetRate: 33 };

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
export function createTlsServer(certificates: Certificates, limits: ConnectionLimits): SecureServer {
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
    Http2ServerRequest: VisitorHttp2Request,
    Http2ServerResponse: VisitorHttp2Response,
  }) as Http2SecureServer as TlsServer;
  server.timeout = limits.idleMs;
  const sockets = new Set<Duplex>();
  server.on('connection', (socket: Duplex) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const stopSweeping = sweepIdleSessions(server, limits);
  return {
    server,
    use(renewed) {
      current = renewed;
      // For clients that name no host.
      server.setSecureContext({ ...pemOf(renewed.fallback), ticketKeys: Buffer.from(renewed.ticketKeys) });
    },
    async drain(drainMs) {
      server.prependListener('request', (_request, response) => {
        if (response instanceof ServerResponse) response.shouldKeepAlive = false;
      });
      const sweep = setInterval(() => server.closeIdleConnections(), IDLE_SWEEP_MS);
      const deadline = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, drainMs);
      // Node tells each session to go away (RFC 9113 §6.8); it ends with its last stream.
      await new Promise<void>((resolve) => server.close(() => resolve()));
      clearInterval(sweep);
      clearTimeout(deadline);
      stopSweeping();
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

/** Ends sessions in which no request is under way for too long. Node's own time-out counts a PING as life. */
function sweepIdleSessions(server: Http2SecureServer, limits: ConnectionLimits): () => void {
  const sessions = new Map<ServerHttp2Session, number>();
  server.on('session', (session: ServerHttp2Session) => {
    sessions.set(session, performance.now());
    session.once('close', () => sessions.delete(session));
  });
  const sweep = setInterval(() => {
    const nowMs = performance.now();
    for (const [session, startedAtMs] of sessions) {
      const { streams, endedAtMs } = activityOf(session);
      if (streams > 0) continue;
      const isIdle = endedAtMs === undefined ? nowMs - startedAtMs > limits.headersMs : nowMs - endedAtMs > limits.keepAliveMs;
      if (!isIdle) continue;
      // The second time: it does not even read that it is to go away.
      if (session.closed) session.destroy();
      else session.close();
    }
  }, limits.checkMs);
  sweep.unref();
  return () => clearInterval(sweep);
}

/** Ends a stream on which nothing moves, for example because the visitor does not read. */
export function limitIdleStream(response: VisitorHttp2Response, idleMs: number): void {
  response.setTimeout(idleMs, () => response.stream.close(constants.NGHTTP2_CANCEL));
}
