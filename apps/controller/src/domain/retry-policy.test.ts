import type { Manifest } from '@sluice/contracts';
import { describe, expect, test } from 'vitest';
import { ATTEMPTS_MAX, backoffMs, EdgeHealth, eventRetryMs, judge, pushTimeoutMs } from './retry-policy.ts';

describe('retry policy', () => {
  test.each([
    ['NO_LISTENER', true, 1, 'unreachable'],
    ['NO_REPLY', true, 1, 'retry'],
    ['DISK_FULL', true, 3, 'retry'],
    ['DISK_FULL', true, 4, 'failed'],
    ['KEY_INVALID', false, 1, 'failed'],
  ] as const)('%s (retryable %s) at attempt %i: %s', (code, retryable, attempt, verdict) => {
    expect(judge({ code, retryable }, attempt)).toBe(verdict);
  });

  test('the waits grow threefold from 100 ms, anywhere between nothing and the whole', () => {
    expect([1, 2, 3].map((attempt) => backoffMs(attempt, () => 1))).toEqual([100, 300, 900]);
    expect(backoffMs(3, () => 0)).toBe(0);
    expect(ATTEMPTS_MAX).toBe(4);
  });

  test('a push gets the time that its bytes take at 1 MiB/s on top', () => {
    const manifest = { size: 3 * 1024 * 1024 } as Manifest;
    expect(pushTimeoutMs({ op: 'store', eventId: 'e', manifest, transfer: { kind: 'full' } }, 10_000)).toBe(13_000);
    expect(pushTimeoutMs({ op: 'remove', eventId: 'e', key: 'a/b', version: 1, reason: 'deleted' }, 10_000)).toBe(10_000);
  });

  test('an event is put back for longer each time, never for more than 30 s', () => {
    const longest = Array.from({ length: 200 }, (_, index) => eventRetryMs(index + 1, () => 1));
    expect(longest.slice(0, 4)).toEqual([250, 500, 1_000, 2_000]);
    expect(Math.max(...longest)).toBe(30_000);
    expect(eventRetryMs(1, () => 0)).toBe(125);
  });

  test('an edge is silent after three requests in a row without reply, and no longer with the next reply', () => {
    const health = new EdgeHealth();
    health.noteSilence();
    health.noteSilence();
    health.noteAnswer();
    health.noteSilence();
    health.noteSilence();
    expect(health.silent).toBe(false);
    health.noteSilence();
    expect(health.silent).toBe(true);
    health.noteAnswer();
    expect(health.silent).toBe(false);
  });
});
