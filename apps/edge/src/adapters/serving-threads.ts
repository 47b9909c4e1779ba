/** The threads that serve: started on one port, told what changes, asked to drain, and started again should one of them fail. */

import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { MessageChannel, Worker } from 'node:worker_threads';
import { errorFromWire, errorToWire, SluiceError } from '@sluice/contracts';
import type { Clock, Logger } from '@sluice/runtime';
import type { ServingDesk } from '../services/serving-desk.ts';
import type { Asked, Detached, FromServing, ServingSetup, ToServing } from '../services/serving-messages.ts';
import { startServing } from '../serving.ts';
import { ServingCounters } from './serving-counters.ts';

/**
 * Of a thread's heap, for what is young. Node's own bound lets it grow to 48 MB under load; measured, that makes no request cheaper and collections longer.
 */
const YOUNG_HEAP_MB = 16;
/** Before a thread that has failed is started again. */
const RESTART_MS = 1_000;

export interface ServingThreadsOptions {
  /** How many; 0: visitors are served on this thread, and wait while it does other things. */
  readonly threads: number;
  readonly setup: Omit<ServingSetup, 'counters' | 'reusePort' | 'connectionsMax' | 'generations'>;
  /** Of the databases now. */
  readonly generations: () => ServingSetup['generations'];
  /** Of all threads together. */
  readonly connectionsMax: number;
  readonly desk: ServingDesk;
  /** What a thread that begins has to know beyond the setup. */
  readonly current: () => readonly ToServing[];
  readonly clock: Clock;
  readonly log: Logger;
}

/** On which an edge listens. */
interface Ports {
  readonly port: number;
  readonly tlsPort: number | undefined;
}

/** What a thread and a channel on this thread have in common. */
interface Port {
  postMessage(message: ToServing): void;
  on(event: 'message', listener: (message: FromServing) => void): unknown;
}

/** One thread as this one sees it. */
interface Thread {
  readonly post: (message: ToServing) => void;
  readonly drained: Promise<void>;
  listens: boolean;
}

export class ServingThreads {
  readonly #options: ServingThreadsOptions;
  readonly #threads = new Map<number, Thread>();
  readonly #counters: ServingCounters[];
  #ports: Ports = { port: 0, tlsPort: undefined };
  #draining = false;

  constructor(options: ServingThreadsOptions) {
    this.#options = options;
    this.#counters = Array.from({ length: Math.max(1, options.threads) }, () => new ServingCounters());
  }

  /** What each thread has counted. */
  get counters(): readonly ServingCounters[] {
    return this.#counters;
  }
  /** Threads that should listen and do not. */
  get missing(): number {
    let listening = 0;
    for (const { listens } of this.#threads.values()) if (listens) listening += 1;
    return this.#counters.length - listening;
  }
  get port(): number {
    return this.#ports.port;
  }
  /** Undefined without TLS. */
  get tlsPort(): number | undefined {
    return this.#ports.tlsPort;
  }

  /** Resolves when all threads listen. @throws when the address cannot be bound */
  async start(): Promise<void> {
    const { setup } = this.#options;
    // Threads share a port with whoever asks the system for that, also with another process of ours: so it is claimed for this one first.
    const claim = async (port: number): Promise<number> => (this.#counters.length > 1 ? freePort(setup.host, port) : port);
    const { port, tlsPort } = setup;
    this.#ports = { port: await claim(port), tlsPort: tlsPort === undefined ? undefined : await claim(tlsPort) };
    try {
      for (let at = 0; at < this.#counters.length; at += 1) this.#ports = await this.#startThread(at);
    } catch (error) {
      this.#draining = true; // nothing is started again
      throw error;
    }
  }

  /** Tells all threads. */
  publish(message: ToServing): void {
    for (const { post } of this.#threads.values()) post(message);
  }

  /** Resolves when all have answered the visitors they had, or their deadline has passed. */
  async drain(): Promise<void> {
    this.#draining = true;
    const threads = [...this.#threads.values()];
    this.publish({ kind: 'drain' });
    await Promise.all(threads.map(({ drained }) => drained));
  }

  #startThread(at: number): Promise<Ports> {
    const { threads, setup, connectionsMax, clock, log } = this.#options;
    const own: ServingSetup = {
      ...setup,
      ...this.#ports,
      generations: this.#options.generations(),
      reusePort: threads > 1,
      connectionsMax: Math.ceil(connectionsMax / this.#counters.length),
      counters: (this.#counters[at] as ServingCounters).buffer,
    };
    if (threads === 0) {
      const { port1: here, port2: there } = new MessageChannel();
      startServing(own, there, clock, log);
      const closed = new Promise<void>((resolve) => here.once('close', () => resolve()));
      return this.#follow(at, here, closed, () => here.close());
    }
    const worker = new Worker(new URL('../serving.worker.ts', import.meta.url), {
      workerData: own,
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_HEAP_MB },
    });
    const ended = new Promise<void>((resolve) => {
      worker.once('error', (err) => log.error({ err, thread: at }, 'serving thread failed'));
      worker.once('exit', () => resolve());
    });
    return this.#follow(at, worker, ended, () => void worker.terminate());
  }

  #follow(at: number, port: Port, ended: Promise<void>, end: () => void): Promise<Ports> {
    const { current, desk } = this.#options;
    const { promise: listening, resolve, reject } = Promise.withResolvers<Ports>();
    const { promise: drained, resolve: settleDrained } = Promise.withResolvers<void>();
    const post = (message: ToServing): void => port.postMessage(message);
    const thread: Thread = { post, drained, listens: false };
    this.#threads.set(at, thread);
    // Files that this thread alone reads: should it end, nobody else can say that they are needed no more.
    const detached = new Set<number>();
    const withdrawals = new Map<number, AbortController>();
    let hasEnded = false;
    const answered = (answer: unknown, { name }: Asked): void => {
      if (name !== 'bringDetached' || (answer as Detached).kind !== 'file') return;
      const { id } = answer as Detached & { kind: 'file' };
      if (hasEnded) desk.hear({ kind: 'released', id });
      else detached.add(id);
    };
    for (const message of current()) post(message);
    port.on('message', (message: FromServing) => {
      switch (message.kind) {
        case 'listening':
          thread.listens = true;
          return resolve({ port: message.port, tlsPort: message.tlsPort });
        case 'failed':
          reject(errorFromWire(message.error));
          return end();
        case 'drained':
          return settleDrained();
        case 'asked': {
          const withdrawal = new AbortController();
          withdrawals.set(message.id, withdrawal);
          return void this.#answer(post, message, answered, withdrawal.signal).finally(() => withdrawals.delete(message.id));
        }
        case 'withdrawn':
          return withdrawals.get(message.id)?.abort();
        case 'released':
          detached.delete(message.id);
          return desk.hear(message);
        default:
          return desk.hear(message);
      }
    });
    void ended.then(() => {
      this.#threads.delete(at);
      hasEnded = true;
      for (const withdrawal of withdrawals.values()) withdrawal.abort();
      for (const id of detached) desk.hear({ kind: 'released', id });
      settleDrained();
      reject(new SluiceError('THREAD_ENDED', 'a serving thread ended before it listened'));
      this.#startAgain(at);
    });
    return listening;
  }

  #startAgain(at: number): void {
    const { clock, log } = this.#options;
    if (this.#draining) return;
    log.error({ thread: at }, 'a serving thread ended, starting it again');
    clock.after(RESTART_MS, () => {
      if (this.#draining) return;
      this.#startThread(at).catch((err: unknown) => log.error({ err, thread: at }, 'serving thread could not be started'));
    });
  }

  async #answer(
    post: (message: ToServing) => void,
    { id, asked }: FromServing & { kind: 'asked' },
    answered: (answer: unknown, asked: Asked) => void,
    withdrawn: AbortSignal,
  ): Promise<void> {
    const { desk, log } = this.#options;
    try {
      const answer = await desk.answer(asked, withdrawn);
      answered(answer, asked);
      post({ kind: 'answered', id, answer });
    } catch (error) {
      if (!(error instanceof SluiceError)) log.error({ err: error, asked: asked.name }, 'pull failed');
      post({ kind: 'refused', id, error: errorToWire(error) });
    }
  }
}

/** A port that nobody listens on; 0 becomes one. @throws when somebody does */
async function freePort(host: string, port: number): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, resolve);
  });
  const { port: found } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return found;
}
