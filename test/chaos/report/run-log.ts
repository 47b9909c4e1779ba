/** What happened in a run, one entry a line of JSON beside its report. Times are milliseconds since the run began. */
import type { Violation } from '../checker/observation.ts';

export type LogEntry =
  | {
      readonly type: 'begin';
      readonly seed: number;
      readonly minutes: number;
      readonly startedAt: string;
      readonly edges: readonly string[];
      readonly missing: Readonly<Record<string, string>>;
    }
  /** `operation` is the plan's; an operation is tried until it is accepted, `attempts` times. `outcome` is `done`, or why it was given up or refused. */
  | {
      readonly type: 'operation';
      readonly atMs: number;
      readonly endedAtMs: number;
      readonly kind: string;
      readonly what: string;
      readonly attempts: number;
      readonly outcome: string;
    }
  | { readonly type: 'fault'; readonly atMs: number; readonly healedAtMs: number; readonly name: string; readonly what: string }
  /** A planned fault that did not strike, and why. */
  | { readonly type: 'skipped'; readonly atMs: number; readonly name: string; readonly why: string }
  /** Each second: answers that were checked since the last one, errors that were excused, latency of answers in ms, and what the processes use. */
  | {
      readonly type: 'second';
      readonly atMs: number;
      readonly reads: number;
      readonly excused: number;
      readonly p50Ms: number;
      readonly p99Ms: number;
      readonly rssBytes: Readonly<Record<string, number>>;
    }
  | ({ readonly type: 'violation' } & Violation)
  /** After the last fault has healed: how long until the edge was equal to the catalog. */
  | { readonly type: 'converged'; readonly edge: string; readonly afterMs: number }
  | { readonly type: 'end'; readonly atMs: number };

/** What is said of a run in a line, and of many runs in a table. */
export interface Summary {
  readonly seed: number;
  readonly seconds: number;
  readonly reads: number;
  readonly excused: number;
  readonly operations: number;
  /** Operations that overlapped a fault. */
  readonly overlapped: number;
  /** Strikes by the fault's name. */
  readonly strikes: Readonly<Record<string, number>>;
  readonly skipped: Readonly<Record<string, string>>;
  readonly violations: readonly Violation[];
  readonly slowestConvergenceMs: number;
}
