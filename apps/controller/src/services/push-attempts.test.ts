import { type PushCommand, SluiceError } from '@sluice/contracts';
import { describe, expect, test } from 'vitest';
import { EdgeHealth } from '../domain/retry-policy.ts';
import { pushWithRetries, type SendOnce } from './push-attempts.ts';

const command: PushCommand = { op: 'remove', eventId: 'e', key: 'site/a', version: 1, reason: 'deleted' };
const REMOVED = { ok: true, outcome: 'removed', bytes: 0 } as const;
const failing = (code: string, retryable: boolean): SluiceError => new SluiceError(code, `it is ${code}`, { retryable });

/** Runs the attempts without waiting; `waits` are the delays that were asked for. */
async function run(send: SendOnce, health = new EdgeHealth(), signal = new AbortController().signal) {
  const waits: number[] = [];
  let retries = 0;
  const clock = {
    nowMs: () => 0,
    monotonicMs: () => 0,
    after(delayMs: number, callback: () => void) {
      waits.push(delayMs);
      queueMicrotask(callback);
      return () => {};
    },
  };
  const onRetry = (): void => {
    retries += 1;
  };
  const result = await pushWithRetries(command, signal, { send, health, clock, rng: () => 1, onRetry });
  return { result, waits, retries };
}

describe('push attempts', () => {
  test('a failure that passes is tried four times with growing waits, then given up', async () => {
    const { result, waits, retries } = await run(() => Promise.reject(failing('DISK_BUSY', true)));
    expect(result).toEqual({ outcome: 'failed', bytes: 0, attempts: 4, error: 'it is DISK_BUSY' });
    expect(waits).toEqual([100, 300, 900]);
    expect(retries).toBe(3);
  });

  test('a later attempt that succeeds is the result', async () => {
    let calls = 0;
    const { result } = await run(() => {
      calls += 1;
      return calls < 3 ? Promise.reject(failing('NO_REPLY', true)) : Promise.resolve(REMOVED);
    });
    expect(result).toEqual({ outcome: 'removed', bytes: 0, attempts: 3 });
  });

  test('nobody listening is unreachable at once', async () => {
    const { result, waits } = await run(() => Promise.reject(failing('NO_LISTENER', true)));
    expect(result).toMatchObject({ outcome: 'unreachable', attempts: 1 });
    expect(waits).toEqual([]);
  });

  test('a final failure is not tried again', async () => {
    const { result } = await run(() => Promise.reject(failing('MANIFEST_REFUSED', false)));
    expect(result).toMatchObject({ outcome: 'failed', attempts: 1, error: 'it is MANIFEST_REFUSED' });
  });

  test('a defect of the controller does not leave it in words', async () => {
    const { result } = await run(() => Promise.reject(new Error('/etc/secret')));
    expect(result).toMatchObject({ outcome: 'failed', error: expect.not.stringContaining('secret') });
  });

  test('an edge that leaves is unreachable, also while the next attempt is waited for', async () => {
    const cut = new AbortController();
    const { result } = await run(
      () => {
        queueMicrotask(() => cut.abort(new Error('left')));
        return Promise.reject(failing('NO_REPLY', true));
      },
      new EdgeHealth(),
      cut.signal,
    );
    expect(result).toMatchObject({ outcome: 'unreachable', attempts: 1 });
  });

  test('no reply counts against the edge, any reply for it, and a silent one is not asked twice', async () => {
    const health = new EdgeHealth();
    const { result } = await run(() => Promise.reject(failing('NO_REPLY', true)), health);
    expect(result.attempts).toBe(3);
    expect(health.silent).toBe(true);
    await run(() => Promise.reject(failing('DISK_FULL', false)), health);
    expect(health.silent).toBe(false);
  });
});
