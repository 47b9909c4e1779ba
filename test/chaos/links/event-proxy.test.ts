import { Bus, Streams } from '@sluice/bus';
import { CONTENT_INVALIDATED, STREAMS } from '@sluice/contracts';
import { eventually, silentLog, testBroker } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { randomOf } from '../random.ts';
import { type Disturbance, EventProxy } from './event-proxy.ts';

const COUNT = 300;
const PAYLOAD = 'x'.repeat(2_000);

/** A broker with a client behind the proxy and one beside it, which hears what arrives. */
async function scene(seed = 1) {
  const cleanup = new AsyncDisposableStack();
  const environment = cleanup.use(await testBroker());
  const proxy = cleanup.use(await EventProxy.open({ to: { port: environment.broker.port }, rng: randomOf(seed).fraction }));
  const bus = await Bus.connect({ servers: [proxy.url], name: 'behind', log: silentLog });
  cleanup.defer(() => bus.connection.close());
  const beside = await environment.connect('beside');
  return {
    ...{ proxy, bus, environment, beside },
    /** What arrives of {@link COUNT} numbered messages on a subject. */
    async sent(subject: string, disturbance: Disturbance): Promise<number[]> {
      const got: number[] = [];
      const end = Promise.withResolvers<void>();
      const subscription = beside.connection.subscribe(subject, {
        callback: (_, message) => {
          if (message.string() === 'end') end.resolve();
          else got.push(Number(message.string().split(' ')[0]));
        },
      });
      await beside.connection.flush();
      proxy.disturb(disturbance);
      for (let index = 0; index < COUNT; index++) bus.connection.publish(subject, `${index} ${PAYLOAD}`);
      await bus.connection.flush();
      proxy.calm();
      bus.connection.publish(subject, 'end');
      await end.promise;
      subscription.unsubscribe();
      return got;
    },
    [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
  };
}

const inOrder = Array.from({ length: COUNT }, (_, index) => index);
const ascending = (numbers: readonly number[]): number[] => [...numbers].sort((a, b) => a - b);

test.each(['content.uploaded', 'edge.us-1.push'])('%s arrives twice and in another order, and nothing of it is lost', async (subject) => {
  await using place = await scene();
  const got = await place.sent(subject, { duplicate: 0.3, reorder: 0.3 });
  const { duplicated, reordered } = place.proxy.counts;
  expect(duplicated).toBeGreaterThan(COUNT / 6);
  expect(reordered).toBeGreaterThan(COUNT / 6);
  expect(got).toHaveLength(COUNT + duplicated);
  expect(ascending([...new Set(got)])).toEqual(inOrder);
  expect(got).not.toEqual(ascending(got));
});

test('the same seed duplicates the same messages', async () => {
  const runs: number[][] = [];
  for (const seed of [7, 7, 8]) {
    await using place = await scene(seed);
    // How far they are held back depends on the machine, too.
    runs.push(ascending(await place.sent('content.removed', { duplicate: 0.2, reorder: 0.5 })));
  }
  expect(runs[1]).toEqual(runs[0]);
  expect(runs[2]).not.toEqual(runs[0]);
});

test('other subjects pass once and in order, as events do when nothing is to be disturbed', async () => {
  await using place = await scene();
  const all = { duplicate: 1, reorder: 1 };
  for (const subject of ['content.distributed', 'edge.us-1.heartbeat', '_INBOX.a']) expect(await place.sent(subject, all)).toEqual(inOrder);
  expect(await place.sent('content.uploaded', { duplicate: 0, reorder: 0 })).toEqual(inOrder);
  expect(place.proxy.counts).toEqual({ duplicated: 0, reordered: 0 });
});

test('a stream takes a duplicated event twice, and whoever published it hears that it was taken', async () => {
  await using place = await scene();
  const streams = new Streams(place.bus, silentLog);
  await streams.ensure();
  place.proxy.disturb({ duplicate: 1, reorder: 0 });
  await streams.publish(CONTENT_INVALIDATED, { key: 'site/a' }, 'first');
  place.proxy.calm();
  await streams.publish(CONTENT_INVALIDATED, { key: 'site/b' }, 'second');
  const stored = await streams.recent(STREAMS.CONTENT, CONTENT_INVALIDATED, 10);
  expect(stored.map(({ key }) => key)).toEqual(['site/a', 'site/a', 'site/b']);
});

test('what is held back goes after a while when nothing overtakes it, and requests are answered', async () => {
  await using place = await scene();
  place.beside.connection.subscribe('edge.us-1.push', { callback: (_, message) => void message.respond('done') });
  await place.beside.connection.flush();
  place.proxy.disturb({ duplicate: 1, reorder: 1 });
  const reply = await place.bus.connection.request('edge.us-1.push', 'store', { timeout: 5_000 });
  expect(reply.string()).toBe('done');
  expect(place.proxy.counts).toEqual({ duplicated: 1, reordered: 1 });
});

test('a client comes back through it when the broker does', async () => {
  await using place = await scene();
  await place.environment.broker.kill();
  await place.environment.broker.start();
  await eventually(() => place.bus.connection.flush(), 30_000);
});
