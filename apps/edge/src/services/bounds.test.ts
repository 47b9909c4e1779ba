import { randomBytes } from 'node:crypto';
import { type Manifest, SluiceError } from '@sluice/contracts';
import { eventually, FakeClock } from '@sluice/testkit';
import { describe, expect, test, vi } from 'vitest';
import { IndexStamps } from '../adapters/index-stamps.ts';
import { manifestOf } from '../domain/history.fixture.ts';
import { rank, refetchCost } from '../domain/value.ts';
import { sha256Of } from '../scripted-origin.fixture.ts';
import { ABSENT_KEYS_MAX, AbsentKeys } from './absent-keys.ts';
import { COUNTED_MAX, PENDING_RANKS_MAX } from './disk-budget.ts';
import { missingVariants } from './missing-variants.ts';
import type { OriginPort } from './origin-port.ts';
import { PULLS_MAX } from './puller.ts';
import { replicaParts } from './replica.fixture.ts';
import type { Uses } from './serving-messages.ts';
import { Sharing, WAITING_MAX_BYTES } from './sharing.ts';
import { WAITING_TRANSFERS_MAX } from './transfers.ts';
import { COUNTED_MAX as USES_TOLD_MAX, UsedBlobs } from './used-blobs.ts';
import { WAITING_VARIANTS_MAX } from './variant-fill.ts';

/** An origin whose answers wait until they are let go. */
function hangingOrigin(): OriginPort & { readonly asked: string[] } {
  const asked: string[] = [];
  const never = (what: string) => {
    asked.push(what);
    return new Promise<never>(() => {});
  };
  return {
    asked,
    chunkBytes: 1024,
    download: async () => false,
    resolve: (key) => never(key),
    read: (sha256) => never(sha256),
    blocks: (sha256) => never(sha256),
    changes: () => never('changes'),
  };
}

const WANTED = new AbortController().signal;
const manifestNumber = (number: number): Manifest =>
  manifestOf(`site/${number}`, number + 1, { sha256: sha256Of(Buffer.from(String(number))) });

describe('bounds', () => {
  test('absent keys: ten times as many as remembered leave the newest, and each is forgotten in time', () => {
    const clock = new FakeClock();
    const stamps = new IndexStamps();
    const absentKeys = new AbsentKeys(clock, 5_000, (stamp) => stamps.holds(stamp));
    for (let number = 0; number < 10 * ABSENT_KEYS_MAX; number++) absentKeys.remember(`site/${number}`, stamps.stamp(`site/${number}`));
    expect(absentKeys.size).toBe(ABSENT_KEYS_MAX);
    expect(absentKeys.has('site/0')).toBe(false);
    expect(absentKeys.has(`site/${10 * ABSENT_KEYS_MAX - 1}`)).toBe(true);
    clock.advance(5_000);
    expect(absentKeys.has(`site/${10 * ABSENT_KEYS_MAX - 1}`)).toBe(false);
  });

  test('variants: ten times as many as may wait leave as many, two of them under way, and the rest is dropped', async () => {
    const origin = hangingOrigin();
    await using scene = await replicaParts(origin);
    const stored = Array.from({ length: 10 * WAITING_VARIANTS_MAX }, (_, number) => {
      const variants = [{ coding: 'br', sha256: sha256Of(Buffer.from(`br ${number}`)), size: 5 }];
      const manifest = manifestOf(`site/${number}`, number + 1, { variants });
      return { op: 'store', manifest, provenance: { kind: 'announced' } } as const;
    });
    scene.index.applyPage(stored, false);
    for (const { manifest } of stored) scene.variants.offer(manifest);
    expect(scene.variants.pending).toBe(WAITING_VARIANTS_MAX);
    await eventually(() => expect(origin.asked).toHaveLength(2));
  });

  test('transfers: more than may wait are refused as busy, and one checksum is brought once', async () => {
    const origin = hangingOrigin();
    await using scene = await replicaParts(origin);
    const refusals: unknown[] = [];
    for (let number = 0; number < 2 * WAITING_TRANSFERS_MAX; number++) {
      scene.transfers.ensure(manifestNumber(number), { bases: [] }).catch((error: unknown) => refusals.push(error));
    }
    for (let count = 0; count < 100; count++) void scene.transfers.ensure(manifestNumber(0), { bases: [] });
    await new Promise((resolve) => setImmediate(resolve));
    expect(refusals.length).toBeGreaterThan(0);
    expect(refusals.every((error) => error instanceof SluiceError && error.code === 'EDGE_BUSY')).toBe(true);
    expect(scene.transfers.pending).toBe(2 * WAITING_TRANSFERS_MAX - refusals.length);
    expect(origin.asked.filter((sha256) => sha256 === manifestNumber(0).sha256)).toHaveLength(1);
  });

  test('pulls: more keys than may be asked for at once are refused as busy, and one key is asked for once', async () => {
    const origin = hangingOrigin();
    await using scene = await replicaParts(origin);
    const refusals: unknown[] = [];
    for (let number = 0; number < 2 * PULLS_MAX; number++)
      scene.puller.pull(`site/${number}`, false).catch((error: unknown) => refusals.push(error));
    for (let count = 0; count < 100; count++) void scene.puller.pull('site/0', false);
    await new Promise((resolve) => setImmediate(resolve));
    expect([origin.asked.length, refusals.length]).toEqual([PULLS_MAX, PULLS_MAX]);
  });

  test('objects too large to keep: more visitors than may wait for one are refused as busy', async () => {
    await using scene = await replicaParts(hangingOrigin());
    const refusals: unknown[] = [];
    for (let number = 0; number < 200; number++) {
      scene.detached.bring({ ...manifestNumber(number), size: 100_000 }, WANTED).catch((error: unknown) => refusals.push(error));
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect(refusals).toHaveLength(200 - 4 - 64);
    expect(refusals.every((error) => error instanceof SluiceError && error.code === 'EDGE_BUSY')).toBe(true);
  });

  test('objects too large to keep hold no place when their files cannot be removed', async () => {
    await using scene = await replicaParts({ ...hangingOrigin(), read: () => Promise.reject(new SluiceError('BLOB_MISSING', 'gone')) });
    const incoming = scene.blobs.incoming.bind(scene.blobs);
    const discard = vi.fn(() => Promise.reject(new Error('EIO')));
    vi.spyOn(scene.blobs, 'incoming').mockImplementation(() => Object.assign(incoming(), { discard }));
    for (let number = 0; number < 10; number++) {
      await expect(scene.detached.bring({ ...manifestNumber(number), size: 100_000 }, WANTED)).rejects.toThrow();
    }
    expect(discard).toHaveBeenCalledTimes(10);
  });

  test('small objects that are not kept: more than may wait with all other transfers are refused as busy', async () => {
    await using scene = await replicaParts(hangingOrigin());
    const refusals: unknown[] = [];
    for (let number = 0; number < 2 * WAITING_TRANSFERS_MAX; number++) {
      scene.detached.bring(manifestNumber(number), WANTED).catch((error: unknown) => refusals.push(error));
    }
    await new Promise((resolve) => setImmediate(resolve));
    expect(refusals).toHaveLength(2 * WAITING_TRANSFERS_MAX - WAITING_TRANSFERS_MAX - 24);
  });

  test('uses of blobs: what is counted is told within a second, and at once when there is much of it', () => {
    const clock = new FakeClock();
    const told: Uses[] = [];
    const used = new UsedBlobs(clock, (uses) => told.push(uses));
    for (let count = 0; count < 3; count++) used.count('a', 10);
    used.count('b', 20);
    expect(told).toEqual([]);
    clock.advance(1_000);
    expect(told.splice(0)).toEqual([
      [
        ['a', 10, 3],
        ['b', 20, 1],
      ],
    ]);
    for (let number = 0; number < 2 * USES_TOLD_MAX; number++) used.count(String(number), 1);
    expect(told.map((uses) => uses.length)).toEqual([USES_TOLD_MAX, USES_TOLD_MAX]);
    used.flush();
    expect(told).toHaveLength(2);
  });

  test('missing variants: each is told once a second, however many visitors would have got it', () => {
    const clock = new FakeClock();
    const told: string[] = [];
    const miss = missingVariants(({ sha256 }) => told.push(sha256), clock);
    const ask = (sha256: string) => miss({ key: 'site/a', sha256, size: 1 });
    for (let count = 0; count < 100; count++) ask('br');
    ask('gzip');
    expect(told).toEqual(['br', 'gzip']);
    clock.advance(1_000);
    ask('br');
    expect(told).toEqual(['br', 'gzip', 'br']);
    for (let number = 0; number < 1_000; number++) ask(String(number));
    ask('br');
    expect(told.filter((sha256) => sha256 === 'br')).toHaveLength(3);
  });

  test('ranks that wait to be written are bounded', async () => {
    await using scene = await replicaParts(hangingOrigin());
    for (let number = 0; number < 2 * PENDING_RANKS_MAX; number++) scene.budget.touch(String(number), 100);
    expect(scene.budget.pendingRanks).toBe(PENDING_RANKS_MAX);
    scene.budget.flushRanks();
    expect(scene.budget.pendingRanks).toBe(0);
  });

  test('ranks that cannot be written wait for the next time, as many as may wait', async () => {
    await using scene = await replicaParts(hangingOrigin());
    const { sha256 } = await scene.blobs.put(Buffer.from('a'));
    const setRanks = vi.spyOn(scene.blobs, 'setRanks').mockImplementation(() => {
      throw new Error('database or disk is full');
    });
    scene.budget.demote(sha256);
    scene.budget.flushRanks();
    expect(scene.budget.pendingRanks).toBe(1);
    for (let number = 0; number < 10 * PENDING_RANKS_MAX; number += 1) scene.budget.demote(String(number));
    expect(scene.budget.pendingRanks).toBeLessThanOrEqual(PENDING_RANKS_MAX);
    scene.budget.evictTo(0);
    expect(scene.blobs.has(sha256)).toBe(false);
    setRanks.mockRestore();
    scene.budget.flushRanks();
    expect(scene.budget.pendingRanks).toBe(0);
  });

  test('use counts: more blobs than are counted make the least recently used one begin anew', async () => {
    await using scene = await replicaParts(hangingOrigin());
    const use = async (sha256: string, times: number) => {
      for (let count = 0; count < times; count++) scene.budget.touch(sha256, 1_000);
      scene.budget.flushRanks();
    };
    const [forgotten, kept] = await Promise.all([1, 2].map(async () => (await scene.blobs.put(randomBytes(1_000))).sha256));
    await use(forgotten as string, 50);
    await use(kept as string, 50);
    for (let number = 0; number < COUNTED_MAX - 1; number++) scene.budget.touch(String(number), 100);
    expect(scene.budget.countedBlobs).toBe(COUNTED_MAX);
    scene.budget.flushRanks();
    await use(kept as string, 50);
    await use(forgotten as string, 1);
    const ranks = new Map(scene.blobs.lowest(2).map(({ sha256, rank }) => [sha256, rank]));
    expect(ranks.get(kept as string)).toBe(rank(0, 64, 1_000));
    expect(ranks.get(forgotten as string)).toBe(rank(0, 1, 1_000));
  });
});

describe('sharing', () => {
  function sharing() {
    const clock = new FakeClock();
    const told: number[] = [];
    const share = new Sharing(clock, (blobs) => told.push(blobs.length));
    const add = (bytes: number) => share.add({ sha256: 'a', bytes: new Uint8Array(new SharedArrayBuffer(bytes)) });
    return { clock, told, add };
  }

  test('what has proved itself is told several at a time', async () => {
    const { clock, told, add } = sharing();
    for (let round = 0; round < 2; round += 1) {
      for (let count = 0; count < 10; count += 1) add(1_000);
      await clock.advance(1_000);
    }
    expect(told).toEqual([10, 10]);
  });

  test('bytes that wait to be told are bounded', () => {
    const { told, add } = sharing();
    for (let count = 0; count < 33; count += 1) add(WAITING_MAX_BYTES / 10);
    expect(told).toEqual([11, 11, 11]);
  });
});

describe('disk budget', () => {
  test('room that is being written into counts, so that two large transfers at once do not overfill the disk', async () => {
    await using scene = await replicaParts(hangingOrigin(), 1_000);
    const first = scene.budget.reserve(600);
    expect(first).toBeDefined();
    expect(scene.budget.reserve(600)).toBeUndefined();
    first?.release();
    first?.release();
    expect(scene.budget.reserve(600)).toBeDefined();
  });

  test('the least valuable bytes go first: what nothing needs, then what is seldom used for its size', async () => {
    await using scene = await replicaParts(hangingOrigin(), 100_000);
    const put = async (size: number) => (await scene.blobs.put(randomBytes(size), undefined, scene.budget.initialRank(size))).sha256;
    const [popular, large, small, unneeded] = [await put(20_000), await put(30_000), await put(1_000), await put(10_000)];
    for (let count = 0; count < 50; count++) scene.budget.touch(popular, 20_000);
    scene.budget.demote(unneeded);
    scene.budget.flushRanks();
    const left = () => [popular, large, small, unneeded].map((sha256) => scene.blobs.has(sha256));
    scene.budget.evictTo(60_000);
    expect(left()).toEqual([true, true, true, false]);
    scene.budget.evictTo(30_000);
    expect(left()).toEqual([true, false, true, false]);
  });

  test('old popularity fades: what was used often long ago goes when enough else has come since', async () => {
    await using scene = await replicaParts(hangingOrigin(), 100_000);
    const put = async () => (await scene.blobs.put(randomBytes(10_000), undefined, scene.budget.initialRank(10_000))).sha256;
    const once = await put();
    for (let count = 0; count < 20; count++) scene.budget.touch(once, 10_000);
    let arrivals = 0;
    while (scene.blobs.has(once) && arrivals < 1_000) {
      const room = scene.budget.reserve(10_000);
      await put();
      room?.release();
      arrivals += 1;
    }
    expect(arrivals).toBeGreaterThan(20);
    expect(arrivals).toBeLessThan(1_000);
  });

  test('bringing a blob back costs at least a resolve and a range', () => {
    expect([refetchCost(1), refetchCost(1024 * 1024), refetchCost(10 * 1024 * 1024)]).toEqual([2, 2, 11]);
  });
});
