/** A controller dies, or its broker fails it, at every exchange on the way from an event to its outcome: the outcome comes, once, and every edge was sent the command. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { endOf, startChild } from './child.ts';
import { announceAll, CONTROLLER_LABELS, checkOutcomes, openController, openStage } from './controller-scene.ts';
import { type CrashPoint, describePoint, failingAt, Recorder, type Strike, strikesIn } from './crash-points.ts';
import { runAll } from './in-turn.ts';
import { report } from './report.ts';

let recorder: Recorder<object>;

/** Another controller finishes what the first one, as it is struck, leaves. */
async function strikeOne(point: CrashPoint, strike: Strike): Promise<boolean> {
  await using stage = await openStage();
  try {
    if (strike === 'fails' || strike === 'answer-lost') {
      const failing = failingAt(point, strike);
      const controller = await openController(stage.natsUrl, failing.operate);
      try {
        await controller.working;
        await checkOutcomes(stage, await announceAll(stage));
      } finally {
        await controller.lifecycle.stop('test');
      }
      return failing.struck();
    }
    const { child } = await startChild('controller.child.ts', { point, strike, dir: '', natsUrl: stage.natsUrl });
    const announced = announceAll(stage);
    announced.catch(() => {});
    const struck = await endOf(child);
    const other = await openController(stage.natsUrl);
    try {
      await other.working;
      await checkOutcomes(stage, await announced);
    } finally {
      await other.lifecycle.stop('test');
    }
    return struck;
  } catch (cause) {
    throw new Error(`${strike}: ${describePoint(point)}`, { cause });
  }
}

beforeAll(async () => {
  await using stage = await openStage();
  recorder = new Recorder(undefined, () => ({}));
  const controller = await openController(stage.natsUrl, recorder.operate);
  await controller.working;
  await checkOutcomes(stage, await announceAll(stage));
  await controller.lifecycle.stop('test');
  expect(recorder.labelsOf()).toEqual(expect.arrayContaining([...CONTROLLER_LABELS]));
});

afterAll(() => report('controller'));

describe('every event has its outcome, once', () => {
  test.each(['fails', 'answer-lost', 'killed-before', 'killed-after'] as const)('%s', async (strike) => {
    // Not only the first of each label: the events are of several kinds.
    const points = strikesIn(
      recorder.recorded.map((each) => ({ ...each, step: each.occurrence === 1 ? 'first' : 'later' })),
      strike,
    );
    let struck = 0;
    await runAll(points, async (point) => {
      if (await strikeOne(point, strike)) struck += 1;
    });
    report('controller', strike === 'fails' || strike === 'answer-lost' ? strike : `${strike} (SIGKILL)`, struck);
    expect(struck).toBeGreaterThan(0.5 * points.length);
  });
});
