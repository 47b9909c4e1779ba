import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface BenchOptions {
  /** The report as JSON on standard output, instead of its table. */
  readonly json: boolean;
  /** Fewer and shorter repetitions, and nothing is written. */
  readonly quick: boolean;
}

export interface Suite {
  /** Those that can be run alone; empty: it runs as a whole only. */
  readonly parts: readonly string[];
  /** Runs these parts, all when none is named. */
  run(options: BenchOptions, parts: readonly string[]): Promise<void>;
}

/** Prints a report, as JSON or as its table, and keeps both in `bench/results` unless it was a quick run. */
export async function publish<Report extends { readonly suite: string }>(
  report: Report,
  table: string,
  { json, quick }: BenchOptions,
): Promise<void> {
  if (!quick) {
    const results = join(import.meta.dirname, 'results');
    await mkdir(results, { recursive: true });
    await writeFile(join(results, `${report.suite}.json`), `${JSON.stringify(report, undefined, 2)}\n`);
    await writeFile(join(results, `${report.suite}.md`), table);
  }
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : `${table}\n`);
}

/** Tells whoever waits what is being done, beside the report. */
export function say(message: string): void {
  process.stderr.write(`${message}\n`);
}
