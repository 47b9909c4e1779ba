/**
 * The way to one instance of one edge: a bounded queue, several commands in flight, and per key at most one in flight and one waiting,
 * which is always the newest. So commands of one key never overtake each other, and whatever an edge does it holds up no other edge and no
 * more than its bounds of the controller's memory.
 */
import type { PushCommand } from '@sluice/contracts';
import type { Clock } from '@sluice/runtime';
import PQueue from 'p-queue';
import type { PushResult } from '../domain/distribution.ts';
import type { EdgeHealth } from '../domain/retry-policy.ts';
import type { DeferredReason } from '../metrics.ts';
import { unreachable } from './push-attempts.ts';

export interface ChannelOptions {
  readonly concurrency: number;
  /** Most commands waiting. */
  readonly queueMax: number;
  /** Longest wait of a command for its turn. */
  readonly queueWaitMs: number;
  readonly clock: Clock;
  readonly health: EdgeHealth;
  /** Carries a command out; never rejects. */
  readonly deliver: (command: PushCommand, signal: AbortSignal) => Promise<PushResult>;
  readonly onDeferred: (reason: DeferredReason) => void;
}

interface Entry {
  /** The command; a waiting one may be replaced by a newer one of the same key. */
  command: PushCommand;
  started: boolean;
  readonly lane: string | undefined;
  readonly cut: AbortController;
  readonly result: Promise<PushResult>;
  readonly settle: (result: PushResult) => void;
  readonly cancelTimer: () => void;
}

/** The commands of one key. */
interface Lane {
  running?: Entry | undefined;
  waiting?: Entry | undefined;
}

const DEFERRED_TEXT: Readonly<Record<DeferredReason, string>> = {
  queue_full: 'the queue of the edge is full',
  waited_too_long: 'the edge was busy for too long',
  silent: 'the edge leaves requests without reply',
};

export class EdgeChannel {
  readonly #options: ChannelOptions;
  readonly #queue: PQueue;
  readonly #entries = new Set<Entry>();
  readonly #lanes = new Map<string, Lane>();
  #inFlight = 0;
  #closed: string | undefined;

  constructor(options: ChannelOptions) {
    this.#options = options;
    this.#queue = new PQueue({ concurrency: options.concurrency });
  }

  get inFlight(): number {
    return this.#inFlight;
  }
  /** Commands that wait for their turn. */
  get queued(): number {
    return this.#entries.size - this.#inFlight;
  }

  /**
   * Queues a command. It joins one of the same key that waits, or that is in flight with at least its version (unless `again`); both
   * then share the result. Never rejects.
   */
  push(command: PushCommand, again: boolean): Promise<PushResult> {
    if (this.#closed !== undefined) return Promise.resolve(unreachable(0, this.#closed));
    const shared = this.#join(command, again);
    if (shared !== undefined) return shared;
    if (this.queued >= this.#options.queueMax) return Promise.resolve(this.#deferred('queue_full'));
    if (this.#options.health.silent && this.#entries.size > 0) return Promise.resolve(this.#deferred('silent'));
    return this.#add(command).result;
  }

  #join(command: PushCommand, again: boolean): Promise<PushResult> | undefined {
    const lane = this.#lanes.get(laneOf(command) ?? '');
    if (lane?.waiting !== undefined) {
      if (command.op !== 'invalidate' && versionOf(command) >= versionOf(lane.waiting.command)) lane.waiting.command = command;
      return lane.waiting.result;
    }
    if (lane?.running !== undefined && !again && versionOf(lane.running.command) >= versionOf(command)) return lane.running.result;
    return undefined;
  }

  #add(command: PushCommand): Entry {
    const { promise: result, resolve: settle } = Promise.withResolvers<PushResult>();
    const waitedTooLong = (): void => this.#cancel(entry, this.#deferred('waited_too_long'));
    const cancelTimer = this.#options.clock.after(this.#options.queueWaitMs, waitedTooLong);
    const entry: Entry = { command, started: false, lane: laneOf(command), cut: new AbortController(), result, settle, cancelTimer };
    this.#entries.add(entry);
    const lane = entry.lane === undefined ? undefined : (this.#lanes.get(entry.lane) ?? {});
    if (entry.lane !== undefined && lane !== undefined) {
      lane.waiting = entry;
      this.#lanes.set(entry.lane, lane);
    }
    if (lane?.running === undefined) this.#schedule(entry);
    return entry;
  }

  #schedule(entry: Entry): void {
    // Rejects only when it is cut while it waits; the result is settled by then.
    this.#queue.add(() => this.#run(entry), { signal: entry.cut.signal }).catch(() => {});
  }

  async #run(entry: Entry): Promise<void> {
    entry.cancelTimer();
    entry.started = true;
    this.#inFlight += 1;
    const lane = entry.lane === undefined ? undefined : this.#lanes.get(entry.lane);
    if (lane !== undefined) {
      lane.waiting = undefined;
      lane.running = entry;
    }
    const result = await this.#options.deliver(entry.command, entry.cut.signal);
    if (this.#entries.has(entry)) this.#finish(entry, result);
    if (this.#options.health.silent) this.#deferWaiting();
  }

  /** Ends an entry with its result, and lets the next of its key go. */
  #finish(entry: Entry, result: PushResult): void {
    entry.cancelTimer();
    this.#entries.delete(entry);
    if (entry.started) this.#inFlight -= 1;
    entry.settle(result);
    const lane = entry.lane === undefined ? undefined : this.#lanes.get(entry.lane);
    if (entry.lane === undefined || lane === undefined) return;
    if (lane.waiting === entry) lane.waiting = undefined;
    if (lane.running === entry) {
      lane.running = undefined;
      if (lane.waiting !== undefined && this.#closed === undefined) this.#schedule(lane.waiting);
    }
    if (lane.running === undefined && lane.waiting === undefined) this.#lanes.delete(entry.lane);
  }

  #cancel(entry: Entry, result: PushResult): void {
    this.#finish(entry, result);
    entry.cut.abort();
  }

  /** A silent edge gets one command at a time, so what waits would wait in vain. */
  #deferWaiting(): void {
    for (const entry of [...this.#entries]) if (!entry.started) this.#cancel(entry, this.#deferred('silent'));
  }

  #deferred(reason: DeferredReason): PushResult {
    this.#options.onDeferred(reason);
    return { outcome: 'deferred', bytes: 0, attempts: 0, error: DEFERRED_TEXT[reason] };
  }

  /** The edge is gone: everything waiting and in flight is unreachable at once, and so is what comes. */
  close(reason: string): void {
    this.#closed = reason;
    for (const entry of [...this.#entries]) this.#cancel(entry, unreachable(entry.started ? 1 : 0, reason));
  }
}

/** Commands of one lane keep their order. An invalidation needs none: versions say what it covers. */
function laneOf(command: PushCommand): string | undefined {
  if (command.op === 'store') return command.manifest.key;
  return command.op === 'remove' ? command.key : undefined;
}

function versionOf(command: PushCommand): number {
  return command.op === 'store' ? command.manifest.version : command.version;
}
