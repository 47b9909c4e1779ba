import { type EdgeReport, SluiceError } from '@sluice/contracts';
import { createMetrics, type Logger } from '@sluice/runtime';
import { edgeReport, FakeClock, silentLog } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { LeaseTable } from '../domain/lease-table.ts';
import { createControllerMetrics } from '../metrics.ts';
import { EdgePresence, type PresenceDeps } from './edge-presence.ts';

const report = (id: string, fields: Partial<EdgeReport> = {}): EdgeReport => edgeReport({ id, ...fields });

/** A clock whose process can stand still: what fell due meanwhile runs late, once. */
class StallingClock extends FakeClock {
  #behindMs = 0;
  override monotonicMs(): number {
    return super.monotonicMs() + this.#behindMs;
  }
  stall(forMs: number): void {
    this.#behindMs += forMs;
    this.advance(500);
  }
}

/** Presence over a bus that the test plays; real ones are in the integration tests. */
function stage(maxEdges = 10) {
  const clock = new StallingClock(0);
  const calls: string[] = [];
  let register: (report: EdgeReport, subject: string) => Promise<unknown> = () => Promise.reject(new Error('not served'));
  let heartbeat: (report: EdgeReport, subject: string) => void = () => {};
  let reconnect: () => void = () => {};
  const bus = {
    connected: true,
    serve: (_on: unknown, handler: typeof register) => {
      register = handler;
      return () => {};
    },
    subscribe: (_to: unknown, listener: typeof heartbeat) => {
      heartbeat = listener;
      return () => {};
    },
    onReconnect: (listener: () => void) => {
      reconnect = listener;
      return () => {};
    },
    publish: (event: { subject: string }) => calls.push(`publish ${event.subject}`),
    flush: () => Promise.resolve(),
  };
  const presence = new EdgePresence(
    { heartbeatMs: 1_000, leaseMs: 5_000 },
    {
      bus: bus as unknown as PresenceDeps['bus'],
      table: new LeaseTable({ leaseMs: 5_000, maxEdges }),
      pusher: { open: ({ id }) => calls.push(`open ${id}`), close: (id) => calls.push(`close ${id}`) },
      metrics: createControllerMetrics(createMetrics('controller')),
      log: silentLog as unknown as Logger,
      clock,
    },
  );
  presence.start();
  return {
    presence,
    clock,
    calls,
    bus,
    register: (edge: EdgeReport, subject = `controller.register.${edge.id}`) => register(edge, subject),
    beat: (edge: EdgeReport, subject = `edge.${edge.id}.heartbeat`) => heartbeat(edge, subject),
    reconnect: () => reconnect(),
    ids: () => presence.live().map((lease) => lease.report.id),
  };
}

/** Whether a promise has resolved by now. */
async function isDone(promise: Promise<void>): Promise<boolean> {
  let done = false;
  void promise.then(() => {
    done = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  return done;
}

describe('edge presence', () => {
  test('after the reply to its registration an edge is known here and announced to the other controllers', async () => {
    const { register, calls, ids } = stage();
    expect(await register(report('us-1'))).toEqual({ ok: true, heartbeatMs: 1_000, leaseMs: 5_000 });
    expect(ids()).toEqual(['us-1']);
    expect(calls).toEqual(['open us-1', 'publish edge.us-1.heartbeat']);
  });

  test('an edge that is silent is out of the plans within 6 s', () => {
    const { beat, clock, ids, calls } = stage();
    beat(report('us-1'));
    clock.advance(4_999);
    expect(ids()).toEqual(['us-1']);
    clock.advance(1_001);
    expect(ids()).toEqual([]);
    expect(calls).toEqual(['open us-1', 'close us-1']);
  });

  test('a goodbye closes at once, a restart opens anew', () => {
    const { beat, calls } = stage();
    beat(report('us-1'));
    beat(report('us-1', { instance: 'b' }));
    beat(report('us-1', { instance: 'b', draining: true }));
    expect(calls).toEqual(['open us-1', 'open us-1', 'close us-1']);
  });

  test('a heartbeat on the subject of another edge counts for nobody', () => {
    const { beat, ids } = stage();
    beat(report('us-1'), 'edge.us-2.heartbeat');
    expect(ids()).toEqual([]);
  });

  test('an edge that registers on the subject of another edge is refused', async () => {
    const { register, ids } = stage();
    await expect(register(report('us-1'), 'controller.register.us-2')).rejects.toMatchObject({ code: 'WRONG_EDGE', retryable: false });
    expect(ids()).toEqual([]);
  });

  test('an edge beyond the limit is refused with a reason, and may ask again', async () => {
    const { register } = stage(1);
    await register(report('us-1'));
    const refusal = await register(report('us-2')).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(SluiceError);
    expect(refusal).toMatchObject({ code: 'TOO_MANY_EDGES', retryable: true });
  });

  test('plans wait for one heartbeat interval after the start, and after each reconnection', async () => {
    const { presence, clock, reconnect } = stage();
    const first = presence.settled();
    clock.advance(1_249);
    expect(await isDone(first)).toBe(false);
    clock.advance(1);
    expect(await isDone(first)).toBe(true);
    reconnect();
    const second = presence.settled();
    expect(await isDone(second)).toBe(false);
    clock.advance(1_250);
    expect(await isDone(second)).toBe(true);
  });

  test('while the broker is away nobody is forgotten; back again, each edge has a whole lease to be heard', () => {
    const { bus, beat, clock, reconnect, ids } = stage();
    beat(report('us-1'));
    beat(report('us-2'));
    bus.connected = false;
    clock.advance(60_000);
    bus.connected = true;
    reconnect();
    expect(ids()).toEqual(['us-1', 'us-2']);
    clock.advance(3_000);
    beat(report('us-1'));
    clock.advance(2_500);
    expect(ids()).toEqual(['us-1']);
  });

  test('a pause of the controller itself costs no edge its lease', async () => {
    const { presence, beat, clock, ids, calls } = stage();
    beat(report('us-1'));
    clock.stall(20_000);
    expect(ids()).toEqual(['us-1']);
    expect(calls).toEqual(['open us-1']);
    expect(await isDone(presence.settled())).toBe(false);
  });
});
