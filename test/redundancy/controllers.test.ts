/** Several controllers: whichever dies, sleeps, comes or goes, and whenever, each event has one outcome, and every edge has the content. */
import { type EdgeReport, edgePush, type PushCommand } from '@sluice/contracts';
import type { Member } from '@sluice/stack';
import { contentOf, edgeReport, eventually } from '@sluice/testkit';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { expectServed, upload } from '../cdn.ts';
import { type Scene, scene } from './scene.ts';

const ACK_WAIT_MS = 2_000;
const FAST = { CONTROLLER_ACK_WAIT_MS: String(ACK_WAIT_MS), CONTROLLER_HEARTBEAT_MS: '200', CONTROLLER_LEASE_MS: '2000' };
const EDGES = [
  { id: 'us-1', region: 'US' },
  { id: 'eu-1', region: 'EU' },
];
const SEED = Number(process.env.SEED ?? 20_261_125);

/** An edge that the test plays: it keeps its lease, and answers pushes when it is told to. */
async function playedEdge({ bus }: Scene) {
  const report: EdgeReport = edgeReport({ id: 'played', instance: 'one', region: 'US' });
  const commands: PushCommand[] = [];
  let gate: Promise<void> | undefined;
  const unserve = bus.serve(edgePush(report.id), async (command) => {
    commands.push(command);
    await gate;
    return { ok: true, outcome: command.op === 'store' ? 'stored' : 'removed', bytes: 0 } as const;
  });
  const beat = (draining = false): void => bus.connection.publish(`edge.${report.id}.heartbeat`, JSON.stringify({ ...report, draining }));
  beat();
  const timer = setInterval(beat, 200);
  return {
    commands,
    /** From now on pushes are answered only when the function returned is called. */
    hang(): () => void {
      const { promise, resolve } = Promise.withResolvers<void>();
      gate = promise;
      return () => {
        gate = undefined;
        resolve();
      };
    },
    [Symbol.dispose]() {
      clearInterval(timer);
      unserve();
      beat(true);
    },
  };
}

const knows = ({ url }: Member, edge: string): Promise<void> =>
  eventually(async () => expect(await (await fetch(`${url}/edges`)).text()).toContain(`"${edge}"`));

/** Which of the controllers works on an event. */
const workerOf = (controllers: readonly Member[], id: string): Promise<Member> =>
  eventually(async () => {
    for (const controller of controllers) {
      if (!controller.running) continue;
      const answer = (await (await fetch(`${controller.url}/distributions/${id}`)).json()) as { status?: string };
      if (answer.status === 'distributing') return controller;
    }
    throw new Error(`no controller works on ${id}`);
  });

test('in the quiet case each event is pushed once to each edge, whichever of three controllers has it', async () => {
  await using at = await scene({ edges: [], controllers: 3, env: { controller: FAST } });
  using edge = await playedEdge(at);
  await Promise.all(at.stack.controllers.map((controller) => knows(controller, 'played')));
  const ids: string[] = [];
  for (let number = 0; number < 60; number += 1)
    ids.push((await upload(at.stack.origin.url, `site/${number}`, contentOf(300, `${number}`))).id);
  await at.oneOutcomeEach(ids);
  expect(edge.commands).toHaveLength(ids.length);
  expect(at.heard.map(({ id }) => id).sort()).toEqual([...ids].sort());
});

test('a controller that is killed while an edge hangs leaves its events to another one, within the time that the broker waits', async () => {
  await using at = await scene({ edges: [], env: { controller: FAST } });
  using edge = await playedEdge(at);
  const { controllers, origin } = at.stack;
  await Promise.all(controllers.map((controller) => knows(controller, 'played')));
  const release = edge.hang();
  const { id } = await upload(origin.url, 'site/a', contentOf(300, 'a'));
  const worker = await workerOf(controllers, id);
  await worker.kill();
  release();
  const beganMs = performance.now();
  const [outcome] = await at.oneOutcomeEach([id]);
  expect(performance.now() - beganMs).toBeLessThan(5 * ACK_WAIT_MS);
  expect(outcome).toMatchObject({ complete: true, edges: [{ edge: 'played' }] });
  // Whoever asks the one that is left is told.
  const left = controllers.find((controller) => controller !== worker) as Member;
  expect(await (await fetch(`${left.url}/distributions/${id}`)).json()).toMatchObject({ status: 'distributed' });
});

test('a controller that sleeps while it pushes, and wakes when another one has answered, sends no second outcome, also where the broker would take one', async () => {
  await using at = await scene({ edges: [], env: { controller: FAST } });
  using edge = await playedEdge(at);
  const { controllers, origin } = at.stack;
  await Promise.all(controllers.map((controller) => knows(controller, 'played')));
  const release = edge.hang();
  const ids: string[] = [];
  for (let number = 0; number < 10; number += 1) ids.push((await upload(origin.url, `site/${number}`, contentOf(300, `${number}`))).id);
  const sleeper = await workerOf(controllers, ids[0] as string);
  sleeper.pause();
  release();
  await at.oneOutcomeEach(ids);
  // As hours later: the stream does not know any more which messages it has.
  await at.bus.connection.request(
    '$JS.API.STREAM.UPDATE.OUTCOMES',
    JSON.stringify({
      ...(await at.bus.connection.request('$JS.API.STREAM.INFO.OUTCOMES')).json<{ config: object }>().config,
      duplicate_window: 100_000_000,
    }),
  );
  // Its memory ends by time alone.
  await new Promise((resolve) => setTimeout(resolve, 200));
  sleeper.resume();
  await eventually(async () => {
    const { num_ack_pending: given } = (await at.bus.connection.request('$JS.API.CONSUMER.INFO.CONTENT.controller')).json<{
      num_ack_pending: number;
    }>();
    const metrics = await (await fetch(`${sleeper.url}/metrics`)).text();
    expect([given, /^sluice_controller_events_in_work\S* (\d+)/m.exec(metrics)?.[1]]).toEqual([0, '0']);
  }, 30_000);
  await at.oneOutcomeEach(ids);
  expect(at.heard.map(({ id }) => id).sort()).toEqual([...ids].sort());
});

test('whatever becomes of three controllers under load, each event has one outcome, and every edge has every content', async () => {
  await using at = await scene({ edges: EDGES, controllers: 3, env: { controller: FAST } });
  const { stack } = at;
  const ids: string[] = [];
  const contents = new Map<string, Buffer>();
  let number = 0;
  const fault = fc.record({
    victim: fc.nat(2),
    kind: fc.constantFrom('kill', 'stop', 'sleep'),
    afterUploads: fc.integer({ min: 0, max: 12 }),
    more: fc.integer({ min: 1, max: 12 }),
  });
  const put = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index += 1, number += 1) {
      const [key, content] = [`site/${number % 30}`, contentOf(500 + number, `${number}`)];
      ids.push((await upload(stack.origin.url, key, content)).id);
      contents.set(key, content);
    }
  };
  for (const { victim, kind, afterUploads, more } of fc.sample(fault, { numRuns: 8, seed: SEED })) {
    const controller = stack.controllers[victim] as Member;
    const strikesAt = number + afterUploads;
    const uploading = put(afterUploads + more);
    await eventually(() => expect(number).toBeGreaterThanOrEqual(strikesAt));
    if (kind === 'kill') await controller.kill();
    else if (kind === 'stop') await controller.stop();
    else controller.pause();
    await uploading;
    if (kind === 'sleep') controller.resume();
    else await controller.start();
  }
  await at.oneOutcomeEach(ids);
  for (const { url } of stack.edges.values())
    for (const [key, content] of contents) await eventually(() => expectServed(url, key, content), 35_000);
});
