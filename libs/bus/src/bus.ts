/** A typed connection to NATS: every message is checked against its contract on the way out and on the way in. */
import { randomBytes } from 'node:crypto';
import {
  type ConnectionOptions,
  connect,
  headers as createHeaders,
  type Msg,
  type MsgHdrs,
  type NatsConnection,
  PermissionViolationError,
} from '@nats-io/transport-node';
import {
  decode,
  type EventSubject,
  type Exchange,
  encode,
  errorFromWire,
  errorToWire,
  INBOX_PREFIX,
  inboxOf,
  NONCE_HEADER,
  REPLY_KIND_HEADER,
  type RequestSubject,
  SIGNATURE_HEADER,
  SluiceError,
  type WireError,
} from '@sluice/contracts';
import type { z } from 'zod';
import { type BrokerAccess, credentialOptions, problemOf, withoutCredentials } from './access.ts';
import { askAgain } from './ask-again.ts';
import { BrokerAwayError, BrokerRefusedError, fromNatsError } from './errors.ts';
import { type Operate, operate as operatePlainly, subjectInLabel } from './operate.ts';
import { reconnectDelay } from './reconnect-delay.ts';

/** Bytes of a message that headers and protocol may take: a raw reply is at most `maxPayloadBytes` long. */
const HEADER_ROOM_BYTES = 4096;
/** Upper bound of a raw reply, whatever the broker allows: above it copies cost more than messages save (DESIGN §8). */
const CHUNK_MAX_BYTES = 1024 * 1024 - HEADER_ROOM_BYTES;

/** Between two attempts to connect. */
const RECONNECT_WAIT_MS = 250;
const RECONNECT_JITTER_MS = 250;
/** Different problems that are told while one connection lasts; each of them once. */
const TOLD_PROBLEMS_MAX = 64;
/** The last two are inboxes on their way through gateways and between accounts; no client can name them (nats-server: `isReservedReply`). */
const REPLY_PREFIXES = [`${INBOX_PREFIX}.`, '_GR_.', '_R_.'];
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
  /** For tests: sees every labelled exchange. */
  readonly operate?: Operate | undefined;
  /** Absent: the broker knows no users and no TLS. */
  readonly access?: BrokerAccess;
  /** Whose inbox replies come to, see `inboxOf`. Absent: any, which a broker that knows users permits nobody. */
  readonly inbox?: string;
  /** Whether the broker is waited for as long as it takes. Default true. */
  readonly wait?: boolean;
}

/** Random bytes of a nonce: no two are the same. */
const NONCE_BYTES = 16;
/** What somebody else takes for a nonce is not signed when it is longer. */
const NONCE_MAX_CHARACTERS = 64;

export interface RequestOptions {
  readonly timeoutMs: number;
  /** Without an answer for so long, the same is asked again meanwhile: see {@link askAgain}. Default: it is not. */
  readonly againAfterMs?: number;
  /** Gives up waiting when aborted; the rejection is the signal's reason. */
  readonly signal?: AbortSignal;
  /** Asks for a signed reply, and sees each one before anything is made of it, also a failure. `signature` is what came with it. @throws {SluiceError} when it is not to be believed */
  readonly verify?: ((exchange: Exchange, signature: string | undefined) => void) | undefined;
}

export interface ServeOptions {
  /** One member of the group gets each request. */
  readonly queue?: string;
  /** Makes the signature of a reply to somebody who wants one; undefined: there is none. */
  readonly sign?: ((exchange: Exchange) => string | undefined) | undefined;
}

type ReplyOk<Subject extends RequestSubject> = Exclude<z.output<Subject['reply']>, { ok: false }>;
export type RequestHandler<Subject extends RequestSubject> = (
  request: z.output<Subject['request']>,
  /** Where it came. */
  subject: string,
) => Promise<z.input<Subject['reply']> | Uint8Array> | z.input<Subject['reply']> | Uint8Array;

/** Undoes a subscription. */
export type Unsubscribe = () => void;

export class Bus {
  readonly connection: NatsConnection;
  readonly operate: Operate;
  readonly #log: BusLogger;
  readonly #access: BrokerAccess;
  readonly #told = new ToldProblems();
  readonly #reconnectListeners = new Set<() => void>();
  readonly #rawReply = headersOf({ [REPLY_KIND_HEADER]: 'bytes' });
  /** What was last sent to several, encoded: a command goes to every edge in the same words. */
  readonly #encoded = new WeakMap<object, Uint8Array>();
  #connected = true;

  private constructor(connection: NatsConnection, log: BusLogger, access: BrokerAccess, operate: Operate) {
    this.connection = connection;
    this.operate = operate;
    this.#log = log;
    this.#access = access;
    void this.#followStatus();
  }

  /**
   * Connects, waiting for the broker as long as it takes unless told otherwise; afterwards reconnects without limit. What is in the way is logged once, with what to do.
   * @throws {BrokerRefusedError} only with `wait: false`
   */
  static async connect({ servers, name, log, access = {}, inbox, wait = true, operate = operatePlainly }: BusOptions): Promise<Bus> {
    log.info({ servers: servers.map(withoutCredentials) }, 'connecting to the broker');
    const told = new ToldProblems();
    for (;;) {
      try {
        const connection = await connect({
          servers: [...servers],
          name,
          ...(inbox === undefined ? {} : { inboxPrefix: inboxOf(inbox) }),
          ...credentialOptions(servers, access),
          maxReconnectAttempts: -1,
          // A key may be known to the broker a moment later than to us, or be replaced while we run.
          ignoreAuthErrorAbort: true,
          reconnectDelayHandler: reconnectDelay({ waitMs: RECONNECT_WAIT_MS, jitterMs: RECONNECT_JITTER_MS, servers: servers.length }),
          pingInterval: PING_INTERVAL_MS,
          maxPingOut: PINGS_OUT_MAX,
          noAsyncTraces: true,
        } satisfies ConnectionOptions);
        return new Bus(connection, log, access, operate);
      } catch (err) {
        const problem = problemOf(err, access);
        if (!wait) throw new BrokerRefusedError(problem, err);
        if (told.isNew(problem)) log.warn({ problem }, 'the broker cannot be reached, trying again');
        await new Promise((resolve) => setTimeout(resolve, RECONNECT_WAIT_MS + Math.random() * RECONNECT_JITTER_MS));
      }
    }
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
        this.#tell(status.error);
      } else if (status.type === 'slowConsumer') {
        this.#log.warn({ pending: status.pending }, 'subscription is slow');
      }
    }
    this.#connected = false;
  }

  /** What is not permitted, or refused while reconnecting, comes again with every attempt. */
  #tell(error: Error): void {
    const problem = problemOf(error, this.#access);
    if (!this.#told.isNew(problem)) return;
    if (error instanceof PermissionViolationError)
      this.#log.error({ operation: error.operation, subject: error.subject, problem }, 'not permitted by the broker');
    else this.#log.error({ err: error, problem }, 'broker reported an error');
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
    const payload = encode(event.subject, event.message, message);
    this.operate(`NATS_PUBLISH:${subjectInLabel(event.subject)}`, () => this.connection.publish(event.subject, payload));
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
    if (kindOf(reply) === 'bytes') return reply.data;
    const decoded = decode(to.subject, to.reply, reply.data) as { ok: true } | { ok: false; error: WireError };
    throw isFailure(decoded) ? errorFromWire(decoded.error) : new SluiceError('INVALID_MESSAGE', `${to.subject}: expected raw bytes`);
  }

  async #exchange<Subject extends RequestSubject>(
    to: Subject,
    message: z.input<Subject['request']>,
    options: RequestOptions,
  ): Promise<Msg> {
    const { timeoutMs, againAfterMs = timeoutMs, signal, verify } = options;
    signal?.throwIfAborted();
    const payload = this.#encodeOnce(to, message);
    if (!this.#connected) throw new BrokerAwayError(to.subject, undefined);
    const nonce = verify === undefined ? undefined : randomBytes(NONCE_BYTES).toString('base64url');
    const headers = nonce === undefined ? {} : { headers: headersOf({ [NONCE_HEADER]: nonce }) };
    const label = `NATS_REQUEST:${subjectInLabel(to.subject)}`;
    const ask = (timeout: number): Promise<Msg> =>
      this.operate(label, () => this.connection.request(to.subject, payload, { timeout, ...headers }));
    const asked = askAgain(ask, { timeoutMs, againAfterMs }).catch((error: unknown) => {
      throw fromNatsError(error, to.subject, timeoutMs);
    });
    const reply = await (signal === undefined ? asked : abortable(asked, signal));
    if (nonce !== undefined) {
      const exchange = { subject: to.subject, nonce, request: payload, reply: reply.data, kind: kindOf(reply) } as const;
      verify?.(exchange, reply.headers?.get(SIGNATURE_HEADER) || undefined);
    }
    return reply;
  }

  /** The same message object is checked and encoded once, however many it is sent to. Do not change it afterwards. */
  #encodeOnce<Subject extends RequestSubject>(to: Subject, message: z.input<Subject['request']>): Uint8Array {
    const known = typeof message === 'object' && message !== null ? this.#encoded.get(message) : undefined;
    if (known !== undefined) return known;
    const encoded = encode(to.subject, to.request, message);
    if (typeof message === 'object' && message !== null) this.#encoded.set(message, encoded);
    return encoded;
  }

  /** Most replies are not signed, and each piece of a blob is one: theirs are made once. */
  #headersOfReply(kind: Exchange['kind'], signed: string | undefined): MsgHdrs | undefined {
    if (signed === undefined) return kind === 'bytes' ? this.#rawReply : undefined;
    return headersOf({ ...(kind === 'bytes' ? { [REPLY_KIND_HEADER]: kind } : {}), [SIGNATURE_HEADER]: signed });
  }

  /**
   * Answers requests on a subject. What does not fit the contract, and what the handler throws, is answered with a failure.
   */
  serve<Subject extends RequestSubject>(on: Subject, handler: RequestHandler<Subject>, options: ServeOptions = {}): Unsubscribe {
    const label = `NATS_REPLY:${subjectInLabel(on.subject)}`;
    const respond = (message: Msg, reply: Uint8Array, kind: Exchange['kind']): void => {
      const nonce = message.headers?.get(NONCE_HEADER) || undefined;
      const isWanted = options.sign !== undefined && nonce !== undefined && nonce.length <= NONCE_MAX_CHARACTERS;
      const signed = isWanted ? options.sign?.({ subject: on.subject, nonce, request: message.data, reply, kind }) : undefined;
      const headers = this.#headersOfReply(kind, signed);
      void this.operate(label, () => message.respond(reply, headers && { headers }));
    };
    const answer = async (message: Msg): Promise<void> => {
      // Whoever asks names the place of the reply, and the broker lets us send it there.
      if (message.reply && !REPLY_PREFIXES.some((prefix) => message.reply?.startsWith(prefix))) {
        this.#log.warn(
          { subject: message.subject, reply: message.reply },
          'request ignored: its reply would go to a place that is no inbox',
        );
        return;
      }
      try {
        const reply = await handler(decode(on.subject, on.request, message.data) as z.output<Subject['request']>, message.subject);
        if (reply instanceof Uint8Array) respond(message, reply, 'bytes');
        else respond(message, encode(on.subject, on.reply, reply), 'json');
      } catch (error) {
        if (!(error instanceof SluiceError)) this.#log.error({ err: error, subject: on.subject }, 'request handler failed');
        try {
          respond(message, encode(on.subject, on.reply, { ok: false, error: errorToWire(error) } as z.input<Subject['reply']>), 'json');
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

function headersOf(fields: Readonly<Record<string, string>>): MsgHdrs {
  const made = createHeaders();
  for (const [name, value] of Object.entries(fields)) made.set(name, value);
  return made;
}

function kindOf(reply: Msg): Exchange['kind'] {
  return reply.headers?.get(REPLY_KIND_HEADER) === 'bytes' ? 'bytes' : 'json';
}

/** Tells each problem once, and no more than a bounded number of them. */
class ToldProblems {
  readonly #told = new Set<string>();

  isNew(problem: string): boolean {
    if (this.#told.has(problem) || this.#told.size >= TOLD_PROBLEMS_MAX) return false;
    this.#told.add(problem);
    return true;
  }
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
