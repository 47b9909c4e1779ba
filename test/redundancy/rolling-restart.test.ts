/** Every process is ended and started again, one after the other, and nobody notices. */
import { eventually } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { expectServed } from '../cdn.ts';
import { scene, Uploads } from './scene.ts';
import { CHECK_MS, Visitors } from './visitors.ts';

test('while every server of the broker, every controller, every edge and the origin is restarted, no request at the edges fails and every upload has its one outcome', async () => {
  await using at = await scene({ brokers: 3, env: { edge: { EDGE_STOP_NOTICE_MS: String(5 * CHECK_MS) } } });
  const { stack } = at;
  const uploads = new Uploads(stack.origin, 50);
  await eventually(() => expect(uploads.contents.size).toBe(20), 30_000);
  const regions = [['us-1', 'us-2'] as const, ['eu-1', 'eu-2'] as const];
  const visitors = regions.map(
    (ids) =>
      new Visitors(
        ids.map((id) => stack.edge(id)),
        () => [...uploads.contents.keys()],
      ),
  );
  const restarts: [string, () => Promise<unknown>][] = [
    ...stack.brokers.map((broker, index) => [`server ${index + 1} of the broker`, () => broker.restart()] as [string, () => Promise<void>]),
    ...[...stack.controllers, ...stack.edges.values(), stack.origin].map(
      (member) => [member.name, () => member.restart()] as [string, () => Promise<void>],
    ),
  ];
  for (const [name, restart] of restarts) {
    const [uploaded, answered] = [uploads.ids.length, visitors.map((each) => each.answered)];
    const began = performance.now();
    await restart();
    process.stderr.write(
      `${name}: ${Math.round(performance.now() - began)} ms, ${uploads.ids.length - uploaded} uploads, ${visitors.map((each, i) => each.answered - answered[i]!)} ${visitors.flatMap((v) => v.problems).length}\n`,
    );
    expect(
      visitors.flatMap(({ problems }) => problems),
      name,
    ).toEqual([]);
  }
  await uploads.stop();
  await Promise.all(visitors.map((each) => each.stop()));
  expect(visitors.flatMap(({ problems }) => problems)).toEqual([]);
  const outcomes = await at.oneOutcomeEach(uploads.ids);
  process.stderr.write(`${outcomes.length} ${at.heard.length}\n`);
  for (const edge of stack.edges.values()) {
    for (const [key, content] of uploads.contents) await eventually(() => expectServed(edge.url, key, content), 10_000);
  }
});
