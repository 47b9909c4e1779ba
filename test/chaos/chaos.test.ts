/** A few seeds of `npm run chaos`, about two minutes in all: see docs/chaos.md. */
import { join } from 'node:path';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { problemsOf, summarize } from './report/summary.ts';
import { textOf } from './report/text.ts';
import { runChaos } from './run.ts';

/** Two draw many faults from the bag, one after the other; which, each run prints. */
const SEEDS = [1, 2];
const MINUTES = 0.5;

test.each(SEEDS)('seed %i: whatever breaks, every promise is kept', async (seed) => {
  await using dir = await temporaryDirectory();
  const summary = summarize(await runChaos({ seed, minutes: MINUTES, dir: join(dir.path, 'run') }));
  process.stdout.write(textOf(summary));
  expect(problemsOf(summary)).toEqual([]);
});
