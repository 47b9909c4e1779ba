/** A broker of three servers: whichever one fails, what was acknowledged is there, once, and what is published meanwhile arrives. */
import { CONTENT_UPLOADED, STREAMS } from '@sluice/contracts';
import type { Broker } from '@sluice/stack';
import { eventually, silentLog, testBroker, testCluster } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { type Bus, type DurableMessage, type LogEntry, SharedLog, Streams } from './mod.ts';

/** Longer than an election takes, on a busy machine. */
const FAILOVER_MS = 40_000;
const CONSUMER = { stream: STREAMS.CONTENT, durable: 'test', maxPending: 1_000, ackWaitMs: 5_000 } as const;

/** Repeats what a broker without a leader refuses, as its users do. */
const insist = <Result>(attempt: () => Promise<Result>): Promise<Result> => eventually(attempt, FAILOVER_MS);

async function info(bus: Bus, api: string): Promise<{ cluster?: { leader?: string; replicas?: { current: boolean }[] } }> {
  return (await bus.connection.request(`$JS.API.${api}`, '', { timeout: 2_000 })).json();
}

async function leaderOf(bus: Bus, brokers: readonly Broker[]): Promise<Broker> {
  const { cluster } = await insist(() => info(bus, 'STREAM.INFO.CONTENT'));
  const leader = brokers[['broker', 'broker-2', 'broker-3'].indexOf(cluster?.leader ?? '')];
  if (leader === undefined) throw new Error(`no leader: ${JSON.stringify(cluster)}`);
  return leader;
}

describe('a broker of three servers', () => {
  test('streams and their consumers have three replicas, also those that were made with one', async () => {
    await using cluster = await testCluster();
    const bus = await cluster.connect();
    const single = new Streams(bus, silentLog);
    await insist(() => single.ensure());
    await insist(() => single.publish(CONTENT_UPLOADED, { key: 'site/a' }, 'before'));
    const first = single.consume(CONSUMER, (message) => message.ack());
    await eventually(() => expect(first.consuming).toBe(true), FAILOVER_MS);
    await first.stop();
    const streams = new Streams(bus, silentLog, { replicas: 3 });
    await insist(() => streams.ensure());
    const log = new SharedLog(bus, silentLog, { name: 'ORDER', subjectPrefix: 'order', replicas: 3 });
    await insist(() => log.ensure());
    for (const api of ['STREAM.INFO.CONTENT', 'STREAM.INFO.OUTCOMES', 'STREAM.INFO.ORDER', 'CONSUMER.INFO.CONTENT.test']) {
      await insist(async () => {
        const { cluster } = await info(bus, api);
        expect([api, cluster?.replicas?.filter(({ current }) => current).length]).toEqual([api, 2]);
      });
    }
    expect((await streams.recent(STREAMS.CONTENT, CONTENT_UPLOADED, 10)).map(({ key }) => key)).toEqual(['site/a']);
    // Whoever asks for fewer takes none away.
    await single.ensure();
    expect((await info(bus, 'STREAM.INFO.CONTENT')).cluster?.replicas).toHaveLength(2);
  }, 120_000);

  test('with the leader hung, every publish arrives once, is consumed, and the order that others share has no gap', async () => {
    await using cluster = await testCluster();
    const bus = await cluster.connect();
    const streams = new Streams(bus, silentLog, { replicas: 3 });
    await insist(() => streams.ensure());
    const log = new SharedLog(bus, silentLog, { name: 'ORDER', subjectPrefix: 'order', replicas: 3 });
    await insist(() => log.ensure());
    const consumed = new Map<string, DurableMessage>();
    const consuming = streams.consume(CONSUMER, (message) => {
      consumed.set(String(message.id), message);
      message.ack();
    });
    const followed: LogEntry[] = [];
    const following = log.follow({
      position: () => followed.at(-1)?.position ?? 0,
      onEntry: async (entry) => void followed.push(entry),
      caughtUp: async () => {},
      check: async () => {},
    });
    const victim = await leaderOf(bus, cluster.brokers);
    const ids = Array.from({ length: 60 }, (_, index) => `e-${index}`);
    for (const [index, id] of ids.entries()) {
      if (index === 20) victim.pause();
      if (index === 40) victim.resume();
      await insist(() => streams.publish(CONTENT_UPLOADED, { key: `site/${id}` }, id));
      await insist(async () => expect(await log.append('all', Buffer.from(id), await log.last(), { id })).toBeDefined());
    }
    await eventually(() => expect([...consumed.keys()].sort()).toEqual([...ids].sort()), FAILOVER_MS);
    await eventually(() => expect(followed.at(-1)?.data.toString()).toBe(Buffer.from('e-59').toString()), FAILOVER_MS);
    const stored = await insist(() => streams.recent(STREAMS.CONTENT, CONTENT_UPLOADED, 1_000));
    expect(stored.map(({ key }) => key)).toEqual(ids.map((id) => `site/${id}`));
    const positions = followed.map(({ position }) => position);
    expect(positions).toEqual([...new Set(positions)].sort((a, b) => a - b));
    await Promise.all([consuming.stop(), following.stop()]);
  }, 150_000);

  test('one server that is to hold three replicas says what to do', async () => {
    await using environment = await testBroker();
    const streams = new Streams(await environment.connect(), silentLog, { replicas: 3 });
    await expect(streams.ensure()).rejects.toThrow(/is to have 3 replicas.*NATS_STREAM_REPLICAS to 1/);
  });
});
