import type { Manifest, PushCommand } from '@sluice/contracts';
import { FakeClock } from '@sluice/testkit';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PushResult } from '../domain/distribution.ts';
import { EdgeHealth } from '../domain/retry-policy.ts';
import { type ChannelOptions, EdgeChannel } from './edge-channel.ts';

const STORED: PushResult = { outcome: 'stored', bytes: 1, attempts: 1 };
const store = (key: string, version = 1): PushCommand => ({
  op: 'store',
  eventId: `${key}-${version}`,
  manifest: { key, version } as Manifest,
  transfer: { kind: 'full' },
});
const invalidate: PushCommand = { op: 'invalidate', eventId: 'i', all: true, version: 1, mode: 'stale' };
const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A channel whose deliveries end when the test says so. */
function stage(options: Partial<ChannelOptions> = {}) {
  const clock = new FakeClock();
  const health = new EdgeHealth();
  const delivered: { command: PushCommand; signal: AbortSignal; end: (result?: PushResult) => void }[] = [];
  const deferred: string[] = [];
  const channel = new EdgeChannel({
    concurrency: 2,
    queueMax: 3,
    queueWaitMs: 30_000,
    clock,
    health,
    deliver: (command, signal) => new Promise((resolve) => delivered.push({ command, signal, end: (result = STORED) => resolve(result) })),
    onDeferred: (reason) => deferred.push(reason),
    ...options,
  });
  return { channel, clock, health, delivered, deferred };
}

describe('edge channel', () => {
  test('so many go at once, so many wait, and the rest is deferred and counted', async () => {
    const { channel, delivered, deferred } = stage();
    const results = Array.from({ length: 50 }, (_, index) => channel.push(store(`site/${index}`), false));
    await tick();
    for (let index = 50; index < 60; index += 1) results.push(channel.push(store(`site/${index}`), false));
    await tick();
    expect([channel.inFlight, channel.queued]).toEqual([2, 3]);
    while (channel.inFlight > 0) {
      for (const { end } of delivered) end();
      await tick();
    }
    const outcomes = (await Promise.all(results)).map(({ outcome }) => outcome);
    expect(outcomes.filter((outcome) => outcome === 'stored')).toHaveLength(5);
    expect(outcomes.filter((outcome) => outcome === 'deferred')).toHaveLength(55);
    expect(deferred).toEqual(Array(55).fill('queue_full'));
  });

  test('of one key one command is in flight and one waits, the newest, for all that asked', async () => {
    const { channel, delivered } = stage({ concurrency: 1 });
    void channel.push(invalidate, false);
    const results = [1, 2, 3, 4].map((version) => channel.push(store('site/a', version), false));
    delivered.pop()?.end();
    await tick();
    expect(delivered.map(({ command }) => command.eventId)).toEqual(['site/a-4']);
    const later = [5, 7, 6].map((version) => channel.push(store('site/a', version), false));
    await tick();
    expect(delivered).toHaveLength(1);
    delivered[0]?.end({ ...STORED, bytes: 4 });
    expect((await Promise.all(results)).map(({ bytes }) => bytes)).toEqual([4, 4, 4, 4]);
    await tick();
    expect(delivered.map(({ command }) => command.eventId)).toEqual(['site/a-4', 'site/a-7']);
    delivered[1]?.end({ ...STORED, bytes: 7 });
    expect((await Promise.all(later)).map(({ bytes }) => bytes)).toEqual([7, 7, 7]);
    await tick();
    expect([channel.inFlight, channel.queued]).toEqual([0, 0]);
  });

  test('a version in flight is not sent a second time, unless it is asked for again', async () => {
    const { channel, delivered } = stage();
    void channel.push(store('site/a', 2), false);
    await tick();
    void channel.push(store('site/a', 2), false);
    void channel.push(store('site/a', 1), false);
    expect(channel.queued).toBe(0);
    void channel.push(store('site/a', 2), true);
    expect(channel.queued).toBe(1);
    delivered[0]?.end();
    await tick();
    expect(delivered).toHaveLength(2);
  });

  test('invalidations wait for nothing of their own', async () => {
    const { channel, delivered } = stage();
    void channel.push(invalidate, false);
    void channel.push(invalidate, false);
    await tick();
    expect(delivered).toHaveLength(2);
  });

  test('when the edge goes, everything in flight and waiting ends at once', async () => {
    const { channel, delivered } = stage();
    const results = ['a', 'b', 'c', 'd'].map((key) => channel.push(store(`site/${key}`), false));
    results.push(channel.push(store('site/a', 2), false));
    await tick();
    channel.close('gone');
    expect((await Promise.all(results)).map(({ outcome, error }) => [outcome, error])).toEqual(Array(5).fill(['unreachable', 'gone']));
    expect(delivered.map(({ signal }) => signal.aborted)).toEqual([true, true]);
    expect([channel.inFlight, channel.queued]).toEqual([0, 0]);
    expect(await channel.push(store('site/z'), false)).toMatchObject({ outcome: 'unreachable', attempts: 0 });
    await tick();
    expect(delivered).toHaveLength(2);
  });

  test('what waits longer than one catch-up interval is deferred; what is in flight goes on', async () => {
    const { channel, clock, delivered, deferred } = stage();
    const running = channel.push(store('site/a'), false);
    void channel.push(store('site/b'), false);
    await tick();
    const waiting = channel.push(store('site/c'), false);
    clock.advance(29_999);
    expect(channel.queued).toBe(1);
    clock.advance(1);
    expect(await waiting).toMatchObject({ outcome: 'deferred' });
    expect(deferred).toEqual(['waited_too_long']);
    delivered[0]?.end();
    expect(await running).toEqual(STORED);
    await tick();
    expect(delivered).toHaveLength(2);
  });

  test('a silent edge keeps one command at a time until it answers again', async () => {
    const { channel, health, delivered, deferred } = stage({ queueMax: 10 });
    const results = ['a', 'b', 'c', 'd'].map((key) => channel.push(store(`site/${key}`), false));
    await tick();
    for (let miss = 0; miss < 3; miss += 1) health.noteSilence();
    for (const { end } of delivered) end({ outcome: 'failed', bytes: 0, attempts: 1 });
    expect((await Promise.all(results)).map(({ outcome }) => outcome)).toEqual(['failed', 'failed', 'deferred', 'deferred']);
    void channel.push(store('site/e'), false);
    await tick();
    expect(await channel.push(store('site/f'), false)).toMatchObject({ outcome: 'deferred' });
    health.noteAnswer();
    delivered.at(-1)?.end();
    void channel.push(store('site/g'), false);
    void channel.push(store('site/h'), false);
    await tick();
    expect(delivered.slice(-2).map(({ command }) => command.eventId)).toEqual(['site/g-1', 'site/h-1']);
    expect(deferred).toEqual(['silent', 'silent', 'silent']);
  });

  test('whatever the order, an edge never gets an older version of a key after a newer one, and every push has a result', async () => {
    const step = fc.record({ key: fc.constantFrom('a', 'b', 'c'), end: fc.nat(3), tick: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { channel, delivered } = stage({ queueMax: 100 });
        const newest = new Map<string, number>();
        const results: Promise<PushResult>[] = [];
        for (const [index, { key, end, tick: wait }] of steps.entries()) {
          results.push(channel.push(store(key, index + 1), false));
          newest.set(key, index + 1);
          if (wait) await tick();
          delivered[delivered.length - 1 - end]?.end();
        }
        while (channel.inFlight + channel.queued > 0) {
          for (const { end } of delivered) end();
          await tick();
        }
        expect(await Promise.all(results)).toHaveLength(steps.length);
        for (const [key, version] of newest) {
          const versions = delivered.flatMap(({ command }) =>
            command.op === 'store' && command.manifest.key === key ? [command.manifest.version] : [],
          );
          expect(versions).toEqual([...versions].sort((a, b) => a - b));
          expect(versions.at(-1)).toBe(version);
        }
      }),
      { numRuns: 50 },
    );
  });
});
