/** A broker of three servers: whichever one is killed, hangs or loses its disk, visitors and uploads notice nothing but that some things take longer. */
import type { Broker } from '@sluice/stack';
import { eventually } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { expectServed } from '../cdn.ts';
import { type Scene, scene, Uploads } from './scene.ts';
import { Visitors } from './visitors.ts';

const SERVERS = ['broker', 'broker-2', 'broker-3'];
/** Until all that is retried has found another server, after elections of two to nine seconds. */
const RECOVERED_MS = 45_000;

/** The server that leads a stream. */
const leaderOf = ({ bus, stack }: Scene, stream: string): Promise<Broker> =>
  eventually(async () => {
    const { cluster } = (await bus.connection.request(`$JS.API.STREAM.INFO.${stream}`, '', { timeout: 1_000 })).json<{
      cluster?: { leader?: string };
    }>();
    const leader = stack.brokers[SERVERS.indexOf(cluster?.leader ?? '')];
    if (leader === undefined) throw new Error(`${stream} has no leader`);
    return leader;
  }, RECOVERED_MS);

test('with the leading server killed, hung or wiped, no request at the edges fails, every upload is taken at once, and each has its one outcome', async () => {
  await using at = await scene({ brokers: 3 });
  const { stack } = at;
  const uploads = new Uploads(stack.origin, 100);
  const keys = (): string[] => [...uploads.contents.keys()];
  await eventually(() => expect(keys()).toHaveLength(20), 30_000);
  await at.oneOutcomeEach(uploads.ids.slice(0, 20));
  const visitors = [...stack.edges.values()].map((edge) => new Visitors([edge], keys));
  const faults: [string, (victim: Broker) => Promise<() => Promise<void>>][] = [
    [
      'hung',
      async (victim) => {
        victim.pause();
        return async () => victim.resume();
      },
    ],
    [
      'killed, and its store wiped',
      async (victim) => {
        await victim.kill();
        return async () => {
          await victim.wipe();
          await victim.start();
        };
      },
    ],
  ];
  for (const [name, strike] of faults) {
    const victim = await leaderOf(at, 'CONTENT');
    const repair = await strike(victim);
    const [answered, taken] = [visitors.map((each) => each.answered), uploads.ids.length];
    // What is uploaded now is announced and distributed while the server is away.
    await eventually(() => expect(uploads.ids.length).toBeGreaterThan(taken + 5));
    await at.oneOutcomeEach(uploads.ids.slice(0, taken + 5));
    await repair();
    await victim.waitUntilHealthy();
    for (const [index, each] of visitors.entries()) {
      expect([name, each.problems]).toEqual([name, []]);
      expect(each.answered).toBeGreaterThan(answered[index] as number);
    }
  }
  await uploads.stop();
  await Promise.all(visitors.map((each) => each.stop()));
  expect(visitors.flatMap(({ problems }) => problems)).toEqual([]);
  expect(uploads.attempts).toBe(uploads.ids.length);
  const outcomes = await at.oneOutcomeEach(uploads.ids);
  expect(outcomes.filter(({ complete }) => complete).length).toBeGreaterThan(0);
  for (const { url } of stack.edges.values()) {
    for (const [key, content] of uploads.contents) await eventually(() => expectServed(url, key, content), 40_000);
  }
});
