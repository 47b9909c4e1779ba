import { eventually } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { aManifest, getJson, hung, testStage } from './stage.fixture.ts';
import type { DistributionStatus, EdgeStatus } from './status.ts';

describe('the flow', () => {
  test('an upload reaches exactly the edges of its regions, and its outcome says how', async () => {
    await using stage = await testStage();
    const controller = await stage.controller();
    const us = await stage.edge('us-1', 'US');
    const eu = await stage.edge('eu-1', 'EU');
    const id = await stage.origin.upload(aManifest({ version: 5, regions: ['US', 'IN'] }));
    const outcome = await stage.outcomes.of(id);
    expect(outcome).toMatchObject({ event: 'uploaded', subject: 'site/app.js', version: 5, complete: true, emptyRegions: ['IN'] });
    expect(outcome.edges).toMatchObject([{ edge: 'us-1', region: 'US', outcome: 'stored', transfer: 'full', bytes: 10_000, attempts: 1 }]);
    expect(us.commands).toMatchObject([{ op: 'store', eventId: id, manifest: { version: 5 } }]);
    expect(eu.commands).toEqual([]);
    expect(await getJson(`${controller.url}/distributions/${id}`)).toMatchObject({ status: 200, body: { status: 'distributed', id } });
  });

  test('a new version comes as a delta, unchanged bytes as metadata, a removal and an invalidation to everyone', async () => {
    await using stage = await testStage();
    await stage.controller();
    const us = await stage.edge('us-1', 'US');
    const eu = await stage.edge('eu-1', 'EU');
    const first = aManifest({ version: 5, regions: ['US'] });
    const { version, sha256, size, regions } = first;
    const events = [
      await stage.origin.upload(first),
      await stage.origin.upload(aManifest({ version: 6, regions: ['US'] }), { version, sha256, size, regions }),
    ];
    for (const id of events) await stage.outcomes.of(id);
    const same = await stage.origin.upload(aManifest({ version: 7, sha256, regions: ['US'] }), { version: 6, sha256, size, regions });
    await stage.outcomes.of(same);
    const removed = await stage.origin.remove('site/app.js', 8);
    expect((await stage.outcomes.of(removed)).edges.map(({ outcome }) => outcome)).toEqual(['removed', 'removed']);
    const invalidated = await stage.origin.invalidate(9, 'site/');
    expect(await stage.outcomes.of(invalidated)).toMatchObject({
      event: 'invalidated',
      subject: 'prefix=site/',
      complete: true,
      version: 9,
    });
    const transfers = us.commands.flatMap((command) => (command.op === 'store' ? [command.transfer.kind] : []));
    expect(transfers.slice(-1)).toEqual(['same']);
    expect(transfers).toContain('delta');
    expect(eu.commands.map(({ op }) => op)).toEqual(['remove', 'invalidate']);
  });

  test('a second event of a version that is confirmed moves nothing, one asked for by hand is pushed again', async () => {
    await using stage = await testStage();
    await stage.controller();
    const us = await stage.edge('us-1', 'US');
    const manifest = aManifest({ version: 5 });
    await stage.outcomes.of(await stage.origin.upload(manifest));
    const second = await stage.outcomes.of(await stage.origin.upload(manifest));
    expect(second.edges).toMatchObject([{ edge: 'us-1', outcome: 'current', bytes: 0, attempts: 0 }]);
    expect(us.commands).toHaveLength(1);
    const byHand = await stage.outcomes.of(await stage.origin.upload(manifest, undefined, 'a-hand'));
    expect(byHand.edges).toMatchObject([{ edge: 'us-1', outcome: 'stored' }]);
    expect(us.commands).toHaveLength(2);
  });

  test('the status API shows the edges, and an event under way with who is awaited', async () => {
    await using stage = await testStage();
    const controller = await stage.controller();
    const slow = await stage.edge('us-1', 'US', hung);
    await stage.edge('eu-1', 'EU');
    const { body } = await getJson<{ edges: EdgeStatus[] }>(`${controller.url}/edges`);
    expect(body.edges).toMatchObject([
      { id: 'eu-1', region: 'EU', queued: 0, inFlight: 0 },
      { id: 'us-1', region: 'US' },
    ]);
    for (const { leaseRemainingMs } of body.edges) expect(leaseRemainingMs).toBeGreaterThan(0);
    const id = await stage.origin.upload(aManifest({ version: 5 }));
    await slow.received(1);
    await eventually(async () => {
      const status = await getJson<DistributionStatus>(`${controller.url}/distributions/${id}`);
      expect(status.body).toMatchObject({
        status: 'distributing',
        version: 5,
        edges: [{ edge: 'eu-1', outcome: 'stored' }],
        pending: [{ edge: 'us-1', region: 'US' }],
      });
    });
    const list = await getJson<{ distributions: DistributionStatus[] }>(`${controller.url}/distributions`);
    expect(list.body.distributions.map((entry) => [entry.id, entry.status])).toEqual([[id, 'distributing']]);
    await slow.leave();
    await stage.outcomes.of(id);
  });

  test('an invalidation with a version that the origin has not come to is rejected, however plausible, and reaches no edge', async () => {
    await using stage = await testStage();
    await stage.controller();
    const edge = await stage.edge('us-1', 'US');
    await stage.outcomes.of(await stage.origin.upload(aManifest({ version: 5 })));
    await stage.origin.publishRaw('content.invalidated', '{"id":"forged","all":true,"version":6,"mode":"purge"}');
    expect(await stage.outcomes.rejection('forged')).toMatchObject({ reason: expect.stringContaining('the origin has come to 5 only') });
    const genuine = await stage.origin.invalidate(7, 'site/');
    expect(await stage.outcomes.of(genuine)).toMatchObject({ complete: true });
    expect(edge.commands.map(({ op }) => op)).toEqual(['store', 'invalidate']);
  });

  test('100 events of one key take far fewer plans and pushes, and each has its own outcome', async () => {
    await using stage = await testStage();
    const ids: string[] = [];
    for (let version = 1; version <= 100; version += 1) ids.push(await stage.origin.upload(aManifest({ version })));
    const starting = stage.controller();
    const edge = await stage.edge('us-1', 'US');
    await starting;
    const outcomes = await Promise.all(ids.map((id) => stage.outcomes.of(id)));
    expect(outcomes.every(({ version, complete, edges }) => version === 100 && complete && edges.length === 1)).toBe(true);
    expect(stage.origin.resolved.length).toBeLessThan(20);
    expect(edge.commands.length).toBeLessThan(20);
    expect((await stage.stored()).length).toBe(100);
  });

  test('outcomes of before the start are known, from every controller', async () => {
    await using stage = await testStage();
    const first = await stage.controller();
    await stage.edge('us-1', 'US');
    const id = await stage.origin.upload(aManifest({ version: 5 }));
    await stage.outcomes.of(id);
    await first.lifecycle.stop('test');
    const second = await stage.controller();
    expect(await getJson(`${second.url}/distributions/${id}`)).toMatchObject({ status: 200, body: { status: 'distributed' } });
  });

  test('a controller that is stopped leaves no event behind', async () => {
    await using stage = await testStage();
    const first = await stage.controller();
    const edge = await stage.edge('us-1', 'US', hung);
    const id = await stage.origin.upload(aManifest({ version: 5 }));
    await edge.received(1);
    expect(await first.lifecycle.stop('test')).toBe('stopped');
    await expect(fetch(first.url)).rejects.toThrow();
    edge.answer = () => ({ ok: true, outcome: 'stored', transfer: 'full', bytes: 1 });
    await stage.controller();
    expect(await stage.outcomes.of(id)).toMatchObject({ complete: true, edges: [{ edge: 'us-1', outcome: 'stored' }] });
    expect(await stage.stored()).toHaveLength(1);
  });
});
