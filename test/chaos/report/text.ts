/** What is said of runs on a terminal. Colours only where {@link Style} gives them. */
import { visible } from '../../../apps/cli/src/render/quantity.ts';
import { renderTable } from '../../../apps/cli/src/render/table.ts';
import type { Summary } from './run-log.ts';
import { problemsOf, sumOf } from './summary.ts';

/** Colours a text, as `styleText` of `node:util` does; without one it stays plain. */
export type Style = (format: 'red' | 'green' | 'dim', text: string) => string;

const plain: Style = (_format, text) => text;
const count = (number: number): string => number.toLocaleString('en-GB');

/** One run, some lines. */
export function textOf(summary: Summary, style: Style = plain): string {
  const { seed, seconds, reads, excused, operations, overlapped, strikes, skipped, slowestConvergenceMs } = summary;
  const problems = problemsOf(summary);
  const mark = problems.length === 0 ? style('green', '✓') : style('red', '✗');
  return [
    `${mark} seed ${seed}: ${count(reads)} answers checked in ${seconds} s, ${count(excused)} requests without one while something was broken; ${count(operations)} operations, ${count(overlapped)} of them during a fault`,
    `  faults: ${listOf(strikes)}`,
    ...Object.entries(skipped).map(([name, why]) => style('dim', `  not here: ${visible(`${name}, ${why}`)}`)),
    slowestConvergenceMs === 0
      ? '  no edge is known to have had the catalog after everything ran again'
      : `  every edge had the catalog ${(slowestConvergenceMs / 1000).toFixed(1)} s after everything ran again`,
    ...problems.map((problem) => style('red', `  ✗ ${visible(problem)}`)),
    '',
  ].join('\n');
}

/** Many runs: a line each and their sum, then how often each fault struck in all of them. */
export function tableOf(summaries: readonly Summary[], style: Style = plain): string {
  const titles = ['seed', 'reads', 'operations', 'during a fault', 'faults', 'violations', 'verdict'];
  const numbersOf = ({ reads, operations, overlapped, strikes, violations }: Summary): number[] => [
    ...[reads, operations, overlapped],
    ...[sumOf(Object.values(strikes)), violations.length],
  ];
  const failed = summaries.filter((summary) => problemsOf(summary).length > 0);
  const numbers = summaries.map(numbersOf);
  const totals = titles.slice(1, -1).map((_, column) => sumOf(numbers.map((each) => each[column] as number)));
  const verdictOf = (summary: Summary): string => (failed.includes(summary) ? style('red', '✗') : style('green', '✓'));
  const lines = renderTable(
    titles.map((title, column) => ({ title, align: column === 0 || title === 'verdict' ? 'left' : 'right' })),
    [
      ...summaries.map((summary, row) => [String(summary.seed), ...(numbers[row] as number[]).map(count), verdictOf(summary)]),
      [
        `${count(summaries.length)} ${summaries.length === 1 ? 'run' : 'runs'}`,
        ...totals.map(count),
        failed.length === 0 ? style('green', 'all ✓') : style('red', `${count(failed.length)} ✗`),
      ],
    ],
  );
  return [...lines, `faults: ${listOf(mergedStrikes(summaries))}`, ''].join('\n');
}

function mergedStrikes(summaries: readonly Summary[]): Readonly<Record<string, number>> {
  const merged = new Map<string, number>();
  for (const { strikes } of summaries)
    for (const [name, times] of Object.entries(strikes)) merged.set(name, (merged.get(name) ?? 0) + times);
  return Object.fromEntries(merged);
}

function listOf(strikes: Readonly<Record<string, number>>): string {
  const struck = Object.entries(strikes).sort(([a], [b]) => a.localeCompare(b));
  return struck.map(([name, times]) => visible(`${name} ${count(times)}`)).join(', ') || 'none';
}
