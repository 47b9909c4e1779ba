import { FakeClock } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { silent } from '../../testing/origin.fixture.ts';
import { maintainFeed } from './feed-maintenance.ts';
import type { PruneLimits } from './feed-pruner.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('old rows are forgotten batch by batch, every hour, until stopped', async () => {
  const clock = new FakeClock(Date.UTC(2026, 5, 1));
  const asked: PruneLimits[] = [];
  const batches = [3, 2, 0, 0];
  const prune = async (limits: PruneLimits): Promise<number> => {
    asked.push(limits);
    return batches.shift() ?? 0;
  };
  const stop = maintainFeed({ catalog: { prune }, clock, log: silent, retentionMs: 1_000, maxRows: 7 });
  clock.advance(60_000);
  await turn();
  expect(asked).toHaveLength(3);
  expect(asked[0]).toEqual({ untilVersion: (clock.nowMs() - 1_000) * 1_000, maxRows: 7 });
  clock.advance(3_600_000);
  await turn();
  expect(asked).toHaveLength(4);
  stop();
  clock.advance(10 * 3_600_000);
  await turn();
  expect(asked).toHaveLength(4);
});

test('a failure is tried again an hour later', async () => {
  const clock = new FakeClock();
  let attempts = 0;
  const prune = async (): Promise<number> => {
    attempts += 1;
    throw new Error('disk');
  };
  const stop = maintainFeed({ catalog: { prune }, clock, log: silent, retentionMs: 1_000, maxRows: 7 });
  for (const waitMs of [60_000, 3_600_000]) {
    clock.advance(waitMs);
    await turn();
  }
  expect(attempts).toBe(2);
  stop();
});
