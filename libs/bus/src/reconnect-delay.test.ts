import { eventually, testBroker } from '@sluice/testkit';
import { expect, test, vi } from 'vitest';
import { reconnectDelay } from './reconnect-delay.ts';

const HOUR_MS = 3_600_000;

function scene(servers: number) {
  const clocks = { wallMs: 10 * HOUR_MS, monotonicMs: 5_000 };
  const pass = (ms: number, setMs = 0): void => {
    clocks.monotonicMs += ms;
    clocks.wallMs += ms + setMs;
  };
  const delay = reconnectDelay({
    ...{ waitMs: 250, jitterMs: 100, servers, rng: () => 0.5 },
    clocks: { wall: () => clocks.wallMs, monotonic: () => clocks.monotonicMs },
  });
  return { pass, delay };
}

test('the delay is the wait and its jitter, however long it takes and however often the clock is adjusted a little or set on', () => {
  const { pass, delay } = scene(1);
  for (const setMs of [0, -100, 100, 0, 48 * HOUR_MS, -200]) {
    pass(1_000, setMs);
    expect(delay()).toBe(300);
  }
});

test('a clock that is set back lets each server be tried once without a wait', () => {
  const { pass, delay } = scene(3);
  pass(1_000, -2 * HOUR_MS);
  expect([delay(), delay(), delay(), delay()]).toEqual([-2 - 2 * HOUR_MS, -2 - 2 * HOUR_MS, -2 - 2 * HOUR_MS, 300]);
});

test('set back twice before all were tried, it counts for both', () => {
  const { pass, delay } = scene(2);
  pass(1_000, -HOUR_MS);
  expect(delay()).toBe(-2 - HOUR_MS);
  pass(1_000, -HOUR_MS);
  expect([delay(), delay(), delay()]).toEqual([-2 - 2 * HOUR_MS, -2 - 2 * HOUR_MS, 300]);
});

test('a bus finds its broker again when the clock was set back by hours while that was away', async () => {
  await using environment = await testBroker();
  const bus = await environment.connect();
  const { now } = Date;
  await environment.broker.kill();
  await eventually(() => expect(bus.connected).toBe(false));
  const set = vi.spyOn(Date, 'now').mockImplementation(() => now() - 2 * HOUR_MS);
  try {
    await environment.broker.start();
    await eventually(() => expect(bus.connected).toBe(true));
  } finally {
    set.mockRestore();
  }
});
