/** Every process is ended and started again, one after the other, and nobody notices. */
import { eventually } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { expectServed, get } from '../cdn.ts';
import { scene, Uploads } from './scene.ts';
import { CHECK_MS, Visitors } from './visitors.ts';

const REFILLED_MS = 20_000;

test('while every server of the broker, every controller, every edge and the origin is restarted, no request at the edges fails, and every upload taken has its one outcome', async () => {
  await using at = await scene({ brokers: 3, env: { edge: { EDGE_STOP_NOTICE_MS: String(5 * CHECK_MS) } } });
  const { stack } = at;
  const uploads = new Uploads(stack.origin, 50);
  const keys = (): string[] => [...uploads.contents.keys()];
  await eventually(() => expect(keys()).toHaveLength(20), 30_000);
  const regions = [
    ['us-1', 'us-2'],
    ['eu-1', 'eu-2'],
  ];
  const visitors = regions.map(
    (ids) =>
      new Visitors(
        ids.map((id) => stack.edge(id)),
        keys,
      ),
  );
  /** What was uploaded while an edge was away comes behind what it says of being ready; until then it needs the origin. */
  const refilled = (): Promise<void> =>
    eventually(async () => {
      for (const { url } of stack.edges.values()) for (const key of keys()) expect((await get(url, key)).cache).toMatch(/; *hit/);
    }, REFILLED_MS);
  const steps: [string, () => Promise<void>][] = [
    ...stack.brokers.map((broker, index): [string, () => Promise<void>] => [`server ${index + 1}`, () => broker.restart()]),
    ...[...stack.controllers, ...stack.edges.values()].map((member): [string, () => Promise<void>] => [
      member.name,
      () => member.restart(),
    ]),
    ['every edge has what it missed', refilled],
    ['origin', () => stack.origin.restart()],
  ];
  for (const [name, step] of steps) {
    const before = visitors.map(({ answered }) => answered);
    await step();
    for (const each of visitors) await each.sentToAll();
    for (const [index, { problems, answered }] of visitors.entries()) {
      expect([name, problems]).toEqual([name, []]);
      expect(answered, `visitors were there: ${name}`).toBeGreaterThan(before[index] as number);
    }
  }
  const attempts = uploads.attempts;
  await eventually(() => expect(uploads.attempts).toBeGreaterThan(attempts + 5));
  await uploads.stop();
  await Promise.all(visitors.map((each) => each.stop()));
  expect(visitors.flatMap(({ problems }) => problems)).toEqual([]);
  // The origin was away for a while, and uploads were repeated as S3 clients do.
  expect(uploads.attempts).toBeGreaterThan(uploads.ids.length);
  await at.oneOutcomeEach(uploads.ids);
  for (const { url } of stack.edges.values()) {
    for (const [key, content] of uploads.contents) await eventually(() => expectServed(url, key, content));
  }
});
