/** What a connection does when the other side, the broker or a message is not as it should be. */
import { CONTENT_REJECTED, CONTENT_UPLOADED, controllerRegister, edgeHeartbeat, ORIGIN_FETCH, STREAMS } from '@sluice/contracts';
import { edgeReport, eventually, silentLog, testBroker } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { BrokerAwayError, type DurableMessage, Streams } from './mod.ts';

const REPORT = edgeReport();
const REGISTER = controllerRegister(REPORT.id);
const READ = { op: 'read', sha256: 'a'.repeat(64), offset: 0, length: 1 } as const;
const timeoutMs = 5_000;

describe('a faulty other side', () => {
  test('a handler that fails inside answers with INTERNAL and says nothing of what is inside', async () => {
    await using environment = await testBroker();
    const [server, client] = await Promise.all([environment.connect(), environment.connect()]);
    server.serve(ORIGIN_FETCH, () => {
      throw new TypeError('cannot read /var/secret');
    });
    await server.flush();
    const failure = await client.request(ORIGIN_FETCH, { op: 'resolve', key: 'site/a' }, { timeoutMs }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'INTERNAL', retryable: true });
    expect(JSON.stringify((failure as Error).message)).not.toContain('secret');
    await expect(client.requestBytes(ORIGIN_FETCH, READ, { timeoutMs })).rejects.toMatchObject({ code: 'INTERNAL' });
  });

  test('a request whose reply would go to a place that is no inbox is not answered: an event or a push must not come from who only answers', async () => {
    await using environment = await testBroker();
    const [server, client] = await Promise.all([environment.connect(), environment.connect()]);
    const elsewhere: string[] = [];
    let asked = 0;
    for (const subject of ['content.invalidated', 'edge.us-1.push', 'private.inbox']) {
      client.connection.subscribe(subject, { callback: (_error, message) => void elsewhere.push(message.subject) });
    }
    server.serve(ORIGIN_FETCH, () => {
      asked += 1;
      return new TextEncoder().encode('{"all":true}');
    });
    await server.flush();
    const request = JSON.stringify(READ);
    for (const reply of ['content.invalidated', 'edge.us-1.push', 'private.inbox', '_INBOX'])
      client.connection.publish('origin.fetch', request, { reply });
    // Requests are answered in order.
    await client.requestBytes(ORIGIN_FETCH, READ, { timeoutMs });
    await client.flush();
    expect([asked, elsewhere]).toEqual([1, []]);
  });

  test('a reply that fits no message is answered with a failure, and the next request is served', async () => {
    await using environment = await testBroker();
    const [server, client] = await Promise.all([environment.connect(), environment.connect()]);
    server.serve(
      ORIGIN_FETCH,
      (request) => new Uint8Array(request.op === 'read' && request.offset === 0 ? 2 * 1024 * 1024 : server.chunkBytes),
    );
    await server.flush();
    await expect(client.requestBytes(ORIGIN_FETCH, READ, { timeoutMs })).rejects.toMatchObject({ code: 'INTERNAL' });
    const longest = await client.requestBytes(ORIGIN_FETCH, { ...READ, offset: 1 }, { timeoutMs });
    expect(longest.byteLength).toBe(client.chunkBytes);
  });

  test('a reply off the contract is an error of the caller that names the field', async () => {
    await using environment = await testBroker();
    const [server, client] = await Promise.all([environment.connect(), environment.connect()]);
    server.connection.subscribe(REGISTER.subject, {
      callback: (_error, message) => void message.respond('{"ok":true,"heartbeatMs":0}'),
    });
    await server.flush();
    await expect(client.request(REGISTER, REPORT, { timeoutMs })).rejects.toThrow(/heartbeatMs: .*; leaseMs: /);
    await expect(client.requestBytes(ORIGIN_FETCH, READ, { timeoutMs })).rejects.toMatchObject({ code: 'NO_LISTENER' });
  });

  test('of a group one member answers each request', async () => {
    await using environment = await testBroker();
    const members = await Promise.all([environment.connect(), environment.connect(), environment.connect()]);
    const client = await environment.connect();
    const served = members.map(() => 0);
    for (const [index, member] of members.entries()) {
      member.serve(
        REGISTER,
        () => {
          served[index] = (served[index] ?? 0) + 1;
          return { ok: true, heartbeatMs: 1, leaseMs: 1 } as const;
        },
        { queue: 'group' },
      );
      await member.flush();
    }
    await Promise.all(Array.from({ length: 60 }, () => client.request(REGISTER, REPORT, { timeoutMs })));
    expect(served.reduce((sum, count) => sum + count)).toBe(60);
    for (const count of served) expect(count).toBeGreaterThan(0);
  });

  test('events off the contract go to their own listener and hold no good one up', async () => {
    await using environment = await testBroker();
    const [sender, receiver] = await Promise.all([environment.connect(), environment.connect()]);
    const good: string[] = [];
    const bad: string[] = [];
    receiver.subscribe(
      edgeHeartbeat('*'),
      ({ id }, subject) => good.push(`${subject} ${id}`),
      (error, subject) => bad.push(`${subject} ${error.message}`),
    );
    await receiver.flush();
    sender.connection.publish('edge.x.heartbeat', '{');
    sender.connection.publish('edge.y.heartbeat', JSON.stringify({ ...REPORT, region: 'a b' }));
    sender.publish(edgeHeartbeat('us-1'), REPORT);
    await eventually(() => expect(good).toEqual(['edge.us-1.heartbeat us-1']));
    expect(bad).toHaveLength(2);
    expect(bad[0]).toContain('edge.x.heartbeat: not JSON');
    expect(bad[1]).toContain('edge.y.heartbeat: region: must be');
  });

  test('a listener that throws, also one for invalid events, costs neither the connection nor the next event', async () => {
    await using environment = await testBroker();
    const [sender, receiver] = await Promise.all([environment.connect(), environment.connect()]);
    let heard = 0;
    const fail = (): never => {
      heard += 1;
      throw new Error('listener failed');
    };
    receiver.subscribe(edgeHeartbeat('*'), fail, fail);
    await receiver.flush();
    for (let index = 0; index < 3; index++) sender.publish(edgeHeartbeat('us-1'), REPORT);
    sender.connection.publish('edge.x.heartbeat', '{');
    await eventually(() => expect(heard).toBe(4));
    await receiver.flush();
  });
});

describe('without a broker', () => {
  test('requests fail at once, events are dropped, closing does not wait; when it is back everything works again', async () => {
    await using environment = await testBroker();
    const [server, client, leaving] = await Promise.all([environment.connect(), environment.connect(), environment.connect()]);
    server.serve(REGISTER, () => ({ ok: true, heartbeatMs: 1, leaseMs: 1 }) as const);
    await server.flush();
    await environment.broker.kill();
    await eventually(() => expect([client.connected, leaving.connected, server.connected]).toEqual([false, false, false]));

    const asked = performance.now();
    await expect(client.request(REGISTER, REPORT, { timeoutMs: 60_000 })).rejects.toThrow(BrokerAwayError);
    client.publish(edgeHeartbeat('us-1'), REPORT);
    await leaving.close();
    expect(performance.now() - asked).toBeLessThan(2_000);

    client.onReconnect(() => {
      throw new Error('listener failed');
    });
    const back = Promise.all([server, client].map((bus) => new Promise<void>((resolve) => bus.onReconnect(resolve))));
    await environment.broker.start();
    await back;
    // Its subscriptions are on their way to the broker; that they have arrived nobody is told.
    await server.flush();
    expect(await client.request(REGISTER, REPORT, { timeoutMs })).toMatchObject({ ok: true });
  }, 30_000);

  test('a durable event that was not taken says so, and published again with the same id it is stored once', async () => {
    await using environment = await testBroker();
    const bus = await environment.connect();
    const streams = new Streams(bus, silentLog);
    await streams.ensure();
    await streams.publish(CONTENT_UPLOADED, { key: 'site/a', version: 1 }, 'event-1');
    await environment.broker.kill();
    await eventually(() => expect(bus.connected).toBe(false));
    await expect(streams.publish(CONTENT_UPLOADED, { key: 'site/a', version: 2 }, 'event-2')).rejects.toMatchObject({ retryable: true });
    const back = new Promise<void>((resolve) => bus.onReconnect(resolve));
    await environment.broker.start();
    await back;
    for (const version of [1, 2, 2]) await streams.publish(CONTENT_UPLOADED, { key: 'site/a', version }, `event-${version}`);
    const stored = await streams.recent(STREAMS.CONTENT, CONTENT_UPLOADED, 10);
    expect(stored.map(({ version }) => version).sort()).toEqual([1, 2]);
  }, 30_000);
});

describe('streams', () => {
  test('ensure keeps what is stored and the settings that are the operator’s, and puts its own limits back', async () => {
    await using environment = await testBroker();
    const bus = await environment.connect();
    const streams = new Streams(bus, silentLog);
    await streams.ensure();
    await streams.publish(CONTENT_UPLOADED, { key: 'site/a' }, 'a');
    const { jetstreamManager } = await import('@nats-io/jetstream');
    const manager = await jetstreamManager(bus.connection);
    await manager.streams.update('CONTENT', { max_bytes: 1024 * 1024, description: 'ours' });
    await streams.ensure();
    const { config, state } = await manager.streams.info('CONTENT');
    expect(config).toMatchObject({ max_bytes: STREAMS.CONTENT.maxBytes, description: 'ours' });
    expect(state.messages).toBe(1);
  });

  test('a message that is put off comes again after that time and counts its deliveries; a consumer that stopped takes none', async () => {
    await using environment = await testBroker();
    const bus = await environment.connect();
    const streams = new Streams(bus, silentLog);
    await streams.ensure();
    const deliveries: DurableMessage[] = [];
    const consumer = streams.consume({ stream: STREAMS.CONTENT, durable: 'retrying', maxPending: 10, ackWaitMs: 5_000 }, (message) => {
      deliveries.push(message);
      if (message.delivery < 3) message.retryIn(50);
      else message.ack();
    });
    await streams.publish(CONTENT_UPLOADED, { key: 'site/a' }, 'a');
    await eventually(() =>
      expect(deliveries.map(({ delivery, sequence }) => [delivery, sequence])).toEqual([
        [1, 1],
        [2, 1],
        [3, 1],
      ]),
    );
    await consumer.stop();
    await streams.publish(CONTENT_UPLOADED, { key: 'site/b' }, 'b');
    const rest: string[] = [];
    const next = streams.consume({ stream: STREAMS.CONTENT, durable: 'retrying', maxPending: 10, ackWaitMs: 5_000 }, (message) => {
      rest.push(Buffer.from(message.data).toString());
      message.ack();
    });
    await eventually(() => expect(rest).toEqual(['{"key":"site/b"}']));
    expect(deliveries).toHaveLength(3);
    await next.stop();
  });

  test('recent gives the newest of one subject, oldest first, passes over what does not parse, and gives nothing of an empty stream', async () => {
    await using environment = await testBroker();
    const bus = await environment.connect();
    const streams = new Streams(bus, silentLog);
    await streams.ensure();
    expect(await streams.recent(STREAMS.OUTCOMES, CONTENT_REJECTED, 5)).toEqual([]);
    const rejection = { subject: 'content.uploaded', reason: 'r', payload: '', by: 'origin', at: '2026-01-01T00:00:00.000Z' } as const;
    for (let index = 0; index < 6; index++) await streams.publish(CONTENT_REJECTED, { ...rejection, id: `r${index}` }, `r${index}`);
    await streams.publishEncoded('content.rejected', Buffer.from('{'), 'broken');
    expect((await streams.recent(STREAMS.OUTCOMES, CONTENT_REJECTED, 4)).map(({ id }) => id)).toEqual(['r3', 'r4', 'r5']);
  });
});
