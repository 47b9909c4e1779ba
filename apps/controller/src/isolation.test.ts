/** What goes wrong with one edge, or with one event, stays there. */
import type { PushCommand } from '@sluice/contracts';
import { eventually } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { aManifest, getJson, hung, obedient, testStage } from './stage.fixture.ts';
import type { EdgeStatus } from './status.ts';

const edgeIds = async (url: string): Promise<string[]> =>
  (await getJson<{ edges: EdgeStatus[] }>(`${url}/edges`)).body.edges.map(({ id }) => id);

describe('a hung edge', () => {
  test('delays no other edge and no other event, not even the next version of the same key', async () => {
    await using stage = await testStage();
    await stage.controller();
    const stuck = await stage.edge('us-1', 'US', hung);
    const well = await stage.edge('us-2', 'US');
    const events = [];
    for (let version = 1; version <= 5; version += 1) {
      events.push(await stage.origin.upload(aManifest({ version })));
      const commands = await well.received(version);
      expect(commands.at(-1)).toMatchObject({ op: 'store', manifest: { version } });
    }
    const elsewhere = await stage.origin.upload(aManifest({ version: 6, key: 'site/eu.js', regions: ['EU'] }));
    expect(await stage.outcomes.of(elsewhere)).toMatchObject({ complete: true });
    expect(stage.outcomes.distributed).toHaveLength(1);
    expect(stuck.commands).toHaveLength(1);
    await stuck.leave();
    for (const id of events) {
      const outcome = await stage.outcomes.of(id);
      expect(outcome.complete).toBe(false);
      expect(outcome.edges).toMatchObject([
        { edge: 'us-1', outcome: 'unreachable' },
        { edge: 'us-2', outcome: 'stored' },
      ]);
    }
  });

  test('has a bounded queue: what comes beyond is deferred at once and counted', async () => {
    await using stage = await testStage({ CONTROLLER_EDGE_CONCURRENCY: '1', CONTROLLER_EDGE_QUEUE_MAX: '2' });
    const controller = await stage.controller();
    const stuck = await stage.edge('us-1', 'US', hung);
    await stage.edge('us-2', 'US');
    const upload = (version: number) => stage.origin.upload(aManifest({ version, key: `site/${version}.js` }));
    const held = [await upload(1)];
    await stuck.received(1);
    for (const version of [2, 3]) held.push(await upload(version));
    await eventually(async () => {
      const { body } = await getJson<{ edges: EdgeStatus[] }>(`${controller.url}/edges`);
      expect(body.edges).toMatchObject([{ id: 'us-1', queued: 2, inFlight: 1 }, { id: 'us-2' }]);
    });
    const beyond = [];
    for (let version = 4; version < 24; version += 1) beyond.push(await upload(version));
    for (const id of beyond) {
      expect((await stage.outcomes.of(id)).edges).toMatchObject([
        { edge: 'us-1', outcome: 'deferred', attempts: 0 },
        { edge: 'us-2', outcome: 'stored' },
      ]);
    }
    expect(stage.outcomes.distributed).toHaveLength(20);
    const metrics = await (await fetch(`${controller.url}/metrics`)).text();
    expect(metrics).toMatch(/sluice_controller_pushes_deferred_total\{reason="queue_full",app="controller"\} 20/);
    expect(metrics).toMatch(/sluice_controller_longest_queue\{app="controller"\} 2/);
    await stuck.leave();
    for (const id of held)
      expect((await stage.outcomes.of(id)).edges).toMatchObject([{ edge: 'us-1', outcome: 'unreachable' }, { edge: 'us-2' }]);
  });

  test('sets no pace, and neither is anything deferred when all edges are behind: then new events wait', async () => {
    await using stage = await testStage({ CONTROLLER_EDGE_CONCURRENCY: '1', CONTROLLER_EDGE_QUEUE_MAX: '4' });
    await stage.controller();
    const gate = Promise.withResolvers<void>();
    const behind = (command: PushCommand) => gate.promise.then(() => obedient(command));
    const edges = [await stage.edge('us-1', 'US', behind), await stage.edge('us-2', 'US', behind)];
    const events = [];
    for (let version = 1; version <= 40; version += 1)
      events.push(await stage.origin.upload(aManifest({ version, key: `site/${version}.js` })));
    for (const edge of edges) await edge.received(1);
    gate.resolve();
    for (const id of events) expect(await stage.outcomes.of(id)).toMatchObject({ complete: true });
  });
});

describe('an edge that goes', () => {
  test('without a word is forgotten when its lease ends, and what was asked of it is given up then', async () => {
    await using stage = await testStage();
    const controller = await stage.controller();
    const edge = await stage.edge('us-1', 'US', hung);
    const id = await stage.origin.upload(aManifest({ version: 5 }));
    await edge.received(1);
    const diedMs = performance.now();
    edge.die();
    expect(await stage.outcomes.of(id)).toMatchObject({ complete: false, edges: [{ edge: 'us-1', outcome: 'unreachable' }] });
    const tookMs = performance.now() - diedMs;
    // A lease of 1,000 ms, a heartbeat up to 100 ms ago, a sweep each 250 ms.
    expect(tookMs).toBeGreaterThan(800);
    expect(tookMs).toBeLessThan(3_000);
    expect(await edgeIds(controller.url)).toEqual([]);
    expect((await stage.outcomes.of(await stage.origin.upload(aManifest({ version: 6 })))).edges).toEqual([]);
  });

  test('with a goodbye is out of the plans at once', async () => {
    await using stage = await testStage();
    const controller = await stage.controller();
    const edge = await stage.edge('us-1', 'US');
    await edge.leave();
    await eventually(async () => expect(await edgeIds(controller.url)).toEqual([]), 800);
    expect((await stage.outcomes.of(await stage.origin.upload(aManifest({ version: 5 })))).edges).toEqual([]);
    expect(edge.commands).toEqual([]);
  });

  test('from its subject but not from the table is unreachable at the first attempt', async () => {
    await using stage = await testStage();
    await stage.controller();
    const edge = await stage.edge('us-1', 'US');
    edge.vanish();
    const outcome = await stage.outcomes.of(await stage.origin.upload(aManifest({ version: 5 })));
    expect(outcome.edges).toMatchObject([{ outcome: 'unreachable', attempts: 1, error: expect.stringContaining('nobody answers') }]);
  });
});

describe('an edge that fails', () => {
  test('is asked again for what may pass and not for what is final', async () => {
    await using stage = await testStage();
    await stage.controller();
    const edge = await stage.edge('us-1', 'US', () => ({ ok: false, error: { code: 'DISK_FULL', message: 'no room', retryable: true } }));
    const passing = await stage.outcomes.of(await stage.origin.upload(aManifest({ version: 5 })));
    expect(passing).toMatchObject({ complete: false, edges: [{ outcome: 'failed', attempts: 4, error: 'no room' }] });
    edge.answer = () => ({ ok: false, error: { code: 'REFUSED', message: 'never', retryable: false } });
    const final = await stage.outcomes.of(await stage.origin.upload(aManifest({ version: 6 })));
    expect(final.edges).toMatchObject([{ outcome: 'failed', attempts: 1, error: 'never' }]);
    expect(edge.commands).toHaveLength(5);
  });
});

describe('an event that is no use', () => {
  test('blocks no good one: malformed and raw ones are left to the origin, forged ones are rejected with the reason', async () => {
    await using stage = await testStage();
    await stage.controller();
    await stage.edge('us-1', 'US');
    await stage.origin.publishRaw('content.uploaded', '{not json');
    await stage.origin.publishRaw('content.uploaded', '{"key":"site/raw.js"}');
    await stage.origin.publishRaw('content.removed', '[]');
    await stage.origin.publishRaw('content.uploaded', '{"id":"forged","key":"site/never.js","version":7}');
    await stage.origin.publishRaw('content.uploaded', '{"key":"site/app.js","version":7}');
    await stage.origin.publishRaw('content.invalidated', '{"id":"far","all":true,"version":9007199254740991}');
    const good = await stage.origin.upload(aManifest({ version: 5 }));
    await stage.origin.publishRaw('content.uploaded', '{"id":"ahead","key":"site/app.js","version":6}');
    expect(await stage.outcomes.of(good)).toMatchObject({ complete: true });
    expect(await stage.outcomes.rejection('forged')).toMatchObject({
      by: 'controller',
      reason: 'key: the origin does not know site/never.js',
    });
    expect(await stage.outcomes.rejection('far')).toMatchObject({
      subject: 'content.invalidated',
      reason: expect.stringContaining('version'),
    });
    expect(await stage.outcomes.rejection('ahead')).toMatchObject({ reason: expect.stringContaining('has never had 6') });
    await eventually(() => expect(stage.outcomes.rejected).toHaveLength(4));
    expect(stage.outcomes.rejected.map(({ id }) => id)).toContainEqual(expect.stringMatching(/^content-5-/));
    await eventually(async () => expect(await stage.unacknowledged()).toBe(0));
  });
});
