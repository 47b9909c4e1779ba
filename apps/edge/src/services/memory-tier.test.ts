import { BlobMissingError, BlobStore, BlobView } from '@sluice/blobs';
import { temporaryDirectory } from '@sluice/testkit';
import fc from 'fast-check';
import { LRUCache } from 'lru-cache';
import { describe, expect, test } from 'vitest';
import { ITEM_OVERHEAD_BYTES } from '../domain/s3-fifo.ts';
import { memoryOf } from './memory-tier.fixture.ts';
import { MEMORY_OBJECT_MAX_BYTES, MemoryTier } from './memory-tier.ts';

/** What an item of 100 bytes takes in all. */
const ITEM_BYTES = 100 + ITEM_OVERHEAD_BYTES;

describe('what is kept', () => {
  test('never more than the bound in all threads together, whatever is asked for and forgotten; and all threads hold the same of what is shared', () => {
    const step = fc.record({ what: fc.constantFrom('ask', 'ask', 'ask', 'forget'), name: fc.nat(300), thread: fc.nat(2) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 2_000 }), (steps) => {
        const memory = memoryOf(3, 50_000, (name) => (Number(name) * 37) % 1_000);
        for (const { what, name, thread } of steps) {
          if (what === 'ask') memory.ask(String(name), thread);
          else memory.shared.forget(String(name));
          expect(memory.sizeBytes).toBeLessThanOrEqual(50_000);
          const held = memory.tiers.map((tier) => tier.get(String(name)) !== undefined);
          if (what === 'forget') expect(held).toEqual([false, false, false]);
        }
        const counts = memory.tiers.map((tier) => tier.sharedCount);
        expect(counts).toEqual(counts.map(() => memory.shared.count));
      }),
    );
  });

  test('ten times as much as it holds leaves it full, and no fuller', () => {
    const memory = memoryOf(1, 100 * ITEM_BYTES, () => 100);
    for (let index = 0; index < 1_000; index += 1) memory.ask(String(index));
    expect([memory.tiers[0].count, memory.sizeBytes]).toEqual([100, 100 * ITEM_BYTES]);
  });

  test('a scan of what nobody asks for twice leaves what is asked for where it is', () => {
    const memory = memoryOf(2, 100 * ITEM_BYTES, () => 100);
    const wanted = Array.from({ length: 70 }, (_, index) => `wanted-${index}`);
    for (let round = 0; round < 4; round += 1) for (const name of wanted) memory.ask(name, round % 2);
    for (let index = 0; index < 5_000; index += 1) memory.ask(`scan-${index}`, index % 2);
    expect(wanted.filter((name) => memory.tiers[0].has(name)).length).toBeGreaterThan(65);
  });

  test('what comes back after it has just gone stays', () => {
    const memory = memoryOf(1, 100 * ITEM_BYTES, () => 100);
    for (let round = 0; round < 2; round += 1) for (let index = 0; index < 100; index += 1) memory.ask(`main-${index}`);
    memory.ask('gone');
    for (let index = 0; index < 11; index += 1) memory.ask(`scan-${index}`);
    expect(memory.tiers[0].has('gone')).toBe(false);
    memory.ask('gone');
    for (let index = 100; index < 130; index += 1) memory.ask(`scan-${index}`);
    expect(memory.tiers[0].has('gone')).toBe(true);
  });

  test('what one thread has found worth keeping is in the memory of all, and used by any of them stays', () => {
    const memory = memoryOf(2, 100 * ITEM_BYTES, () => 100);
    for (let index = 0; index < 200; index += 1) memory.ask(`fill-${index}`);
    for (let index = 0; index < 6; index += 1) memory.ask('wanted') && memory.ask('wanted');
    for (let index = 0; index < 20; index += 1) memory.ask(`scan-${index}`);
    expect(memory.tiers.map((tier) => tier.has('wanted'))).toEqual([true, true]);
    for (let index = 0; index < 1_000; index += 1) {
      memory.ask(`scan-${index % 300}`);
      if (index % 10 === 0) memory.ask('wanted', 1);
    }
    expect(memory.tiers[0].has('wanted')).toBe(true);
  });

  test('two threads that share the same at the same time hold one of them', () => {
    const memory = memoryOf(2, 100 * ITEM_BYTES, () => 100);
    const [first, second] = [new Uint8Array(new SharedArrayBuffer(100)), new Uint8Array(new SharedArrayBuffer(100))];
    memory.shared.take([{ sha256: 'x', bytes: first }]);
    memory.shared.take([{ sha256: 'x', bytes: second }]);
    expect(memory.tiers.map((tier) => tier.get('x') === first)).toEqual([true, true]);
    expect(memory.shared.count).toBe(1);
  });

  test('on a Zipf trace with scans it hits more often than LRU', () => {
    const memory = memoryOf(1, 500 * ITEM_BYTES, () => 100);
    const lru = new LRUCache<string, true>({ max: 500 });
    const zipf = zipfNames(10_000, 0.9);
    const hits = { s3fifo: 0, lru: 0 };
    for (let request = 0, scan = 0; request < 100_000; request += 1) {
      const name = request % 5 === 0 ? `scan-${scan++}` : zipf();
      if (memory.ask(name)) hits.s3fifo += 1;
      if (lru.get(name)) hits.lru += 1;
      else lru.set(name, true);
    }
    expect(hits.s3fifo).toBeGreaterThan(1.1 * hits.lru);
  });
});

/** Names whose frequency is `1 / rank ** exponent`, from a seeded generator. */
function zipfNames(objects: number, exponent: number): () => string {
  let state = 42;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const cumulative: number[] = [];
  for (let rank = 1, sum = 0; rank <= objects; rank += 1) {
    sum += 1 / rank ** exponent;
    cumulative.push(sum);
  }
  const total = cumulative.at(-1) ?? 1;
  return () => {
    const at = random() * total;
    let [low, high] = [0, objects - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((cumulative[middle] ?? 0) < at) low = middle + 1;
      else high = middle;
    }
    return String(low);
  };
}

async function tierOnDisk(maxBytes: number) {
  const dir = await temporaryDirectory();
  const blobs = await BlobStore.open({ dir: dir.path, durability: 'relaxed' });
  const view = new BlobView(dir.path, () => {});
  const reads: string[] = [];
  const counted = {
    has: (sha256: string) => view.has(sha256),
    readNow: (sha256: string) => view.readNow(sha256),
    readAll: (sha256: string) => {
      reads.push(sha256);
      return view.readAll(sha256);
    },
  };
  const memory = new MemoryTier({ blobs: counted, trialBytes: maxBytes, uses: new Uint8Array(1), isFull: () => true, share: () => {} });
  return {
    ...{ blobs, reads, memory },
    async [Symbol.asyncDispose]() {
      view.close();
      blobs.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

describe('reading from the disk', () => {
  test('what is loaded is read once, for all who ask meanwhile and after that', async () => {
    await using it = await tierOnDisk(10_000_000);
    const { sha256 } = await it.blobs.put(Buffer.alloc(100_000, 7));
    expect(it.memory.loadNow(sha256)).toBeUndefined();
    const loaded = await Promise.all([it.memory.load(sha256), it.memory.load(sha256), it.memory.load(sha256)]);
    expect(loaded.every((bytes) => bytes === loaded[0] && bytes.byteLength === 100_000)).toBe(true);
    expect(it.memory.get(sha256)).toBe(loaded[0]);
    expect(it.reads).toEqual([sha256]);
  });

  test('what is small is there at once', async () => {
    await using it = await tierOnDisk(10_000_000);
    const { sha256 } = await it.blobs.put(Buffer.from('small'));
    expect(Buffer.from(it.memory.loadNow(sha256) ?? []).toString()).toBe('small');
    expect(it.memory.has(sha256)).toBe(true);
  });

  test('nothing that is too large, nothing when there is no room at all, and not too much at a time', async () => {
    await using it = await tierOnDisk(256 * 1024 * 1024);
    await using none = await tierOnDisk(0);
    expect([it.memory.takes(MEMORY_OBJECT_MAX_BYTES), it.memory.takes(MEMORY_OBJECT_MAX_BYTES + 1)]).toEqual([true, false]);
    expect(none.memory.takes(1)).toBe(false);
    const names = await Promise.all(
      Array.from({ length: 64 }, async (_, index) => (await it.blobs.put(Buffer.alloc(70_000, index))).sha256),
    );
    const loading = names.map((name) => it.memory.load(name));
    expect(it.memory.takes(1)).toBe(false);
    await Promise.all(loading);
    expect(it.memory.takes(1)).toBe(true);
  });

  test('what was dropped while it was read does not come back by that, and what is not there is not loaded', async () => {
    await using it = await tierOnDisk(10_000_000);
    const { sha256 } = await it.blobs.put(Buffer.alloc(100_000, 7));
    const loading = it.memory.load(sha256);
    it.blobs.delete(sha256);
    it.memory.follow({ kind: 'dropped', sha256: [sha256] });
    await loading.catch(() => {});
    expect(it.memory.has(sha256)).toBe(false);
    await expect(it.memory.load(sha256)).rejects.toThrow(BlobMissingError);
    expect(() => it.memory.loadNow(sha256)).toThrow(BlobMissingError);
  });
});
