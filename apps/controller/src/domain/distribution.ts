/** What becomes of one event: which edges have answered, which are awaited, and the `content.distributed` that says so at the end. */
import { type ContentDistributed, type EdgeOutcome, isConfirmed } from '@sluice/contracts';

/** Longest error text of one edge in the outcome, in characters. */
const ERROR_MAX_CHARACTERS = 256;
/** Most that the list of edges may take of the message, in bytes: the rest of the 1 MiB limit is for the other fields. */
const EDGES_MAX_BYTES = 960 * 1024;

/** The result of one push, as the pusher reports it. */
export type PushResult = Pick<EdgeOutcome, 'outcome' | 'transfer' | 'bytes' | 'attempts' | 'error'>;

export interface Target {
  readonly edge: string;
  readonly region: string;
}

export interface DistributionStart {
  readonly id: string;
  readonly event: ContentDistributed['event'];
  /** The key, or the selector in words. */
  readonly subject: string;
  /** The event's own version, until the plan says which one is distributed. */
  readonly version: number;
  /** When the controller read the event: RFC 3339, and on the monotonic clock. */
  readonly startedAt: string;
  readonly startedMs: number;
}

export interface PlannedDistribution {
  readonly version: number;
  readonly targets: readonly Target[];
  readonly emptyRegions: readonly string[];
}

export class Distribution {
  readonly #start: DistributionStart;
  readonly #pending = new Map<string, Target>();
  readonly #outcomes: EdgeOutcome[] = [];
  #version: number;
  #emptyRegions: readonly string[] = [];

  constructor(start: DistributionStart) {
    this.#start = start;
    this.#version = start.version;
  }

  /** Sets what is awaited. */
  plan(planned: PlannedDistribution): void {
    this.#version = planned.version;
    this.#emptyRegions = planned.emptyRegions;
    for (const target of planned.targets) this.#pending.set(target.edge, target);
  }

  /** Notes an edge's result at `nowMs` (monotonic). Counts once; an edge that is not awaited changes nothing. */
  settle(edge: string, result: PushResult, nowMs: number): void {
    const target = this.#pending.get(edge);
    if (target === undefined) return;
    this.#pending.delete(edge);
    const { outcome, transfer, bytes, attempts, error } = result;
    this.#outcomes.push({
      ...target,
      outcome,
      ...(transfer === undefined ? {} : { transfer }),
      bytes,
      ms: this.#elapsedMs(nowMs),
      attempts,
      ...(error === undefined ? {} : { error: error.slice(0, ERROR_MAX_CHARACTERS) }),
    });
  }

  get pending(): Target[] {
    return [...this.#pending.values()];
  }

  /** Where it stands at `nowMs` (monotonic); without pending edges the final message. Always small enough to be sent. */
  message(nowMs: number): ContentDistributed {
    const { id, event, subject, startedAt } = this.#start;
    return {
      id,
      event,
      subject,
      version: this.#version,
      startedAt,
      durationMs: this.#elapsedMs(nowMs),
      complete: this.#pending.size === 0 && this.#outcomes.every(({ outcome }) => isConfirmed(outcome)),
      edges: fitted(this.#outcomes),
      emptyRegions: [...this.#emptyRegions],
    };
  }

  #elapsedMs(nowMs: number): number {
    return Math.max(0, Math.round((nowMs - this.#start.startedMs) * 100) / 100);
  }
}

/** As many outcomes as one message carries; those that need attention go first. Some thousand edges fit whole. */
function fitted(outcomes: readonly EdgeOutcome[]): EdgeOutcome[] {
  const ordered = [...outcomes].sort((a, b) => Number(isConfirmed(a.outcome)) - Number(isConfirmed(b.outcome)));
  let bytes = 0;
  const end = ordered.findIndex((outcome) => {
    // An UTF-16 unit is at most three bytes in UTF-8; only `error` can be other than ASCII.
    bytes += JSON.stringify({ ...outcome, error: '' }).length + 3 * JSON.stringify(outcome.error ?? '').length + 1;
    return bytes > EDGES_MAX_BYTES;
  });
  return end === -1 ? ordered : ordered.slice(0, end);
}
