/** The apps as processes against a broker in a container, with the oldest and a current server. */
import { type Bus, Bus as NatsBus } from '@sluice/bus';
import { CONTENT_DISTRIBUTED, CONTENT_REJECTED, type ContentDistributed, type ContentRejected } from '@sluice/contracts';
import { freePort, Stack } from '@sluice/stack';
import { contentOf, eventually, silentLog, temporaryDirectory } from '@sluice/testkit';
import { GenericContainer, type StartedTestContainer, Wait } from 'testcontainers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { distributionOf, edgesOf, expectServed, get, upload } from '../cdn.ts';
import { docker, hasEngine } from './engine.ts';

const engine = await hasEngine();

describe.skipIf(!engine).each(['nats:2.15-alpine', 'nats:2.9'])('%s in a container, apps as processes', (image) => {
  const cleanup = new AsyncDisposableStack();
  const distributed = new Map<string, ContentDistributed>();
  const rejected: ContentRejected[] = [];
  let broker: StartedTestContainer;
  let stack: Stack;
  let bus: Bus;

  beforeAll(async () => {
    // A port of our own choice stays the same when the container is started again.
    const port = await freePort();
    broker = await new GenericContainer(image)
      .withCommand(['-js', '-sd', '/data'])
      .withExposedPorts({ container: 4222, host: port })
      .withWaitStrategy(Wait.forLogMessage(/Server is ready/))
      .start();
    cleanup.defer(async () => void (await broker.stop()));
    const directory = cleanup.use(await temporaryDirectory());
    const url = `nats://${broker.getHost()}:${port}`;
    stack = await Stack.start({
      dataDir: directory.path,
      broker: url,
      edges: ['US', 'EU', 'IN'].map((region) => ({ id: `${region.toLowerCase()}-1`, region })),
    });
    cleanup.defer(() => stack.stop());
    bus = await NatsBus.connect({ servers: [url], name: 'test', log: silentLog });
    cleanup.defer(() => bus.close());
    bus.subscribe(CONTENT_DISTRIBUTED, (outcome) => distributed.set(outcome.id, outcome));
    bus.subscribe(CONTENT_REJECTED, (rejection) => rejected.push(rejection));
    await bus.flush();
  });
  afterAll(() => cleanup.disposeAsync());

  const outcomeOf = (id: string): Promise<ContentDistributed> =>
    eventually(() => {
      const outcome = distributed.get(id);
      if (outcome === undefined) throw new Error(`no content.distributed for ${id} yet`);
      return outcome;
    }, 20_000);
  const edgeUrls = (...ids: string[]): string[] => ids.map((id) => stack.edge(id).url);
  /** What a person types into `nats pub`. */
  const publishByHand = async (subject: string, payload: string): Promise<void> => {
    bus.connection.publish(subject, payload);
    await bus.flush();
  };
  const outcomes = (outcome: ContentDistributed) => outcome.edges.map(({ edge, outcome, transfer }) => [edge, outcome, transfer]).sort();

  test('an upload reaches every edge and content.distributed says so', async () => {
    const content = contentOf(300_000, 'first');
    const { id, version } = await upload(stack.origin.url, 'site/app.js', content, { 'content-type': 'text/javascript' });
    const outcome = await outcomeOf(id);
    expect(outcome).toMatchObject({ event: 'uploaded', subject: 'site/app.js', version, complete: true, emptyRegions: [] });
    expect(outcomes(outcome)).toEqual(['eu-1', 'in-1', 'us-1'].map((edge) => [edge, 'stored', 'full']));
    for (const url of edgeUrls('us-1', 'eu-1', 'in-1')) await expectServed(url, 'site/app.js', content);
  });

  test('a new version of it travels as a patch, and is what every edge serves from then on', async () => {
    const content = Buffer.concat([contentOf(300_000, 'first'), Buffer.from('// edited')]);
    const outcome = await outcomeOf((await upload(stack.origin.url, 'site/app.js', content)).id);
    expect(outcomes(outcome)).toEqual(['eu-1', 'in-1', 'us-1'].map((edge) => [edge, 'stored', 'delta']));
    for (const { bytes } of outcome.edges) expect(bytes).toBeLessThan(1_000);
    for (const url of edgeUrls('us-1', 'eu-1', 'in-1')) await expectServed(url, 'site/app.js', content);
  });

  test('an upload for two regions is pushed to their edges only; an edge of another region asks the origin each time', async () => {
    const content = contentOf(10_000, 'limited');
    const { id } = await upload(stack.origin.url, 'site/limited', content, { 'x-amz-meta-regions': 'US,IN' });
    expect((await outcomeOf(id)).edges.map(({ edge }) => edge).sort()).toEqual(['in-1', 'us-1']);
    for (const url of edgeUrls('us-1', 'in-1')) await expectServed(url, 'site/limited', content);
    // A region says where content is placed, not who may read it.
    for (let visit = 0; visit < 2; visit++) expect((await get(stack.edge('eu-1').url, 'site/limited')).cache).toContain('fwd=');
  });

  test('an invalidation by hand makes every edge ask the origin once; a purged object is not served without it', async () => {
    const [first, second] = [contentOf(5_000, 'stale'), contentOf(5_000, 'purge')];
    for (const [key, content] of [['img/stale', first] as const, ['img/purge', second] as const]) {
      await outcomeOf((await upload(stack.origin.url, key, content)).id);
      for (const url of edgeUrls('us-1', 'eu-1', 'in-1')) expect((await get(url, key)).cache).toMatch(/;\s*hit$/);
    }
    const before = new Set(distributed.keys());
    await publishByHand('content.invalidated', '{"prefix":"img/"}');
    await publishByHand('content.invalidated', '{"key":"img/purge","mode":"purge"}');
    const invalidations = await eventually(() => {
      const found = [...distributed.values()].filter(({ id, event }) => event === 'invalidated' && !before.has(id));
      expect(found).toHaveLength(2);
      return found;
    }, 20_000);
    for (const outcome of invalidations) {
      expect(outcome.complete).toBe(true);
      expect(outcomes(outcome)).toEqual(['eu-1', 'in-1', 'us-1'].map((edge) => [edge, 'invalidated', undefined]));
    }
    const [us, eu] = edgeUrls('us-1', 'eu-1') as [string, string];
    expect((await get(us, 'img/stale')).cache).toContain('fwd=stale');
    expect((await get(us, 'img/stale')).cache).toMatch(/;\s*hit$/);

    await stack.origin.kill();
    const stale = await get(eu, 'img/stale');
    expect([stale.status, stale.body.equals(first)]).toEqual([200, true]);
    expect((await get(eu, 'img/purge')).status).toBeGreaterThanOrEqual(500);
    await stack.origin.start();
    await eventually(() => expectServed(eu, 'img/purge', second));
  });

  test('what nobody can use comes out on content.rejected and holds nothing up', async () => {
    await publishByHand('content.uploaded', '{"key":');
    await publishByHand('content.uploaded', '{"key":"site/never"}');
    await publishByHand('content.invalidated', '{"key":"site/app.js","all":true}');
    await outcomeOf((await upload(stack.origin.url, 'site/after', contentOf(10, 'after'))).id);
    await eventually(
      () =>
        expect(rejected.map(({ payload }) => payload).sort()).toEqual([
          '{"key":',
          '{"key":"site/app.js","all":true}',
          '{"key":"site/never"}',
        ]),
      20_000,
    );
  });

  test('an upload while the broker is down is safe, and arrives everywhere when it is back', async () => {
    await docker(['stop', '--time', '5', broker.getId()]);
    const content = contentOf(50_000, 'meanwhile');
    const { id } = await upload(stack.origin.url, 'site/meanwhile', content);
    for (const url of edgeUrls('us-1', 'eu-1', 'in-1')) await expectServed(url, 'site/after', contentOf(10, 'after'));
    await docker(['start', broker.getId()]);
    await eventually(() => distributionOf(stack.controller.url, id), 60_000);
    await eventually(async () => {
      for (const url of edgeUrls('us-1', 'eu-1', 'in-1')) await expectServed(url, 'site/meanwhile', content);
    }, 40_000);
    await eventually(async () => expect(await edgesOf(stack.controller.url)).toHaveLength(3), 20_000);
    const next = await upload(stack.origin.url, 'site/next', content);
    expect(outcomes(await outcomeOf(next.id))).toHaveLength(3);
  });
});
