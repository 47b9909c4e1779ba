/** One line for each request, when its answer has been sent or was cut off. */
import type { EventEmitter } from 'node:events';
import { type IncomingMessage, ServerResponse, STATUS_CODES } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '@sluice/runtime';
import { type AccessEntry, type AccessLogFormat, accessLogFormat } from '../domain/access-log.ts';
import { clientAddress, type Peer } from '../domain/client-address.ts';
import type { PeerSocket, Peers } from './peers.ts';

type Request = IncomingMessage | Http2ServerRequest;
type Response = ServerResponse | Http2ServerResponse;

/** As nginx has it, for a request that ended before there was an answer. */
const CLIENT_CLOSED_REQUEST = 499;

export interface AccessLogOptions {
  readonly format: AccessLogFormat;
  readonly edgeId: string;
  /** Takes a line with its line feed; must not wait. */
  readonly write: (line: string) => void;
  readonly peers: Peers;
  readonly clock: Clock;
}

/** What becomes known of a request on the way to its answer. */
interface Notes {
  readonly log: AccessLog;
  readonly connection: Connection | undefined;
  readonly client: string | undefined;
  readonly timeMs: number;
  readonly startedMs: number;
  site: string | undefined;
  cache: string | undefined;
  version: number | undefined;
  bodyBytes: number;
  /** Of the piece with which the answer ends: sent when the answer is. */
  lastBytes: number;
  /** What the connection was told instead of an answer. */
  connectionStatus: number | undefined;
  sent: boolean;
}

/** An HTTP/1 connection with its requests that have no whole answer yet, in their order. */
interface Connection {
  readonly peer: Peer;
  readonly open: Set<ServerResponse>;
}

const NOTES = Symbol('notes for the access log');
const notesOf = (response: object): Notes | undefined => (response as { [NOTES]?: Notes })[NOTES];

/** The site that a request is for. Like the other two it does nothing when no log is kept. */
export function noteSite(response: object, site: string): void {
  const notes = notesOf(response);
  if (notes !== undefined) notes.site = site;
}

/** How the answer came about, and the version of the object that it shows. */
export function noteAnswer(response: object, cache: string, version?: number): void {
  const notes = notesOf(response);
  if (notes === undefined) return;
  notes.cache = cache;
  notes.version = version;
}

/** Bytes of the body; `last` for those that are handed over with the end of the answer. */
export function noteBody(response: object, bytes: number, last: boolean): void {
  const notes = notesOf(response);
  if (notes === undefined) return;
  if (last) notes.lastBytes += bytes;
  else notes.bodyBytes += bytes;
}

export class AccessLog {
  readonly #options: AccessLogOptions;
  readonly #lineOf: (entry: AccessEntry) => string;
  readonly #connections = new WeakMap<PeerSocket, Connection>();
  /** Give it to `createServer`: every request that Node reads gets one, also those that it answers itself. */
  readonly ServerResponse: typeof ServerResponse;

  constructor(options: AccessLogOptions) {
    this.#options = options;
    this.#lineOf = accessLogFormat(options.format, options.edgeId);
    const begin = (request: IncomingMessage, response: ServerResponse): void => this.begin(request, response);
    this.ServerResponse = class<Message extends IncomingMessage> extends ServerResponse<Message> {
      constructor(...parameters: ConstructorParameters<typeof ServerResponse<Message>>) {
        super(...parameters);
        begin(parameters[0], this);
      }
    };
  }

  /** Keeps the log of a server of HTTP/1 that was made with {@link AccessLog.ServerResponse}: what it cannot read, and what asks it for a tunnel. */
  watch(server: EventEmitter): void {
    // Asked for when it begins: of a connection that was reset since, the system tells no address, and Node only one that it was asked for before.
    for (const event of ['connection', 'secureConnection']) server.on(event, (socket: Socket) => void this.#options.peers.of(socket));
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => this.#answerClientError(error, socket));
    server.on('connect', (request: IncomingMessage) => this.#write(request, 405, this.#begun(request, undefined)));
  }

  /** Called once for each request, before its answer begins: by the server's {@link AccessLog.ServerResponse}, for HTTP/2 by the listener for requests. */
  begin(request: Request, response: Response): void {
    const connection = response instanceof ServerResponse ? this.#connectionOf(request.socket) : undefined;
    const notes = this.#begun(request, connection);
    (response as { [NOTES]?: Notes })[NOTES] = notes;
    connection?.open.add(response as ServerResponse);
    (response as ServerResponse).on('finish', noteSent).on('close', logClosed);
  }

  #begun(request: Request, connection: Connection | undefined): Notes {
    const { peers, clock } = this.#options;
    const peer = connection?.peer ?? peers.of(request.socket);
    return {
      log: this,
      connection,
      client: clientAddress(peer, request.headers, peers.isTrusted),
      timeMs: clock.nowMs(),
      startedMs: clock.monotonicMs(),
      site: undefined,
      cache: undefined,
      version: undefined,
      bodyBytes: 0,
      lastBytes: 0,
      connectionStatus: undefined,
      sent: false,
    };
  }

  #connectionOf(socket: Socket): Connection {
    const known = this.#connections.get(socket);
    if (known !== undefined) return known;
    const connection: Connection = { peer: this.#options.peers.of(socket), open: new Set() };
    this.#connections.set(socket, connection);
    return connection;
  }

  /** Writes the line of a request whose answer has ended, in whatever way. */
  end(response: Response): void {
    const notes = notesOf(response);
    if (notes === undefined) return;
    notes.connection?.open.delete(response as ServerResponse);
    const status = notes.connectionStatus ?? (response.headersSent ? response.statusCode : CLIENT_CLOSED_REQUEST);
    this.#write(response.req, status, notes, notes.sent || notes.connectionStatus !== undefined);
  }

  #write(request: Request, status: number, notes: Notes, complete = true): void {
    const { headers, method } = request;
    const bodyBytes = method === 'HEAD' ? 0 : notes.bodyBytes + (complete ? notes.lastBytes : 0);
    this.#options.write(
      this.#lineOf({
        timeMs: notes.timeMs,
        durationMs: this.#options.clock.monotonicMs() - notes.startedMs,
        client: notes.client,
        method,
        target: request.url,
        httpVersion: request.httpVersion,
        host: headers.host ?? (headers as { ':authority'?: string })[':authority'],
        referer: headers.referer,
        userAgent: headers['user-agent'],
        site: notes.site,
        status,
        bodyBytes,
        cache: notes.cache,
        version: notes.version,
        complete,
      }),
    );
  }

  /**
   * What Node does where nobody listens for errors of clients: a status when none is on its way, and the end of the connection. The request that it is about may have been
   * begun already; then the status is its answer, else it has a line of its own.
   */
  #answerClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
    const status = statusOfClientError(error.code);
    if (status !== undefined) {
      const connection = this.#connections.get(socket as Socket);
      const [current] = [...(connection?.open ?? [])].filter((response) => notesOf(response)?.sent === false);
      const isAnswered = socket.writable && (current === undefined || !current.headersSent);
      if (isAnswered) socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\n\r\n`);
      const notes = current === undefined ? undefined : notesOf(current);
      if (notes === undefined) this.#writeUnread(socket as Socket, status);
      else if (isAnswered) notes.connectionStatus = status;
    }
    socket.destroy(error);
  }

  #writeUnread(socket: Socket, status: number): void {
    // A connection that has sent nothing is no request.
    if (socket.bytesRead === 0) return;
    const { peers, clock, write } = this.#options;
    const unknown = {
      method: undefined,
      target: undefined,
      httpVersion: undefined,
      host: undefined,
      referer: undefined,
      userAgent: undefined,
    };
    const without = { site: undefined, cache: undefined, version: undefined, bodyBytes: 0, durationMs: 0 };
    const client = (this.#connections.get(socket)?.peer ?? peers.of(socket)).address;
    write(this.#lineOf({ timeMs: clock.nowMs(), client, status, complete: true, ...unknown, ...without }));
  }
}

function noteSent(this: ServerResponse): void {
  const notes = notesOf(this);
  if (notes !== undefined) notes.sent = !isCutOffStream(this);
}

function logClosed(this: ServerResponse): void {
  notesOf(this)?.log.end(this);
}

/** An HTTP/2 response is told that it is finished in any case; one of HTTP/1 only when the system has taken it. */
function isCutOffStream(response: Response): boolean {
  if (!('stream' in response)) return false;
  const { aborted, rstCode } = response.stream;
  return aborted || (rstCode ?? 0) !== 0;
}

/** As Node answers them; undefined when there is no request to answer, because the connection itself has failed. */
function statusOfClientError(code: string | undefined): number | undefined {
  if (code === 'HPE_HEADER_OVERFLOW') return 431;
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') return 413;
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 408;
  return code?.startsWith('HPE_') ? 400 : undefined;
}
