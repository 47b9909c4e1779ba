/** A run in a few numbers. Pure. */
import type { LogEntry, Summary } from './run-log.ts';

export type EntryOf<Type extends LogEntry['type']> = Extract<LogEntry, { readonly type: Type }>;

/** The entries of one type, in the order of the log. */
export function entriesOf<Type extends LogEntry['type']>(entries: readonly LogEntry[], type: Type): EntryOf<Type>[] {
  return entries.filter((entry): entry is EntryOf<Type> => entry.type === type);
}

export function summarize(entries: readonly LogEntry[]): Summary {
  const faults = entriesOf(entries, 'fault');
  const operations = entriesOf(entries, 'operation');
  const seconds = entriesOf(entries, 'second');
  const [begin] = entriesOf(entries, 'begin');
  return {
    seed: begin?.seed ?? 0,
    seconds: Math.round((entriesOf(entries, 'end')[0]?.atMs ?? 0) / 1000),
    reads: sumOf(seconds.map(({ reads }) => reads)),
    excused: sumOf(seconds.map(({ excused }) => excused)),
    operations: operations.length,
    overlapped: operations.filter((operation) => overlapsAny(operation, faults)).length,
    strikes: countOf(faults.map(({ name }) => name)),
    skipped: begin?.missing ?? {},
    violations: entriesOf(entries, 'violation').map(({ type: _, ...violation }) => violation),
    slowestConvergenceMs: Math.max(0, ...entriesOf(entries, 'converged').map(({ afterMs }) => afterMs)),
  };
}

/** Whether an operation was under way at any moment of a fault; both ends count. */
export function overlapsAny({ atMs, endedAtMs }: EntryOf<'operation'>, faults: readonly EntryOf<'fault'>[]): boolean {
  return faults.some((fault) => fault.atMs <= endedAtMs && atMs <= fault.healedAtMs);
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

/** How often each name comes. What a log calls `__proto__` is a name as any other. */
export function countOf(names: readonly string[]): Readonly<Record<string, number>> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return Object.fromEntries(counts);
}

export function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
