/** `npm run chaos -- [--seed N | --seeds 1-30] [--minutes M] [--report file.html] [--json] [--keep]`: see docs/chaos.md. Ends with 1 when a promise was broken. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { pageOf } from './report/page.ts';
import type { LogEntry, Summary } from './report/run-log.ts';
import { problemsOf, summarize } from './report/summary.ts';
import { tableOf, textOf } from './report/text.ts';
import { type Progress, runChaos } from './run.ts';

const USAGE =
  'usage: npm run chaos -- [--seed <number> | --seeds <list, as 1-30 or 4,7>] [--minutes <number>] [--report <file.html>] [--json] [--keep]';
const PROGRESS_EVERY_MS = 10_000;
const SEEDS_MAX = 1_000;

function readOptions() {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      seeds: { type: 'string' },
      minutes: { type: 'string', default: '1' },
      report: { type: 'string' },
      json: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
    },
  });
  const { report, json, keep } = values;
  const minutes = Number(values.minutes);
  if (!(minutes >= 0.1 && minutes <= 600)) throw new Error('--minutes must be a number from 0.1 to 600');
  if (values.seed !== undefined && values.seeds !== undefined) throw new Error('give either --seed or --seeds');
  return { seeds: seedsIn(values.seeds ?? values.seed ?? String(Math.floor(Date.now() / 1000))), minutes, report, json, keep };
}

function seedsIn(text: string): number[] {
  const seeds = text.split(',').flatMap((part) => {
    const found = /^(\d{1,12})(?:-(\d{1,12}))?$/.exec(part.trim());
    if (found === null) throw new Error('a seed is a whole number; several are written 1-30 or 4,7');
    const [first, last] = [Number(found[1]), Number(found[2] ?? found[1])];
    if (last < first || last - first >= SEEDS_MAX) throw new Error(`${part} is no range of at most ${SEEDS_MAX} seeds`);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
  return seeds;
}

/** On a terminal one line that changes, else a line now and then. */
function teller(seed: number): (progress: Progress) => void {
  let shownAtMs = Number.NEGATIVE_INFINITY;
  return ({ atMs, reads, operations, strikes, violations, doing }) => {
    const count = (number: number): string => number.toLocaleString('en-GB');
    const text = `seed ${seed}, ${Math.round(atMs / 1000)} s: ${count(reads)} reads, ${count(operations)} operations, ${count(strikes)} faults, ${count(violations)} violations (${doing})`;
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
    else if (atMs - shownAtMs >= PROGRESS_EVERY_MS) {
      shownAtMs = atMs;
      process.stderr.write(`${text}\n`);
    }
  };
}

async function runOne(seed: number, { minutes, report, keep }: ReturnType<typeof readOptions>, isOneOfMany: boolean): Promise<Summary> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-chaos-'));
  const entries: LogEntry[] = await runChaos({ seed, minutes, dir, tell: teller(seed) });
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  const summary = summarize(entries);
  const failed = problemsOf(summary).length > 0;
  if (report !== undefined) {
    const path = resolve(isOneOfMany ? report.replace(/(\.html)?$/, `-${seed}.html`) : report);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, pageOf(entries));
    await writeFile(path.replace(/(\.html)?$/, '.jsonl'), entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
  }
  if (keep || failed) process.stderr.write(`data and logs of seed ${seed} are kept in ${dir}\n`);
  else await rm(dir, { recursive: true, force: true });
  return summary;
}

async function main(): Promise<number> {
  let options: ReturnType<typeof readOptions>;
  try {
    options = readOptions();
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${USAGE}\n`);
    return 2;
  }
  const summaries: Summary[] = [];
  for (const seed of options.seeds) {
    const summary = await runOne(seed, options, options.seeds.length > 1);
    summaries.push(summary);
    process.stdout.write(options.json ? `${JSON.stringify(summary)}\n` : textOf(summary));
  }
  if (!options.json && summaries.length > 1) process.stdout.write(tableOf(summaries));
  return summaries.some((summary) => problemsOf(summary).length > 0) ? 1 : 0;
}

process.exitCode = await main();
