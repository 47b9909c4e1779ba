/** An edge dies, or its disk or broker fails, at every place where something lasting happens: it serves nothing wrong, goes back to no older version, and equals the catalog after catching up. */
import { join } from 'node:path';
import { temporaryDirectory } from '@sluice/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hostOfChildren } from './child.ts';
import { type CrashPoint, describePoint, failingAt, oneOfEach, Recorder, type Strike, sampleOf, strikesIn } from './crash-points.ts';
import { writeImage } from './directory-image.ts';
import {
  checkEdge,
  EDGE_BACKGROUND,
  EDGE_STEPS,
  edgeScenario,
  hostHere,
  nothingTold,
  openPlace,
  type Place,
  type Told,
  World,
} from './edge-scene.ts';
import { CONCURRENCY, runAll } from './in-turn.ts';
import { report } from './report.ts';

const places: Place[] = [];
let dir: Awaited<ReturnType<typeof temporaryDirectory>>;
let recorder: Recorder<Told>;
let recorded: World;

/** Each case has a broker to itself while it runs: the subjects of an edge and of an origin are the same in all. */
async function inPlace(strike: Strike, point: CrashPoint, run: (place: Place) => Promise<void>): Promise<void> {
  const place = places.pop() as Place;
  try {
    await run(place);
  } catch (cause) {
    throw new Error(`${strike}: ${describePoint(point)}`, { cause });
  } finally {
    places.push(place);
  }
}

// Each edge listens to SIGHUP twice.
process.setMaxListeners(2 * CONCURRENCY + 10);

beforeAll(async () => {
  places.push(...(await Promise.all(Array.from({ length: CONCURRENCY }, openPlace))));
  dir = await temporaryDirectory();
  const place = places[0] as Place;
  const path = join(dir.path, 'recorded');
  const told = nothingTold();
  recorder = new Recorder(path, () => told);
  recorded = new World(place.bus);
  await recorded.origin.start();
  const host = hostHere(path, place.natsUrl, recorder.operate);
  await edgeScenario({ bus: place.bus, world: recorded, host, told, dir: path }, recorder.step);
  await recorded.origin.stop();
  for (const [name, labels] of Object.entries(EDGE_STEPS))
    expect(recorder.labelsOf(name), name).toEqual(expect.arrayContaining([...labels]));
  expect(recorder.labelsOf()).toEqual(expect.arrayContaining([...EDGE_BACKGROUND]));
});

afterAll(async () => {
  report('edge');
  await Promise.all(places.map((place) => place[Symbol.asyncDispose]()));
  await dir[Symbol.asyncDispose]();
});

describe('an edge serves nothing wrong and catches up', () => {
  test('killed before or after any operation', async () => {
    const { distinct, remains } = recorder;
    await runAll(distinct, ({ point, strike, image, told }, position) =>
      inPlace(strike, point, async ({ natsUrl, bus }) => {
        const left = join(dir.path, `left-${position}`);
        writeImage(image, left);
        const world = new World(bus, recorded);
        await world.origin.start();
        await checkEdge(left, natsUrl, told, world).finally(() => world.origin.stop());
      }),
    );
    report('edge', 'killed (as left on the disk)', remains.length, `${distinct.length} different ones restarted`);
  });

  test.each(['fails', 'answer-lost'] as const)('when any operation ends so once: %s', async (strike) => {
    // Each takes a second or more.
    const points = oneOfEach(4, strikesIn(recorder.recorded, strike));
    let struck = 0;
    await runAll(points, (point, position) =>
      inPlace(strike, point, async ({ natsUrl, bus }) => {
        const path = join(dir.path, `${strike}-${position}`);
        const failing = failingAt(point, strike);
        const told = nothingTold();
        const world = new World(bus);
        await world.origin.start();
        const host = hostHere(path, natsUrl, failing.operate);
        try {
          await edgeScenario({ bus, world, host, told, dir: path }, () => {}, failing.struck).finally(() => host.stop());
          await checkEdge(path, natsUrl, told, world);
        } finally {
          await world.origin.stop();
        }
        struck += failing.struck() ? 1 : 0;
      }),
    );
    report('edge', strike, struck);
    expect(struck).toBeGreaterThan(0.8 * points.length);
  });

  test('killed with SIGKILL at the labels of the sample', async () => {
    let struck = 0;
    await runAll(sampleOf(recorder.recorded), ({ point, strike }, position) =>
      inPlace(strike, point, async ({ natsUrl, bus }) => {
        const path = join(dir.path, `killed-${position}`);
        const told = nothingTold();
        const world = new World(bus);
        await world.origin.start();
        const host = hostOfChildren('edge.child.ts', { point, strike, dir: path, natsUrl });
        try {
          // It ends in the middle of it.
          await edgeScenario({ bus, world, host, told, dir: path }).catch(() => {});
          struck += (await host.end()) ? 1 : 0;
          await checkEdge(path, natsUrl, told, world);
        } finally {
          await world.origin.stop();
        }
      }),
    );
    report('edge', 'killed (SIGKILL)', struck);
  });
});
