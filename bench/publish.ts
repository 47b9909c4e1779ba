import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Prints a report, as JSON or as its table, and keeps both in `bench/results` unless it was a quick run. */
export async function publish(
  report: { readonly suite: string },
  table: string,
  { json, quick }: { readonly json: boolean; readonly quick: boolean },
): Promise<void> {
  if (!quick) {
    const results = join(import.meta.dirname, 'results');
    await mkdir(results, { recursive: true });
    await writeFile(join(results, `${report.suite}.json`), `${JSON.stringify(report, undefined, 2)}\n`);
    await writeFile(join(results, `${report.suite}.md`), table);
  }
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : table);
}
