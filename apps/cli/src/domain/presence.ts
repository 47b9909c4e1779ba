/** Which edges are there, learnt from their heartbeats. */
import type { EdgeReport } from '@sluice/contracts';

/** As long as the controller's lease: an edge not heard of for this long is gone. */
const LEASE_MS = 5_000;
/** An edge that is first heard within this time of watching was there before; heartbeats come every second. */
const SETTLING_MS = 1_500;
/** Most edges followed; further ones are not reported. */
export const EDGES_MAX = 10_000;

export type PresenceKind = 'present' | 'joined' | 'restarted' | 'draining' | 'left';
export interface PresenceChange {
  readonly kind: PresenceKind;
  readonly edge: EdgeReport;
}

interface Seen {
  readonly report: EdgeReport;
  readonly atMs: number;
}

export class Presence {
  readonly #startedMs: number;
  readonly #seen = new Map<string, Seen>();

  /** Times are those of a clock that never goes back. */
  constructor(startedMs: number) {
    this.#startedMs = startedMs;
  }

  /** Takes a heartbeat; returns what it changes, if anything. */
  observe(report: EdgeReport, nowMs: number): PresenceChange | undefined {
    const before = this.#seen.get(report.id);
    if (report.draining) return this.#seen.delete(report.id) ? { kind: 'draining', edge: report } : undefined;
    if (before === undefined && this.#seen.size >= EDGES_MAX) return undefined;
    this.#seen.set(report.id, { report, atMs: nowMs });
    if (before === undefined) return { kind: nowMs - this.#startedMs <= SETTLING_MS ? 'present' : 'joined', edge: report };
    return before.report.instance === report.instance ? undefined : { kind: 'restarted', edge: report };
  }

  /** The edges that have fallen silent; each is returned once. */
  sweep(nowMs: number): PresenceChange[] {
    const gone = [...this.#seen.values()].filter(({ atMs }) => nowMs - atMs > LEASE_MS);
    for (const { report } of gone) this.#seen.delete(report.id);
    return gone.map(({ report }) => ({ kind: 'left', edge: report }));
  }
}
