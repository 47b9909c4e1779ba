import type { Bus } from '@sluice/bus';
import { type RegisterReply, SluiceError } from '@sluice/contracts';
import { createLogger } from '@sluice/runtime';
import { edgeReport, FakeClock } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { Presence, REGISTER_RETRY_MS } from './presence.ts';

const ANSWER: RegisterReply = { ok: true, heartbeatMs: 1_000, leaseMs: 5_000 };
const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const nobody = (): Promise<never> => Promise.reject(new SluiceError('NO_LISTENER', 'nobody answers'));

/** An edge's presence on a broker and with a controller that the test plays. */
function stage() {
  const clock = new FakeClock();
  const startMs = clock.nowMs();
  /** When it tried to register, and when a heartbeat went out, in ms since the start. */
  const [attempts, heartbeats]: [number[], number[]] = [[], []];
  const controller: { answer: () => Promise<RegisterReply> } = { answer: nobody };
  const bus = {
    connected: true,
    flush: async () => {},
    publish: () => void heartbeats.push(clock.nowMs() - startMs),
    request() {
      attempts.push(clock.nowMs() - startMs);
      return controller.answer();
    },
  } as unknown as Bus;
  const presence = new Presence({ bus, clock, log: createLogger('edge', 'silent'), report: (draining) => edgeReport({ draining }) });
  let registered = 0;
  return {
    ...{ presence, clock, controller, attempts, heartbeats },
    /** What the start of the edge and each reconnection do. */
    announce: () => presence.announce(() => registered++),
    registered: () => registered,
    /** A controller that hangs: the request fails when its time is over. */
    hang: (timeoutMs: number) => (): Promise<never> =>
      new Promise((_resolve, reject) => clock.after(timeoutMs, () => reject(new SluiceError('NO_REPLY', 'no reply')))),
    /** Time passes, and what it sets off ends. */
    async pass(ms: number) {
      for (let passed = 0; passed < ms; passed += 100) {
        clock.advance(100);
        await tick();
      }
    },
  };
}

describe('presence', () => {
  test('registers once a second until a controller answers, and then no more', async () => {
    const { announce, attempts, controller, pass, registered, presence } = stage();
    await announce();
    await pass(60_000);
    expect(attempts).toEqual(Array.from({ length: 61 }, (_, index) => index * REGISTER_RETRY_MS));
    expect([registered(), presence.registered]).toEqual([0, false]);
    controller.answer = async () => ANSWER;
    await pass(60_000);
    expect(attempts).toHaveLength(62);
    expect([registered(), presence.registered]).toEqual([1, true]);
  });

  test('reconnections while an attempt is under way do not make it register more often, nor send more heartbeats', async () => {
    const { announce, attempts, heartbeats, controller, hang, pass, registered } = stage();
    controller.answer = hang(2_000);
    void announce();
    for (let count = 0; count < 10; count++) {
      await pass(1_500);
      void announce();
    }
    [attempts, heartbeats].forEach((times) => void times.splice(0));
    await pass(30_000);
    expect(attempts).toHaveLength(30_000 / (2_000 + REGISTER_RETRY_MS));
    // One a second, and one with each attempt.
    expect(heartbeats.length).toBeLessThanOrEqual(30 + attempts.length);
    controller.answer = async () => ANSWER;
    await pass(30_000);
    expect(registered()).toBe(1);
  });

  test('of two attempts under way that are both answered the later one counts', async () => {
    const { announce, attempts, controller, pass, registered } = stage();
    controller.answer = async () => ANSWER;
    await Promise.all([announce(), announce()]);
    await pass(10_000);
    expect([attempts.length, registered()]).toEqual([2, 1]);
  });

  test('an edge that leaves while it registers does not come back', async () => {
    const { announce, attempts, heartbeats, controller, hang, pass, presence } = stage();
    controller.answer = hang(2_000);
    void announce();
    await presence.leave();
    await pass(60_000);
    expect([attempts.length, heartbeats.length]).toEqual([1, 2]);
  });
});
