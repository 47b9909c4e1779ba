/** What is down for a while is made up for when it is back. */
import { ManagedProcess } from '@sluice/stack';
import { eventually } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { aManifest, FAST, hung, obedient, testStage } from './stage.fixture.ts';

describe('recovery', () => {
  test('a controller that is killed before its outcome is out leaves the event to another one, and one outcome is stored', async () => {
    await using stage = await testStage();
    const killed = new ManagedProcess({
      name: 'controller',
      command: process.execPath,
      args: [`${import.meta.dirname}/main.ts`],
      env: { ...FAST, NATS_URL: stage.environment.url },
    });
    await killed.waitForLine((line) => (line.includes('"distributing"') ? true : undefined), 20_000);
    const edge = await stage.edge('us-1', 'US', hung);
    const id = await stage.origin.upload(aManifest({ version: 5 }));
    await edge.received(1);
    await killed.kill();
    edge.answer = obedient;
    await stage.controller();
    expect(await stage.outcomes.of(id)).toMatchObject({ complete: true, edges: [{ edge: 'us-1', outcome: 'stored' }] });
    expect((await stage.stored()).map((outcome) => outcome.id)).toEqual([id]);
  }, 40_000);

  test('while the origin is away events wait, other work goes on, and nothing is lost', async () => {
    await using stage = await testStage();
    await stage.controller();
    const edge = await stage.edge('us-1', 'US');
    await stage.origin.goAway();
    const id = await stage.origin.upload(aManifest({ version: 5 }));
    const invalidated = await stage.origin.invalidate(6, 'site/');
    expect(await stage.outcomes.of(invalidated)).toMatchObject({ complete: true });
    expect(edge.commands.map(({ op }) => op)).toEqual(['invalidate']);
    await stage.origin.start();
    expect(await stage.outcomes.of(id)).toMatchObject({ complete: true, edges: [{ outcome: 'stored' }] });
  });

  test('an event that is published twice has one outcome, and is acknowledged twice', async () => {
    await using stage = await testStage();
    await stage.controller();
    const edge = await stage.edge('us-1', 'US');
    const id = await stage.origin.upload(aManifest({ version: 5 }));
    await stage.outcomes.of(id);
    await stage.origin.publishRaw('content.uploaded', JSON.stringify({ id, key: 'site/app.js', version: 5 }));
    await stage.outcomes.of(await stage.origin.upload(aManifest({ version: 6 })));
    expect(await stage.stored()).toHaveLength(2);
    expect(edge.commands).toHaveLength(2);
    await eventually(async () => expect(await stage.unacknowledged()).toBe(0));
  });

  test('after the broker came back no edge has lost its place, and the next upload reaches it', async () => {
    await using stage = await testStage();
    const controller = await stage.controller();
    const edge = await stage.edge('us-1', 'US');
    await stage.outcomes.of(await stage.origin.upload(aManifest({ version: 5 })));
    await stage.environment.broker.kill();
    // Longer than a lease: nobody can be heard, and that says nothing about the edges.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    await stage.environment.broker.start();
    await stage.reconnected();
    const outcome = await stage.outcomes.of(await stage.origin.upload(aManifest({ version: 6 })));
    expect(outcome).toMatchObject({ complete: true, edges: [{ edge: 'us-1', outcome: 'stored' }] });
    expect(edge.commands).toHaveLength(2);
    expect(await (await fetch(`${controller.url}/metrics`)).text()).toMatch(/sluice_controller_lease_expiries_total\{app="controller"\} 0/);
  }, 30_000);

  test('two controllers share the events: each is distributed once, and both know every edge', async () => {
    await using stage = await testStage();
    await Promise.all([stage.controller(), stage.controller()]);
    const edge = await stage.edge('us-1', 'US');
    const ids = [];
    for (let version = 1; version <= 40; version += 1)
      ids.push(await stage.origin.upload(aManifest({ version, key: `site/${version}.js` })));
    const outcomes = await Promise.all(ids.map((id) => stage.outcomes.of(id)));
    expect(outcomes.every(({ complete, edges }) => complete && edges.length === 1)).toBe(true);
    expect(edge.commands).toHaveLength(40);
    expect(await stage.stored()).toHaveLength(40);
  });
});
