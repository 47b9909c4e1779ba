import { BrokerAwayError, NoListenerError } from '@sluice/bus';
import { Registry } from '@sluice/runtime';
import { FakeClock } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { silent } from '../../testing/origin.fixture.ts';
import type { OutboxEntry } from '../catalog/outbox.ts';
import { createOriginMetrics } from '../metrics.ts';
import { OutboxPublisher } from './outbox-publisher.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));
const entry = (seq: number): OutboxEntry => ({ seq, eventId: `event-${seq}`, subject: 'content.uploaded', payload: new Uint8Array() });

/** A publisher between an outbox in memory and a stream that obeys. */
function publisherFixture(waiting: number) {
  let entries = Array.from({ length: waiting }, (_, index) => entry(index));
  const stored: string[] = [];
  const state = { connected: true, inFlight: 0, mostInFlight: 0, ensured: 0, attempts: 0 };
  let failure: ((id: string) => Error | undefined) | undefined;
  let reconnected: () => void = () => {};
  const clock = new FakeClock();
  const publisher = new OutboxPublisher({
    bus: {
      get connected() {
        return state.connected;
      },
      onReconnect: (listener) => {
        reconnected = listener;
        return () => {};
      },
    },
    streams: {
      async ensure() {
        state.ensured += 1;
      },
      async publishEncoded(_subject, _payload, id) {
        state.attempts += 1;
        state.inFlight += 1;
        state.mostInFlight = Math.max(state.mostInFlight, state.inFlight);
        await turn();
        state.inFlight -= 1;
        const error = failure?.(id);
        if (error !== undefined) throw error;
        stored.push(id);
      },
    },
    catalog: {
      outbox: { oldest: (count: number) => entries.slice(0, count) } as never,
      settle: (published) => {
        entries = entries.filter(({ seq }) => !published.some((done) => done.seq === seq));
      },
    },
    clock,
    rng: () => 1,
    metrics: createOriginMetrics(new Registry()),
    log: silent,
  });
  return {
    ...{ publisher, stored, state, clock },
    fail: (how: typeof failure) => {
      failure = how;
    },
    add: (seq: number) => {
      entries.push(entry(seq));
      publisher.wake();
    },
    left: () => entries.map(({ seq }) => seq),
    reconnect: () => {
      state.connected = true;
      reconnected();
    },
    settle: async () => {
      for (let index = 0; index < 20; index += 1) await turn();
    },
  };
}

test('everything is published in order, a bounded number at a time, and leaves the outbox', async () => {
  const fixture = publisherFixture(200);
  await fixture.settle();
  expect(fixture.stored).toEqual(Array.from({ length: 200 }, (_, index) => `event-${index}`));
  expect(fixture.left()).toEqual([]);
  expect(fixture.state.mostInFlight).toBe(64);
  await fixture.publisher.stop();
});

test('a new event wakes it', async () => {
  const fixture = publisherFixture(0);
  await fixture.settle();
  fixture.add(1);
  await fixture.settle();
  expect(fixture.stored).toEqual(['event-1']);
  await fixture.publisher.stop();
});

test('what fails is tried again after a growing pause that new events do not cut short; what succeeded is not', async () => {
  const fixture = publisherFixture(3);
  fixture.fail((id) => (id === 'event-1' ? new BrokerAwayError('content.uploaded', undefined) : undefined));
  await fixture.settle();
  expect([fixture.stored, fixture.left(), fixture.state.attempts]).toEqual([['event-0', 'event-2'], [1], 3]);
  fixture.add(7);
  await fixture.settle();
  expect(fixture.state.attempts).toBe(3);
  fixture.clock.advance(199);
  await fixture.settle();
  expect(fixture.state.attempts).toBe(3);
  fixture.clock.advance(1);
  await fixture.settle();
  expect(fixture.state.attempts).toBe(5);
  fixture.fail(undefined);
  fixture.clock.advance(399);
  await fixture.settle();
  expect(fixture.left()).toEqual([1]);
  fixture.clock.advance(1);
  await fixture.settle();
  expect(fixture.left()).toEqual([]);
  await fixture.publisher.stop();
});

test('streams that are gone are made again', async () => {
  const fixture = publisherFixture(1);
  fixture.fail(() => new NoListenerError('content.uploaded'));
  await fixture.settle();
  expect(fixture.state.ensured).toBe(1);
  fixture.fail(undefined);
  fixture.clock.advance(1_000);
  await fixture.settle();
  expect([fixture.state.ensured, fixture.left()]).toEqual([2, []]);
  await fixture.publisher.stop();
});

test('while the broker is away nothing is tried; when it is back everything goes at once', async () => {
  const fixture = publisherFixture(1);
  fixture.state.connected = false;
  fixture.fail(() => new BrokerAwayError('content.uploaded', undefined));
  await fixture.settle();
  const before = fixture.state.attempts;
  for (let seq = 10; seq < 20; seq += 1) fixture.add(seq);
  fixture.clock.advance(3_600_000);
  await fixture.settle();
  expect(fixture.state.attempts).toBe(before);
  fixture.fail(undefined);
  fixture.reconnect();
  await fixture.settle();
  expect(fixture.left()).toEqual([]);
  await fixture.publisher.stop();
});

test('it stops also in the middle of a pause', async () => {
  const fixture = publisherFixture(1);
  fixture.fail(() => new BrokerAwayError('content.uploaded', undefined));
  await fixture.settle();
  await fixture.publisher.stop();
  expect(fixture.left()).toEqual([0]);
});
