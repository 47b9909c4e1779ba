/**
 * Answers plain requests for what is in memory straight on the connection; measured, that is twice as fast as through a request and a response of `node:http`. Whatever is not of that kind is handed
 * over to `node:http` with its connection, which stays there: the first bytes of a request are the last ones that this lane looks at, so both see whole requests only.
 *
 * It holds a connection only between requests: each answer is handed to the system in the turn in which its request came, and when the system does not take it at once, the
 * connection is handed over too. So there is no other state than what has not been answered yet.
 */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { fieldsIn } from '../domain/admission.ts';
import { type PlainRequest, readPlainRequest } from '../domain/plain-request.ts';
import type { ReadyAnswer } from './visitor-handler.ts';

/** A body up to this size is copied behind its head; a larger one goes out with it in one call without that (`writev`), which costs half of what the copy would. */
const COPIED_MAX_BYTES = 4 * 1024;
/** Between the end of this side of a connection and that of the other. */
const LINGER_MS = 1_000;
/** How long a `Date` is used again. It has a precision of seconds (RFC 9110 §5.6.7). */
const SECOND_MS = 1000;

export interface FastLaneOptions {
  /** Undefined, or a failure: whoever takes the connection over is asked, and can tell the client. */
  readonly answer: (request: PlainRequest, socket: Socket) => ReadyAnswer | undefined;
  /** Takes a connection over with what it has sent and nobody has answered. */
  readonly handOver: (socket: Socket) => void;
  /** For the first request, and between two. */
  readonly firstMs: number;
  readonly keepAliveMs: number;
}

export class FastLane {
  readonly #options: FastLaneOptions;
  readonly #sockets = new Set<Socket>();
  readonly #tail: string;
  /** The constant fields of answers, with those that a site adds to them, as they are on the wire. */
  readonly #texts = new WeakMap<readonly string[], { readonly siteFields: readonly string[]; readonly text: string }>();
  #date = '';
  #dateUntilMs = 0;

  constructor(options: FastLaneOptions) {
    this.#options = options;
    this.#tail = `\r\nConnection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(options.keepAliveMs / 1000)}\r\n\r\n`;
  }

  /** Connections in this lane. */
  get size(): number {
    return this.#sockets.size;
  }

  take(socket: Socket): void {
    const { firstMs, keepAliveMs, handOver } = this.#options;
    let isFirst = true;
    const onData = (chunk: Buffer): void => {
      const answered = this.#answerAll(socket, chunk);
      if (answered < chunk.byteLength) {
        leave();
        // While it waits nobody reads from it; what came is the first that the other one sees.
        socket.pause();
        socket.unshift(chunk.subarray(answered));
        handOver(socket);
        socket.resume();
      } else if (isFirst) {
        isFirst = false;
        socket.setTimeout(keepAliveMs);
      }
    };
    const close = (): void => {
      socket.destroy();
    };
    const end = (): void => {
      socket.end();
    };
    const leave = (): void => {
      this.#sockets.delete(socket);
      socket.setTimeout(0);
      socket.off('data', onData).off('end', end).off('error', close).off('timeout', close).off('close', leave);
    };
    this.#sockets.add(socket);
    socket.setTimeout(firstMs);
    socket.on('data', onData).on('end', end).on('error', close).on('timeout', close).on('close', leave);
  }

  /** Answers the requests at the beginning of what came. Returns up to where. */
  #answerAll(socket: Socket, chunk: Buffer): number {
    const text = chunk.toString('latin1');
    let at = 0;
    while (at < text.length && socket.writableLength === 0) {
      const request = readPlainRequest(text, at);
      const answer = request && this.#answerTo(request, socket);
      if (request === undefined || answer === undefined) break;
      this.#write(socket, answer);
      at = request.end;
    }
    return at;
  }

  /** Nobody above catches what is thrown here: it would end the thread, and with it every connection. */
  #answerTo(request: PlainRequest, socket: Socket): ReadyAnswer | undefined {
    try {
      return this.#options.answer(request, socket);
    } catch {
      return undefined;
    }
  }

  #write(socket: Socket, { plan, manner, bytes }: ReadyAnswer): void {
    const head = this.#head(plan.status, plan.constant, plan.fields, manner);
    if (bytes === undefined) {
      socket.write(head, 'latin1');
    } else if (bytes.byteLength <= COPIED_MAX_BYTES) {
      const whole = Buffer.allocUnsafe(head.length + bytes.byteLength);
      whole.write(head, 0, 'latin1');
      whole.set(bytes, head.length);
      socket.write(whole);
    } else {
      socket.cork();
      socket.write(head, 'latin1');
      socket.write(bytes);
      socket.uncork();
    }
  }

  #head(status: number, constant: readonly string[], own: readonly string[], manner: ReadyAnswer['manner']): string {
    const isSimple = manner.corsFields.length === 0 && manner.vary.length === 0;
    const fields = isSimple ? this.#constantText(constant, manner.siteFields) + textOf(own) : textOf(fieldsIn(manner, constant, own));
    return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${fields}Date: ${this.#dateNow()}${this.#tail}`;
  }

  /** A site cannot add what an edge says of itself (`sites-config.ts`), so what it adds depends on the constant fields alone. */
  #constantText(constant: readonly string[], siteFields: readonly string[]): string {
    const known = this.#texts.get(constant);
    if (known?.siteFields === siteFields) return known.text;
    const text = textOf(fieldsIn({ siteFields, corsFields: [], vary: [] }, constant, []));
    this.#texts.set(constant, { siteFields, text });
    return text;
  }

  #dateNow(): string {
    const nowMs = Date.now();
    if (nowMs >= this.#dateUntilMs || nowMs < this.#dateUntilMs - SECOND_MS) {
      this.#date = new Date(nowMs).toUTCString();
      this.#dateUntilMs = nowMs - (nowMs % SECOND_MS) + SECOND_MS;
    }
    return this.#date;
  }

  /** Ends the connections that are here, when the system has taken what they are still owed. */
  stop(): void {
    // Then, for clients that do not end their side.
    for (const socket of this.#sockets) socket.end(() => socket.setTimeout(LINGER_MS));
  }
}

/** In one piece: what is kept as a sum of strings would be put together again for each answer. */
function textOf(fields: readonly string[]): string {
  const pieces: string[] = [];
  for (let at = 0; at < fields.length; at += 2) pieces.push(fields[at] as string, ': ', fields[at + 1] as string, '\r\n');
  return pieces.join('');
}
