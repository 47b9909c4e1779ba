/** A few seeds of `npm run chaos`, about four minutes in all: see docs/chaos.md. */
import { join } from 'node:path';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { problemsOf, summarize } from './report/summary.ts';
import { textOf } from './report/text.ts';
import { runChaos } from './run.ts';

/** Between them they strike with every fault. */
const SEEDS = [1, 2, 3, 4];
const MINUTES = 0.6;

test.each(SEEDS)('seed %i: whatever breaks, every promise is kept', async (seed) => {
  await using dir = await temporaryDirectory();
  const summary = summarize(await runChaos({ seed, minutes: MINUTES, dir: join(dir.path, 'run') }));
  process.stdout.write(textOf(summary));
  expect(problemsOf(summary)).toEqual([]);
});
