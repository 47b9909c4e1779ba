/** Which edges are alive. An edge is, until `leaseMs` after its last report. Times are monotonic milliseconds. */
import type { EdgeReport } from '@sluice/contracts';

/** How many earlier instances of one id are remembered, to tell a restart from two processes that fight over an id. */
export const SUPERSEDED_MAX = 8;

/**
 * What a report changed.
 * - `joined`: a new edge. `renewed`: the same one goes on.
 * - `replaced`: another process answers to this id now, as after a restart.
 * - `left`: it said that it is draining. `absent`: a goodbye of one that was not in the table.
 * - `conflict`: an instance that was replaced is still alive; two processes have one id. `first` tells the first such report.
 * - `refused`: the table is full.
 */
export type Observation =
  | { readonly kind: 'joined' | 'renewed' | 'replaced' | 'left' | 'absent' | 'refused' }
  | { readonly kind: 'conflict'; readonly first: boolean };

export interface Lease {
  readonly report: EdgeReport;
  readonly lastSeenMs: number;
  readonly expiresMs: number;
}

interface Entry extends Lease {
  readonly superseded: readonly string[];
  readonly inConflict: boolean;
}

export class LeaseTable {
  readonly #leaseMs: number;
  readonly #maxEdges: number;
  readonly #entries = new Map<string, Entry>();

  constructor(options: { readonly leaseMs: number; readonly maxEdges: number }) {
    this.#leaseMs = options.leaseMs;
    this.#maxEdges = options.maxEdges;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Takes in one report. Only a `draining` report of the instance in the table ends its lease. */
  observe(report: EdgeReport, nowMs: number): Observation {
    const known = this.#entries.get(report.id);
    if (report.draining) {
      if (known?.report.instance !== report.instance) return { kind: 'absent' };
      this.#entries.delete(report.id);
      return { kind: 'left' };
    }
    if (known === undefined) {
      if (this.#entries.size >= this.#maxEdges) return { kind: 'refused' };
      this.#hold(report, nowMs, { superseded: [], inConflict: false });
      return { kind: 'joined' };
    }
    if (known.report.instance === report.instance) {
      this.#hold(report, nowMs, known);
      return { kind: 'renewed' };
    }
    if (known.superseded.includes(report.instance)) {
      this.#entries.set(report.id, { ...known, inConflict: true });
      return { kind: 'conflict', first: !known.inConflict };
    }
    const superseded = [...known.superseded, known.report.instance].slice(-SUPERSEDED_MAX);
    this.#hold(report, nowMs, { superseded, inConflict: known.inConflict });
    return { kind: 'replaced' };
  }

  #hold(report: EdgeReport, nowMs: number, history: Pick<Entry, 'superseded' | 'inConflict'>): void {
    const { superseded, inConflict } = history;
    this.#entries.set(report.id, { report, lastSeenMs: nowMs, expiresMs: nowMs + this.#leaseMs, superseded, inConflict });
  }

  /** Forgets the edges whose lease has ended and returns what they last reported. */
  sweep(nowMs: number): EdgeReport[] {
    const expired = [...this.#entries.values()].filter(({ expiresMs }) => expiresMs <= nowMs).map(({ report }) => report);
    for (const { id } of expired) this.#entries.delete(id);
    return expired;
  }

  /** Gives every edge a new lease: for when the controller, not the edges, was deaf. */
  renewAll(nowMs: number): void {
    for (const [id, entry] of this.#entries) this.#entries.set(id, { ...entry, expiresMs: nowMs + this.#leaseMs });
  }

  /** The edges whose lease runs, also if {@link sweep} is late. */
  live(nowMs: number): Lease[] {
    return [...this.#entries.values()].filter(({ expiresMs }) => expiresMs > nowMs);
  }
}
