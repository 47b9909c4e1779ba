/** An origin dies, or its disk or broker fails, at every place where something lasting happens: nothing that was confirmed is lost, nothing is left over, and every event comes out. */
import { join } from 'node:path';
import { temporaryDirectory, testBroker } from '@sluice/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { endOf, startChild } from './child.ts';
import { describePoint, failingAt, Recorder, sampleOf, strikesIn } from './crash-points.ts';
import { writeImage } from './directory-image.ts';
import { runAll } from './in-turn.ts';
import {
  Client,
  checkOrigin,
  EventWatch,
  nothingTold,
  ORIGIN_BACKGROUND,
  ORIGIN_STEPS,
  openOrigin,
  originScenario,
  settled,
  type Told,
} from './origin-scene.ts';
import { report } from './report.ts';

let broker: Awaited<ReturnType<typeof testBroker>>;
let events: EventWatch;
let recorder: Recorder<Told>;
let dir: Awaited<ReturnType<typeof temporaryDirectory>>;

beforeAll(async () => {
  broker = await testBroker();
  const bus = await broker.connect();
  events = new EventWatch(bus);
  await bus.flush();
  dir = await temporaryDirectory();
  const told = nothingTold();
  recorder = new Recorder(join(dir.path, 'recorded'), () => told);
  const { origin, url } = await openOrigin(join(dir.path, 'recorded'), broker.url, recorder.operate);
  await originScenario(new Client(url, told), join(dir.path, 'recorded'), recorder.step);
  recorder.step('end');
  await settled(join(dir.path, 'recorded'));
  await origin.stop();
  for (const [name, labels] of Object.entries(ORIGIN_STEPS))
    expect(recorder.labelsOf(name), name).toEqual(expect.arrayContaining([...labels]));
  expect(recorder.labelsOf()).toEqual(expect.arrayContaining([...ORIGIN_BACKGROUND]));
}, 60_000);

afterAll(async () => {
  report('origin');
  await broker[Symbol.asyncDispose]();
  await dir[Symbol.asyncDispose]();
});

describe('an origin keeps what it confirmed, and nothing else', () => {
  test('killed before or after any operation', async () => {
    const { distinct, remains } = recorder;
    await runAll(distinct, async ({ point, strike, image, told }, position) => {
      const left = join(dir.path, `left-${position}`);
      writeImage(image, left);
      await checkOrigin(left, broker.url, told, events).catch((cause) => {
        throw new Error(`${strike} ${describePoint(point)}`, { cause });
      });
    });
    report('origin', 'killed (as left on the disk)', remains.length, `${distinct.length} different ones restarted`);
  });

  test.each(['fails', 'answer-lost'] as const)('when any operation ends so once: %s', async (strike) => {
    const points = strikesIn(recorder.recorded, strike);
    let struck = 0;
    await runAll(points, async (point, position) => {
      const failing = failingAt(point, strike);
      const path = join(dir.path, `${strike}-${position}`);
      const told = nothingTold();
      try {
        // An origin that cannot open its directory says so and is started again.
        const open = () => openOrigin(path, broker.url, failing.operate);
        const { origin, url } = await open().catch(open);
        await originScenario(new Client(url, told), path).finally(() => origin.stop());
        await checkOrigin(path, broker.url, told, events);
      } catch (cause) {
        throw new Error(`${strike}: ${describePoint(point)}`, { cause });
      }
      struck += failing.struck() ? 1 : 0;
    });
    report('origin', strike, struck);
    expect(struck).toBeGreaterThan(0.8 * points.length);
  });

  test('killed with SIGKILL at the labels of the sample', async () => {
    let struck = 0;
    await runAll(sampleOf(recorder.recorded), async ({ point, strike }, position) => {
      const path = join(dir.path, `killed-${position}`);
      const told = nothingTold();
      try {
        const { child, port } = await startChild('origin.child.ts', { point, strike, dir: path, natsUrl: broker.url });
        // It ends in the middle of it.
        if (port !== undefined) await originScenario(new Client(`http://127.0.0.1:${port}`, told), path).catch(() => {});
        struck += (await endOf(child)) ? 1 : 0;
        await checkOrigin(path, broker.url, told, events);
      } catch (cause) {
        throw new Error(`${strike} ${describePoint(point)}`, { cause });
      }
    });
    report('origin', 'killed (SIGKILL)', struck);
  });
});
