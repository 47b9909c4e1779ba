/** A typed connection to NATS: every message is checked against its contract on the way out and on the way in. */
import { connect, headers as createHeaders, type Msg, type NatsConnection } from '@nats-io/transport-node';
import {
  decode,
  type EventSubject,
  encode,
  errorFromWire,
  errorToWire,
  REPLY_KIND_HEADER,
  type RequestSubject,
  SluiceError,
  type WireError,
} from '@sluice/contracts';
import type { z } from 'zod';
import { askAgain } from './ask-again.ts';
import { BrokerAwayError, fromNatsError } from './errors.ts';

/** Bytes of a message that headers and protocol may take: a raw reply is at most `maxPayloadBytes` long. */
const HEADER_ROOM_BYTES = 4096;
/** Upper bound of a raw reply, whatever the broker allows: above it copies cost more than messages save (DESIGN §8). */
const CHUNK_MAX_BYTES = 1024 * 1024 - HEADER_ROOM_BYTES;

/** A server that hangs is left for another one when it has not answered two of these, 6 s after it was last heard. */
const PING_INTERVAL_MS = 2_000;
const PINGS_OUT_MAX = 2;

export interface BusLogger {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface BusOptions {
  readonly servers: readonly string[];
  /** Shown in the broker's connection list. */
  readonly name: string;
  readonly log: BusLogger;
}

export interface RequestOptions {
  readonly timeoutMs: number;
  /** Without an answer for so long, the same is asked again meanwhile: see {@link askAgain}. Default: it is not. */
  readonly againAfterMs?: number;
  /** Gives up waiting when aborted; the rejection is the signal's reason. */
  readonly signal?: AbortSignal;
}

type ReplyOk<Subject extends RequestSubject> = Exclude<z.output<Subject['reply']>, { ok: false }>;
export type RequestHandler<Subject extends RequestSubject> = (
  request: z.output<Subject['request']>,
) => Promise<z.input<Subject['reply']> | Uint8Array> | z.input<Subject['reply']> | Uint8Array;

/** Undoes a subscription. */
export type Unsubscribe = () => void;

export class Bus {
  readonly connection: NatsConnection;
  readonly #log: BusLogger;
  readonly #reconnectListeners = new Set<() => void>();
  readonly #rawReply = createHeaders();
  /** What was last sent to several, encoded: a command goes to every edge in the same words. */
  readonly #encoded = new WeakMap<object, Uint8Array>();
  #connected = true;

  private constructor(connection: NatsConnection, log: BusLogger) {
    this.connection = connection;
    this.#log = log;
    this.#rawReply.set(REPLY_KIND_HEADER, 'bytes');
    void this.#followStatus();
  }

  /** Connects, waiting for the broker as long as it takes; afterwards reconnects without limit. */
  static async connect({ servers, name, log }: BusOptions): Promise<Bus> {
    log.info({ servers: servers.map(withoutCredentials) }, 'connecting to the broker');
    const connection = await connect({
      servers: [...servers],
      name,
      maxReconnectAttempts: -1,
      waitOnFirstConnect: true,
      reconnectTimeWait: 250,
      reconnectJitter: 250,
      pingInterval: PING_INTERVAL_MS,
      maxPingOut: PINGS_OUT_MAX,
      noAsyncTraces: true,
    });
    return new Bus(connection, log);
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** Most bytes that fit a raw reply on this connection. */
  get chunkBytes(): number {
    return Math.min((this.connection.info?.max_payload ?? 1024 * 1024) - HEADER_ROOM_BYTES, CHUNK_MAX_BYTES);
  }

  /** `listener` is called after each reconnection. */
  onReconnect(listener: () => void): Unsubscribe {
    this.#reconnectListeners.add(listener);
    return () => this.#reconnectListeners.delete(listener);
  }

  async #followStatus(): Promise<void> {
    for await (const status of this.connection.status()) {
      if (status.type === 'disconnect') {
        this.#connected = false;
        this.#log.warn({ server: status.server }, 'broker connection lost');
      } else if (status.type === 'reconnect') {
        this.#connected = true;
        this.#log.info({ server: status.server }, 'broker connection restored');
        for (const listener of this.#reconnectListeners) this.#guard('reconnect', listener);
      } else if (status.type === 'error') {
        this.#log.error({ err: status.error }, 'broker reported an error');
      } else if (status.type === 'slowConsumer') {
        this.#log.warn({ pending: status.pending }, 'subscription is slow');
      }
    }
    this.#connected = false;
  }

  /** Runs a listener. One that throws into the client's read loop would end it: connected to the eye, and deaf. */
  #guard(subject: string, listener: () => void): void {
    try {
      listener();
    } catch (err) {
      this.#log.error({ err, subject }, 'listener failed');
    }
  }

  /** Publishes at most once; while the broker is away the message is lost (and that is fine for what uses this). */
  publish<Schema extends z.ZodType>(event: EventSubject<Schema>, message: z.input<Schema>): void {
    if (!this.#connected) return;
    this.connection.publish(event.subject, encode(event.subject, event.message, message));
  }

  /**
   * Sends a request and returns the reply's success branch.
   * @throws {SluiceError} `NO_LISTENER`, `NO_REPLY`, `BROKER_AWAY`, or the failure the other side replied with
   */
  async request<Subject extends RequestSubject>(
    to: Subject,
    message: z.input<Subject['request']>,
    options: RequestOptions,
  ): Promise<ReplyOk<Subject>> {
    const reply = await this.#exchange(to, message, options);
    const decoded = decode(to.subject, to.reply, reply.data) as ReplyOk<Subject> | { ok: false; error: WireError };
    if (isFailure(decoded)) throw errorFromWire(decoded.error);
    return decoded as ReplyOk<Subject>;
  }

  /** Like {@link request} for a subject whose success is raw bytes. */
  async requestBytes<Subject extends RequestSubject>(
    to: Subject,
    message: z.input<Subject['request']>,
    options: RequestOptions,
  ): Promise<Uint8Array> {
    const reply = await this.#exchange(to, message, options);
    if (reply.headers?.get(REPLY_KIND_HEADER) === 'bytes') return reply.data;
    const decoded = decode(to.subject, to.reply, reply.data) as { ok: true } | { ok: false; error: WireError };
    throw isFailure(decoded) ? errorFromWire(decoded.error) : new SluiceError('INVALID_MESSAGE', `${to.subject}: expected raw bytes`);
  }

  async #exchange<Subject extends RequestSubject>(
    to: Subject,
    message: z.input<Subject['request']>,
    options: RequestOptions,
  ): Promise<Msg> {
    const { timeoutMs, againAfterMs = timeoutMs, signal } = options;
    signal?.throwIfAborted();
    const payload = this.#encodeOnce(to, message);
    if (!this.#connected) throw new BrokerAwayError(to.subject, undefined);
    const ask = (timeout: number): Promise<Msg> => this.connection.request(to.subject, payload, { timeout });
    const reply = askAgain(ask, { timeoutMs, againAfterMs }).catch((error: unknown) => {
      throw fromNatsError(error, to.subject, timeoutMs);
    });
    return signal === undefined ? reply : abortable(reply, signal);
  }

  /** The same message object is checked and encoded once, however many it is sent to. Do not change it afterwards. */
  #encodeOnce<Subject extends RequestSubject>(to: Subject, message: z.input<Subject['request']>): Uint8Array {
    const known = typeof message === 'object' && message !== null ? this.#encoded.get(message) : undefined;
    if (known !== undefined) return known;
    const encoded = encode(to.subject, to.request, message);
    if (typeof message === 'object' && message !== null) this.#encoded.set(message, encoded);
    return encoded;
  }

  /**
   * Answers requests on a subject. What does not fit the contract, and what the handler throws, is answered with a failure.
   * With a `queue`, one member of the group gets each request.
   */
  serve<Subject extends RequestSubject>(on: Subject, handler: RequestHandler<Subject>, options: { queue?: string } = {}): Unsubscribe {
    const answer = async (message: Msg): Promise<void> => {
      try {
        const reply = await handler(decode(on.subject, on.request, message.data) as z.output<Subject['request']>);
        if (reply instanceof Uint8Array) message.respond(reply, { headers: this.#rawReply });
        else message.respond(encode(on.subject, on.reply, reply));
      } catch (error) {
        if (!(error instanceof SluiceError)) this.#log.error({ err: error, subject: on.subject }, 'request handler failed');
        try {
          message.respond(encode(on.subject, on.reply, { ok: false, error: errorToWire(error) } as z.input<Subject['reply']>));
        } catch (err) {
          this.#log.warn({ err, subject: on.subject }, 'reply could not be sent');
        }
      }
    };
    const subscription = this.connection.subscribe(on.subject, {
      ...(options.queue === undefined ? {} : { queue: options.queue }),
      callback: (error, message) => {
        if (error !== null) this.#log.warn({ err: error, subject: on.subject }, 'subscription error');
        else void answer(message);
      },
    });
    return () => subscription.unsubscribe();
  }

  /**
   * Listens to events. What does not fit the contract goes to `onInvalid` (default: a warning in the log). What a listener throws is
   * logged; the next event comes all the same.
   */
  subscribe<Schema extends z.ZodType>(
    to: EventSubject<Schema>,
    listener: (message: z.output<Schema>, subject: string) => void,
    onInvalid: (error: Error, subject: string) => void = (err, subject) => this.#log.warn({ err, subject }, 'message ignored'),
  ): Unsubscribe {
    const subscription = this.connection.subscribe(to.subject, {
      callback: (error, message) => {
        this.#guard(to.subject, () => {
          if (error !== null) return onInvalid(error, to.subject);
          let decoded: z.output<Schema>;
          try {
            decoded = decode(message.subject, to.message, message.data);
          } catch (err) {
            return onInvalid(err as Error, message.subject);
          }
          listener(decoded, message.subject);
        });
      },
    });
    return () => subscription.unsubscribe();
  }

  /**
   * Takes what others send in a form of their own, on a subject that may have wildcards. With a `queue`, one member of the group gets each message. What a listener throws is
   * logged; the next message comes all the same.
   */
  listen(subject: string, listener: (data: Uint8Array, subject: string) => void, options: { queue?: string } = {}): Unsubscribe {
    const subscription = this.connection.subscribe(subject, {
      ...(options.queue === undefined ? {} : { queue: options.queue }),
      callback: (error, message) => {
        if (error !== null) this.#log.warn({ err: error, subject }, 'subscription error');
        else this.#guard(message.subject, () => listener(message.data, message.subject));
      },
    });
    return () => subscription.unsubscribe();
  }

  /** Resolves when the broker has taken everything sent so far. */
  async flush(): Promise<void> {
    await this.connection.flush();
  }

  /** Finishes what is under way, then closes. Does not wait for a broker that is away. */
  async close(): Promise<void> {
    if (this.connection.isClosed()) return;
    if (this.#connected) await this.connection.drain();
    else await this.connection.close();
  }
}

/** A server's URL as it may be shown. */
function withoutCredentials(server: string): string {
  return server.replace(/^((?:\w+:\/\/)?)[^@/]*@/, '$1');
}

function isFailure(reply: unknown): reply is { ok: false; error: WireError } {
  return typeof reply === 'object' && reply !== null && 'ok' in reply && reply.ok === false;
}

function abortable<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
