/** What was fuzzed when, as it stands in the repository. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Run {
  /** RFC 3339. */
  readonly date: string;
  readonly target: string;
  readonly seed: number;
  readonly inputs: number;
  readonly findings: number;
}

const HISTORY_FILE = join(import.meta.dirname, 'history.json');
const DOCUMENT = join(import.meta.dirname, '../../docs/fuzzing.md');
/** Between these lines of the document is the table. */
const TABLE = /(?<=<!-- history -->\n)[\s\S]*(?=<!-- \/history -->)/;

export function readHistory(): Run[] {
  return JSON.parse(readFileSync(HISTORY_FILE, 'utf8')) as Run[];
}

/** Adds runs to the history, and their sums to the table of the document. */
export function record(runs: readonly Run[]): void {
  const all = [...readHistory(), ...runs];
  writeFileSync(HISTORY_FILE, `[\n${all.map((run) => `  ${JSON.stringify(run)}`).join(',\n')}\n]\n`);
  writeFileSync(DOCUMENT, documentWith(all));
}

/** The document with a table of these runs. */
export function documentWith(runs: readonly Run[]): string {
  return readFileSync(DOCUMENT, 'utf8').replace(TABLE, () => tableOf(runs));
}

function tableOf(runs: readonly Run[]): string {
  const byTarget = new Map<string, { inputs: number; seeds: Set<number>; findings: number }>();
  for (const { target, seed, inputs, findings } of runs) {
    const sum = byTarget.get(target) ?? { inputs: 0, seeds: new Set(), findings: 0 };
    sum.inputs += inputs;
    sum.seeds.add(seed);
    sum.findings += findings;
    byTarget.set(target, sum);
  }
  const rows = [...byTarget].map(
    ([target, { inputs, seeds, findings }]) => `| \`${target}\` | ${grouped(inputs)} | ${seeds.size} | ${findings} |`,
  );
  const total = runs.reduce((sum, { inputs }) => sum + inputs, 0);
  return [
    '',
    '| target | inputs | seeds | findings |',
    '|---|--:|--:|--:|',
    ...rows,
    `| **all** | **${grouped(total)}** | | |`,
    '',
    '',
  ].join('\n');
}

function grouped(number: number): string {
  return number.toLocaleString('en-GB');
}
