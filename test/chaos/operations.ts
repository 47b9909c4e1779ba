/** Carries out what a plan says, as clients of the origin and of the broker do it, and notes what each key was and when. */
import { Agent } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { Bus } from '@sluice/bus';
import { sha256Of, silentLog } from '@sluice/testkit';
import type { KeyHistory } from './checker/key-history.ts';
import { bytesOf, contentTypeOf } from './contents.ts';
import { type Answer, exchange } from './exchange.ts';
import type { Operation } from './plan.ts';

/** Between two attempts of a request that was not accepted. */
const RETRY_PAUSE_MS = 100;
/** Characters of an answer that are kept. */
const TEXT_MAX = 500;
/** Events that may come again. */
const REPLAYED_MAX = 200;

export interface Performed {
  readonly attempts: number;
  readonly outcome: string;
}

interface Accepted extends Performed {
  readonly version: number | undefined;
  readonly text: string;
}

export interface OperationsOptions {
  readonly originUrl: string;
  readonly natsUrl: string;
  readonly history: (key: string) => KeyHistory;
  /** Hears when an invalidation was begun to be asked for, by the id of the request or of its announcement. */
  readonly onInvalidation: (id: string, beganAtMs: number) => void;
  /** Milliseconds since the run began. */
  readonly now: () => number;
}

export class Operations implements AsyncDisposable {
  readonly #options: OperationsOptions;
  readonly #bus: Bus;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 8 });
  /** Writes of one key follow each other. */
  readonly #turns = new Map<string, Promise<unknown>>();
  readonly #published: { readonly subject: string; readonly payload: string }[] = [];
  #requests = 0;
  #closed = false;

  private constructor(options: OperationsOptions, bus: Bus) {
    this.#options = options;
    this.#bus = bus;
  }

  static async open(options: OperationsOptions): Promise<Operations> {
    return new Operations(options, await Bus.connect({ servers: [options.natsUrl], name: 'chaos publisher', log: silentLog }));
  }

  /** Resolves when it is done (an invalidation also when there is no such key): a change is tried again until the origin has accepted it. */
  perform(operation: Operation): Promise<Performed> {
    switch (operation.kind) {
      case 'put':
      case 'delete':
        return this.#inTurn(operation.key, () => this.#change(operation));
      case 'invalidate':
        return this.#invalidate(operation);
      case 'announce':
        return this.#publish('content.uploaded', JSON.stringify({ key: operation.key }));
      case 'replay': {
        const event = this.#published.at(-1 - (operation.back % Math.max(1, this.#published.length)));
        return event === undefined ? Promise.resolve({ attempts: 0, outcome: 'nothing yet' }) : this.#publish(event.subject, event.payload);
      }
      case 'garbage':
        return this.#publish(operation.subject, operation.payload);
    }
  }

  async #invalidate({ selector, mode, by }: Extract<Operation, { kind: 'invalidate' }>): Promise<Performed> {
    const beganAtMs = this.#options.now();
    if (by === 'nats') {
      this.#requests += 1;
      const id = `chaos-${this.#requests}`;
      this.#options.onInvalidation(id, beganAtMs);
      return this.#publish('content.invalidated', JSON.stringify({ id, ...selector, mode }));
    }
    const done = await this.#insist('POST', '/-/invalidations', Buffer.from(JSON.stringify({ ...selector, mode })), {}, [202, 404]);
    const { id } = JSON.parse(done.text) as { id?: string };
    if (id !== undefined) this.#options.onInvalidation(id, beganAtMs);
    return done;
  }

  async #change(operation: Extract<Operation, { kind: 'put' | 'delete' }>): Promise<Accepted> {
    const { key, kind } = operation;
    const { history, now } = this.#options;
    const of = history(key);
    const bytes = kind === 'put' ? bytesOf(operation.content) : undefined;
    const [regions, tags] = kind === 'put' ? [operation.regions, operation.tags] : [[], []];
    const state = of.begin({ bytes, sha256: bytes === undefined ? '' : sha256Of(bytes), regions, tags, beganAtMs: now() });
    const headers =
      kind === 'put'
        ? {
            'content-type': contentTypeOf(operation.content),
            ...(regions.length > 0 && { 'x-amz-meta-regions': regions.join(',') }),
            ...(tags.length > 0 && { 'x-amz-meta-tags': tags.join(',') }),
          }
        : {};
    const done = await this.#insist(kind === 'put' ? 'PUT' : 'DELETE', `/${key}`, bytes, headers, kind === 'put' ? [200] : [204]);
    of.acknowledge(state, now(), done.version);
    return done;
  }

  /**
   * No attempt is given up while it may still be carried out: only a connection that ended has no answer, and it ends when its process does. Else a request of long ago could
   * change a key behind a later one.
   */
  async #insist(
    method: string,
    path: string,
    body: Buffer | undefined,
    headers: Record<string, string>,
    accepted: readonly number[],
  ): Promise<Accepted> {
    for (let attempts = 1; ; attempts += 1) {
      const answer = await this.#ask(method, path, body, headers);
      const text = answer?.body.toString().slice(0, TEXT_MAX) ?? '';
      if (answer !== undefined && accepted.includes(answer.status)) return { attempts, outcome: 'done', version: answer.version, text };
      // What the origin calls a mistake of the client's is a mistake of this suite.
      if (answer !== undefined && answer.status < 500 && answer.status !== 429)
        throw new Error(`${method} ${path} was answered ${answer.status}: ${text}`);
      if (this.#closed) return { attempts, outcome: 'given up at the end', version: undefined, text: '{}' };
      await pause(RETRY_PAUSE_MS);
    }
  }

  async #ask(method: string, path: string, body: Buffer | undefined, headers: Record<string, string>): Promise<Answer | undefined> {
    const framing: Record<string, string> = body === undefined ? {} : { 'content-length': String(body.length) };
    const asking = { agent: this.#agent, method, headers: { ...headers, ...framing }, body };
    return exchange(`${this.#options.originUrl}${path}`, asking).catch(() => undefined);
  }

  async #publish(subject: string, payload: string): Promise<Performed> {
    this.#published.push({ subject, payload });
    if (this.#published.length > REPLAYED_MAX) this.#published.shift();
    try {
      this.#bus.connection.publish(subject, payload);
      return { attempts: 1, outcome: 'published' };
    } catch (error) {
      return { attempts: 1, outcome: `not published: ${(error as Error).message}` };
    }
  }

  #inTurn<Result>(key: string, act: () => Promise<Result>): Promise<Result> {
    const turn = (this.#turns.get(key) ?? Promise.resolve()).then(act);
    this.#turns.set(
      key,
      turn.catch(() => {}),
    );
    return turn;
  }

  /** Nothing that waits for its turn is begun any more after what is under way has been accepted. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#agent.destroy();
    await this.#bus.close();
  }
}
