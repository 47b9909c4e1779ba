/** A run in a few numbers. */
import type { LogEntry, Summary } from './run-log.ts';

export function summarize(entries: readonly LogEntry[]): Summary {
  const of = <Type extends LogEntry['type']>(type: Type) =>
    entries.filter((entry): entry is Extract<LogEntry, { type: Type }> => entry.type === type);
  const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
  const faults = of('fault');
  const operations = of('operation');
  const strikes: Record<string, number> = {};
  for (const { name } of faults) strikes[name] = (strikes[name] ?? 0) + 1;
  const [begin] = of('begin');
  return {
    seed: begin?.seed ?? 0,
    seconds: Math.round((of('end')[0]?.atMs ?? 0) / 1000),
    reads: sum(of('second').map(({ reads }) => reads)),
    excused: sum(of('second').map(({ excused }) => excused)),
    operations: operations.length,
    overlapped: operations.filter(({ atMs, endedAtMs }) => faults.some((fault) => fault.atMs <= endedAtMs && atMs <= fault.healedAtMs))
      .length,
    strikes,
    skipped: begin?.missing ?? {},
    violations: of('violation').map(({ type: _, ...violation }) => violation),
    slowestConvergenceMs: Math.max(0, ...of('converged').map(({ afterMs }) => afterMs)),
  };
}

/** Why a run says nothing, or that something is broken; none: it says that all is well. */
export function problemsOf(summary: Summary): string[] {
  const { violations, strikes, overlapped, reads } = summary;
  return [
    ...violations.map(
      ({ invariant, edge, key, what, atMs }) =>
        `${invariant} at ${(atMs / 1000).toFixed(1)} s: ${[edge, key, what].filter(Boolean).join(': ')}`,
    ),
    ...(Object.keys(strikes).length === 0 ? ['no fault struck'] : []),
    ...(overlapped === 0 ? ['no operation overlapped a fault'] : []),
    ...(reads === 0 ? ['nothing was read'] : []),
  ];
}
