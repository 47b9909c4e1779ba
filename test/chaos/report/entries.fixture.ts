/** Logs that were made up. */
import type { LogEntry } from './run-log.ts';

export const second = (atMs: number, reads: number, excused = 0, rssBytes: Record<string, number> = { origin: 80_000_000 }): LogEntry => ({
  ...{ type: 'second', atMs, reads, excused, p50Ms: 1, p99Ms: 9, rssBytes },
});
export const fault = (atMs: number, healedAtMs: number, name = 'kill', what = 'edge us-1'): LogEntry => ({
  ...{ type: 'fault', atMs, healedAtMs, name, what },
});
export const operation = (atMs: number, endedAtMs: number, kind = 'put', outcome = 'done', attempts = 1): LogEntry => ({
  ...{ type: 'operation', atMs, endedAtMs, kind, what: '{}', attempts, outcome },
});
export const begin: LogEntry = {
  ...{ type: 'begin', seed: 7, minutes: 0.1, startedAt: '2026-01-01T00:00:00.000Z', edges: ['edge us-1', 'edge eu-1'] },
  missing: { 'disk-full': 'only root may do that' },
};
export const violation = {
  ...{ type: 'violation', invariant: 'monotonic', atMs: 1_500, edge: 'edge us-1', key: 'chaos/a', what: 'version 1 after 2' },
} as const satisfies LogEntry;

/** A run of 6 s in which all went well. */
export const RUN: readonly LogEntry[] = [
  begin,
  ...[second(1_000, 400), second(2_000, 200, 3)],
  fault(1_200, 1_900),
  // Before it, across its beginning, within it, across its end, behind it.
  ...[operation(0, 1_199), operation(1_100, 1_300), operation(1_400, 1_500), operation(1_800, 2_500), operation(1_901, 2_000)],
  { type: 'converged', edge: 'edge us-1', afterMs: 2_345 },
  { type: 'converged', edge: 'edge eu-1', afterMs: 1_000 },
  { type: 'end', atMs: 6_000 },
];
