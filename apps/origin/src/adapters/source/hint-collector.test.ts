import { eventually, FakeClock } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { HintCollector, type HintSubject } from './hint-collector.ts';

function collector(max = 100) {
  const clock = new FakeClock();
  const told: HintSubject[] = [];
  const settling = new Set<string>();
  const hints = new HintCollector({
    ...{ clock, settleMs: 1_000, max },
    isSettling: async (path) => settling.has(path),
    emit: (about) => told.push(about),
  });
  return {
    hints,
    settling,
    told,
    /** Moves time and lets what fell due come to its end. */
    async pass(ms: number) {
      clock.advance(ms);
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

describe('hints', () => {
  test('are told once for many changes, when nothing has changed for the time of settling', async () => {
    const { hints, told, pass } = collector();
    for (let at = 0; at < 10; at++) {
      hints.note({ path: 'a' });
      hints.note({ path: 'b' });
      await pass(100);
      if (at === 0) hints.note({ under: 'd' });
    }
    expect(told).toEqual([]);
    await pass(900);
    await eventually(() => expect(told).toEqual([{ under: 'd' }, { path: 'a' }, { path: 'b' }]));
    await pass(10_000);
    expect(told).toHaveLength(3);
  });

  test('of what is still being written wait until it is not', async () => {
    const { hints, told, settling, pass } = collector();
    settling.add('a');
    hints.note({ path: 'a' });
    for (let at = 0; at < 5; at++) await pass(1_000);
    expect(told).toEqual([]);
    settling.clear();
    await pass(1_000);
    expect(told).toEqual([{ path: 'a' }]);
  });

  test('are at most as many as may be kept; beyond, one says that everything is to be looked at', async () => {
    const { hints, told, pass } = collector(10);
    for (let at = 0; at < 10; at++) hints.note({ path: `${at}` });
    expect(hints.size).toBe(10);
    for (let at = 0; at < 100; at++) hints.note({ path: `more ${at}` });
    expect(hints.size).toBe(0);
    await pass(1_000);
    expect(told).toEqual([{ all: true }]);
    hints.note({ path: 'after' });
    await pass(1_000);
    expect(told).toEqual([{ all: true }, { path: 'after' }]);
  });

  test('are not told any more after the end', async () => {
    const { hints, told, pass } = collector();
    hints.note({ path: 'a' });
    hints.stop();
    hints.note({ path: 'b' });
    await pass(10_000);
    expect([told, hints.size]).toEqual([[], 0]);
  });
});
