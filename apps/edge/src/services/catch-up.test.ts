import { BlobStore } from '@sluice/blobs';
import type { Change } from '@sluice/contracts';
import { SluiceError } from '@sluice/contracts';
import { createLogger } from '@sluice/runtime';
import { FakeClock, temporaryDirectory } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { CatalogIndex } from '../adapters/catalog-index.ts';
import { IndexStamps } from '../adapters/index-stamps.ts';
import { manifestOf } from '../domain/history.fixture.ts';
import { AbsentKeys } from './absent-keys.ts';
import { CatchUp } from './catch-up.ts';
import { DiskBudget } from './disk-budget.ts';
import { Fills } from './fills.ts';
import type { ChangesPage, OriginPort } from './origin-port.ts';
import { Replica } from './replica.ts';
import { Transfers } from './transfers.ts';
import { VariantFill } from './variant-fill.ts';

const log = createLogger('edge', 'silent');
const store = (key: string, version: number): Change => ({ op: 'store', manifest: manifestOf(key, version) });
const page = (changes: Change[], next: number, more: Partial<ChangesPage> = {}): ChangesPage => ({
  ok: true,
  catalogId: 'c',
  reset: false,
  changes,
  next,
  done: true,
  ...more,
});

async function scene(answer: (since: number, catalogId: string | undefined) => ChangesPage | Promise<ChangesPage>) {
  const dir = await temporaryDirectory();
  const blobs = await BlobStore.open({ dir: `${dir.path}/blobs`, durability: 'relaxed' });
  const clock = new FakeClock();
  const stamps = new IndexStamps();
  const index = new CatalogIndex({ dir: dir.path, region: 'US', nowMs: () => clock.nowMs(), stamps });
  const asked: number[] = [];
  const origin: OriginPort = {
    chunkBytes: 1024,
    download: async () => false,
    resolve: () => Promise.reject(new Error('not asked for')),
    read: () => Promise.reject(new Error('not asked for')),
    blocks: () => Promise.reject(new Error('not asked for')),
    changes: async (since, catalogId) => {
      asked.push(since);
      return answer(since, catalogId);
    },
  };
  const budget = new DiskBudget(blobs, 1_000);
  const absentKeys = new AbsentKeys(clock, 5_000, (stamp) => stamps.holds(stamp));
  const fills = new Fills({ blobs, origin, began() {}, ended() {} });
  const transfers = new Transfers({ blobs, budget, origin, fills, log, observer: { transferred() {}, failed() {} } });
  const memory = { forget() {} };
  const variants = new VariantFill({ index, blobs, memory, budget, transfers, clock, log });
  const replica = new Replica({ index, blobs, memory, budget, transfers, variants });
  const catchUp = new CatchUp({
    ...{ index, replica, origin, clock, log },
    rng: () => 0.5,
    intervalMs: 30_000,
    onCompleted() {},
    onFailed() {},
  });
  return {
    ...{ clock, index, stamps, asked, absentKeys, catchUp },
    async [Symbol.asyncDispose]() {
      catchUp.stop();
      index.close();
      blobs.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

describe('catch-up', () => {
  test('each page is known for good, and a run that breaks off goes on from there', async () => {
    let broken = true;
    await using it = await scene((since) => {
      if (since === 0) return page([store('site/a', 10)], 10, { done: false });
      if (broken) throw new SluiceError('NO_REPLY', 'cut', { retryable: true });
      return page([store('site/b', 20)], 25);
    });
    expect(await it.catchUp.run()).toBe(false);
    expect([it.index.watermark, it.catchUp.completedAtMs]).toEqual([10, undefined]);
    broken = false;
    expect(await it.catchUp.run()).toBe(true);
    expect([it.asked, it.index.watermark, it.index.get('site/b')?.version]).toEqual([[0, 10, 10], 25, 20]);
  });

  test('a listing counts only as a whole', async () => {
    let answers: (ChangesPage | Error)[] = [page([store('site/a', 1)], 1)];
    await using it = await scene(() => {
      const answer = answers.shift();
      if (answer === undefined || answer instanceof Error) throw answer ?? new Error('no more');
      return answer;
    });
    await it.catchUp.run();
    const cut = new SluiceError('NO_REPLY', 'cut', { retryable: true });
    answers = [page([store('site/b', 2)], 2, { reset: true, done: false, catalogId: 'd' }), cut];
    expect(await it.catchUp.run()).toBe(false);
    expect([it.index.watermark, it.index.catalogId, it.index.get('site/a')?.version]).toEqual([1, 'c', 1]);
  });

  test('it asks again after its interval, from where it was', async () => {
    await using it = await scene((since) => page([], Math.max(since, 7)));
    await it.catchUp.run();
    it.clock.advance(29_999);
    expect(it.asked).toEqual([0]);
    it.clock.advance(1);
    expect(it.asked).toEqual([0, 7]);
  });

  test('after a failure it waits ever longer, and less than the interval', async () => {
    let failing = true;
    await using it = await scene(() => {
      if (failing) throw new SluiceError('NO_LISTENER', 'away', { retryable: true });
      return page([], 1);
    });
    const waits: number[] = [];
    await it.catchUp.run();
    for (let attempt = 0; attempt < 8; attempt++) {
      const asked = it.asked.length;
      let waited = 0;
      while (it.asked.length === asked) {
        it.clock.advance(250);
        waited += 250;
      }
      waits.push(waited);
      await nextTurn();
    }
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
    failing = false;
    expect(await it.catchUp.run()).toBe(true);
    expect(it.catchUp.completedAtMs).toBeDefined();
  });

  test('asked for while it runs, it runs once more after that, however often it was asked', async () => {
    const gates: (() => void)[] = [];
    await using it = await scene(() => new Promise((resolve) => gates.push(() => resolve(page([], 1)))));
    const runs = [it.catchUp.run(), it.catchUp.run(), it.catchUp.run()];
    while (gates.length < 1) await nextTurn();
    gates[0]?.();
    while (gates.length < 2) await nextTurn();
    gates[1]?.();
    await Promise.all(runs);
    expect(it.asked).toHaveLength(2);
  });

  test('a feed that starts over names what is left; the rest is forgotten when the listing is complete', async () => {
    let reset = false;
    await using it = await scene((_since, catalogId) => {
      if (!reset) return page([store('site/a', 1), store('site/b', 2)], 2);
      if (catalogId === 'c') return page([store('site/b', 2)], 2, { reset: true, done: false, catalogId: 'd' });
      return page([store('site/c', 3)], 3, { catalogId: 'd' });
    });
    await it.catchUp.run();
    reset = true;
    await it.catchUp.run();
    expect(['site/a', 'site/b', 'site/c'].map((key) => it.index.get(key)?.version)).toEqual([undefined, 2, 3]);
    expect(it.index.catalogId).toBe('d');
  });

  test('another catalog that has nothing yet empties the edge too, and what comes into it later is taken', async () => {
    let answer = page([store('site/a', 1)], 1);
    await using it = await scene(() => answer);
    await it.catchUp.run();
    answer = page([], 5, { reset: true, catalogId: 'new' });
    await it.catchUp.run();
    expect(it.index.get('site/a')).toBeUndefined();
    answer = page([], 7, { catalogId: 'newer' });
    await it.catchUp.run();
    answer = page([store('site/b', 9)], 9, { catalogId: 'newer' });
    await it.catchUp.run();
    expect([it.index.get('site/b')?.version, it.index.catalogId]).toEqual([9, 'newer']);
  });

  test.each([
    ['that does not advance', page([], 0, { done: false })],
    ['that starts over again and again', page([], 5, { reset: true, done: false })],
  ])('a feed %s is given up, not read for ever', async (_how, answer) => {
    await using it = await scene(() => answer);
    expect(await it.catchUp.run()).toBe(false);
    expect(it.asked.length).toBeLessThan(4);
  });

  test('an upload that it lists ends the memory of its 404', async () => {
    await using it = await scene(() => page([store('site/a', 1)], 1));
    it.absentKeys.remember('site/a', it.stamps.stamp('site/a'));
    expect(it.absentKeys.has('site/a')).toBe(true);
    await it.catchUp.run();
    expect(it.absentKeys.has('site/a')).toBe(false);
  });
});

/** One turn of the event loop. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
