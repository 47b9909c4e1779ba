/** What is said of runs on a terminal. */
import type { Summary } from './run-log.ts';
import { problemsOf } from './summary.ts';

const count = (number: number): string => number.toLocaleString('en-GB');

/** One run. */
export function textOf(summary: Summary): string {
  const { seed, seconds, reads, excused, operations, overlapped, strikes, skipped, slowestConvergenceMs } = summary;
  const problems = problemsOf(summary);
  const struck = Object.entries(strikes).sort(([a], [b]) => a.localeCompare(b));
  return [
    `${problems.length === 0 ? '✓' : '✗'} seed ${seed}: ${count(reads)} answers checked in ${seconds} s, ${count(excused)} requests without one while something was broken; ${count(operations)} operations, ${count(overlapped)} of them during a fault`,
    `  faults: ${struck.map(([name, times]) => `${name} ${times}`).join(', ') || 'none'}`,
    ...Object.entries(skipped).map(([name, why]) => `  not here: ${name}, ${why}`),
    `  every edge had the catalog ${(slowestConvergenceMs / 1000).toFixed(1)} s after everything ran again`,
    ...problems.map((problem) => `  ✗ ${problem}`),
    '',
  ].join('\n');
}

/** Many runs: a line each, and their sum. */
export function tableOf(summaries: readonly Summary[]): string {
  const row = (cells: readonly string[]): string => cells.map((cell, index) => (index === 0 ? cell.padEnd(8) : cell.padStart(12))).join('');
  const of = (summary: Summary): number[] => [
    summary.reads,
    summary.operations,
    Object.values(summary.strikes).reduce((sum, times) => sum + times, 0),
    summary.violations.length,
  ];
  const total = summaries.map(of).reduce((sum, numbers) => sum.map((each, index) => each + (numbers[index] as number)), [0, 0, 0, 0]);
  return [
    row(['seed', 'reads', 'operations', 'faults', 'violations']),
    ...summaries.map((summary) => row([String(summary.seed), ...of(summary).map(count)])),
    row([`${summaries.length} runs`, ...total.map(count)]),
    '',
  ].join('\n');
}
