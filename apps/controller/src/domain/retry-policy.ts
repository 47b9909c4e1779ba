/** Which failures of a push pass, and how long to wait for that. */
import type { PushCommand } from '@sluice/contracts';
import type { Rng } from '@sluice/runtime';

/** Tries of one command on one edge, the first included. */
export const ATTEMPTS_MAX = 4;
const BACKOFF_FIRST_MS = 100;
const BACKOFF_FACTOR = 3;
/** A link slower than this, in bytes per millisecond (1 MiB/s), is left to the edge's own pull. */
const SLOWEST_LINK_BYTES_PER_MS = (1024 * 1024) / 1000;
/** `NO_REPLY`s in a row after which an edge counts as silent. */
const SILENT_AFTER = 3;

const EVENT_RETRY_FIRST_MS = 250;
const EVENT_RETRY_MAX_MS = 30_000;

export type Verdict = 'retry' | 'unreachable' | 'failed';

/** What to do after attempt number `attempt` (from 1) failed so. Nobody listening is no reason to ask again: the edge has to come first. */
export function judge(failure: { readonly code: string; readonly retryable: boolean }, attempt: number): Verdict {
  if (failure.code === 'NO_LISTENER') return 'unreachable';
  return failure.retryable && attempt < ATTEMPTS_MAX ? 'retry' : 'failed';
}

/** Milliseconds to wait after attempt number `attempt` (from 1): exponential with full jitter, so that edges do not move in step. */
export function backoffMs(attempt: number, rng: Rng): number {
  return rng() * BACKOFF_FIRST_MS * BACKOFF_FACTOR ** (attempt - 1);
}

/** How long an edge may take for a command: `baseMs`, and for a store the time that the whole content takes over the slowest link. */
export function pushTimeoutMs(command: PushCommand, baseMs: number): number {
  return command.op === 'store' ? baseMs + Math.ceil(command.manifest.size / SLOWEST_LINK_BYTES_PER_MS) : baseMs;
}

/** How long an event that cannot be worked on now is put back. `delivery` counts from 1. Half of it is jitter. */
export function eventRetryMs(delivery: number, rng: Rng): number {
  const longest = Math.min(EVENT_RETRY_MAX_MS, EVENT_RETRY_FIRST_MS * 2 ** Math.min(delivery - 1, 30));
  return Math.round(longest * (0.5 + rng() / 2));
}

/**
 * Whether an edge answers at all. One that keeps its lease but leaves requests without reply is asked one command at a time until it
 * answers, so that it holds no more than that of the controller.
 */
export class EdgeHealth {
  #unanswered = 0;

  get silent(): boolean {
    return this.#unanswered >= SILENT_AFTER;
  }
  /** A reply came, be it a failure. */
  noteAnswer(): void {
    this.#unanswered = 0;
  }
  /** No reply came in time. */
  noteSilence(): void {
    this.#unanswered += 1;
  }
}
