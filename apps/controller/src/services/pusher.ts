/** Sends commands to edges. One {@link EdgeChannel} for each live edge; the presence of the edges opens and closes them. */

import type { Bus } from '@sluice/bus';
import { type EdgeReport, edgePush, type PushCommand } from '@sluice/contracts';
import type { Clock, Rng } from '@sluice/runtime';
import type { PushResult } from '../domain/distribution.ts';
import { EdgeHealth, pushTimeoutMs } from '../domain/retry-policy.ts';
import type { ControllerMetrics } from '../metrics.ts';
import { EdgeChannel } from './edge-channel.ts';
import { pushWithRetries, unreachable } from './push-attempts.ts';

export interface PusherOptions {
  readonly concurrency: number;
  readonly queueMax: number;
  readonly queueWaitMs: number;
  readonly pushTimeoutMs: number;
}

export interface PusherDeps {
  readonly bus: Pick<Bus, 'request'>;
  readonly metrics: ControllerMetrics;
  readonly clock: Clock;
  readonly rng: Rng;
}

/** The share of its bound that the shortest queue may reach before new events wait. */
const PACE_SHARE = 0.25;

export class Pusher {
  readonly #options: PusherOptions;
  readonly #deps: PusherDeps;
  readonly #channels = new Map<string, { readonly instance: string; readonly channel: EdgeChannel }>();
  /** Events that were let in and whose commands are not queued yet. */
  #admitted = 0;
  /** Events that wait to be let in; bounded by the events in work. */
  readonly #waiting: (() => void)[] = [];

  constructor(options: PusherOptions, deps: PusherDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** An edge came, or another instance of it. */
  open({ id, instance }: EdgeReport): void {
    this.close(id, 'another process took over the id of the edge');
    this.#channels.set(id, { instance, channel: this.#createChannel(id) });
  }

  #createChannel(id: string): EdgeChannel {
    const { bus, metrics, clock, rng } = this.#deps;
    const subject = edgePush(id);
    const health = new EdgeHealth();
    const send = (command: PushCommand, signal: AbortSignal) =>
      bus.request(subject, command, { timeoutMs: pushTimeoutMs(command, this.#options.pushTimeoutMs), signal });
    const onRetry = (): void => metrics.pushRetries.inc();
    return new EdgeChannel({
      ...this.#options,
      clock,
      health,
      deliver: (command, signal) => pushWithRetries(command, signal, { send, health, clock, rng, onRetry }),
      onDeferred: (reason) => metrics.deferred.inc({ reason }),
    });
  }

  /** An edge went: what waits for it or is in flight ends as unreachable at once. */
  close(id: string, reason: string): void {
    this.#channels.get(id)?.channel.close(reason);
    this.#channels.delete(id);
    this.#keepPace();
  }

  closeAll(reason: string): void {
    for (const id of [...this.#channels.keys()]) this.close(id, reason);
  }

  /**
   * Lets an event in when the edge with the shortest queue can take more; call the result when its commands are queued. The fastest edge sets
   * the pace: when all are behind, new events wait in the stream and nothing is deferred; an edge that is slower than the others by a whole
   * queue is left to catch up by itself.
   */
  async admit(): Promise<() => void> {
    if (this.#onPace()) this.#admitted += 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return () => {
      this.#admitted -= 1;
      this.#keepPace();
    };
  }

  #onPace(): boolean {
    const lengths = this.queueLengths();
    const shortest = lengths.length === 0 ? 0 : Math.min(...lengths);
    return shortest + this.#admitted < this.#options.queueMax * PACE_SHARE;
  }

  #keepPace(): void {
    while (this.#waiting.length > 0 && this.#onPace()) {
      this.#admitted += 1;
      this.#waiting.shift()?.();
    }
  }

  /** Sends `command` to one instance of an edge. Never rejects. */
  async push(edge: { readonly id: string; readonly instance: string }, command: PushCommand, again: boolean): Promise<PushResult> {
    const startedMs = this.#deps.clock.monotonicMs();
    const known = this.#channels.get(edge.id);
    const result =
      known?.instance === edge.instance ? await known.channel.push(command, again) : unreachable(0, 'the edge left before its turn came');
    this.#keepPace();
    this.#deps.metrics.pushes.inc({ outcome: result.outcome });
    this.#deps.metrics.pushDuration.observe((this.#deps.clock.monotonicMs() - startedMs) / 1000);
    return result;
  }

  /** Commands waiting for an edge and in flight to it. */
  load(id: string): { queued: number; inFlight: number } {
    const channel = this.#channels.get(id)?.channel;
    return { queued: channel?.queued ?? 0, inFlight: channel?.inFlight ?? 0 };
  }

  queueLengths(): number[] {
    return [...this.#channels.values()].map(({ channel }) => channel.queued);
  }
}
