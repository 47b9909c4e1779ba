import { createHash, randomBytes } from 'node:crypto';
import { truncate, writeFile } from 'node:fs/promises';
import { BlobStore } from '@sluice/blobs';
import { BLOCK_DIGESTS_MIN_BYTES, BLOCK_MIN_BYTES, blockDigest } from '@sluice/contracts';
import { Registry } from '@sluice/runtime';
import { FakeClock, silentLog, temporaryDirectory } from '@sluice/testkit';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { silent } from '../../testing/origin.fixture.ts';
import { sourcedFixture } from '../../testing/sourced-blobs.fixture.ts';
import { createOriginMetrics } from '../metrics.ts';
import { BlockDigestMaker, type BlockDigestMakerOptions, WAITING_MAX } from './block-digest-maker.ts';

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

async function stage(options: Partial<BlockDigestMakerOptions> = {}) {
  const dir = await temporaryDirectory();
  const open = () => BlobStore.open({ dir: dir.path, durability: 'full' });
  let blobs = await open();
  const clock = new FakeClock();
  const registry = new Registry();
  const metrics = createOriginMetrics(registry);
  const start = () => new BlockDigestMaker({ blobs, clock, metrics, log: silent, ...options });
  let maker = start();
  return {
    clock,
    get blobs() {
      return blobs;
    },
    get maker() {
      return maker;
    },
    async counted(outcome: string) {
      const { values } = await metrics.blockDigests.get();
      return values.find(({ labels }) => labels.outcome === outcome)?.value;
    },
    async restart() {
      await maker.stop();
      blobs.close();
      blobs = await open();
      maker = start();
    },
    async [Symbol.asyncDispose]() {
      await maker.stop();
      blobs.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

test('the digests are those of the blocks, whatever the size is beside the borders of blocks', async () => {
  await using origin = await stage();
  const sizes = fc
    .tuple(fc.integer({ min: 16, max: 19 }), fc.oneof(fc.integer({ min: -2, max: 2 }), fc.nat(BLOCK_MIN_BYTES)))
    .map(([blocks, beside]) => Math.max(BLOCK_DIGESTS_MIN_BYTES, blocks * BLOCK_MIN_BYTES + beside));
  await fc.assert(
    fc.asyncProperty(sizes, async (size) => {
      const content = randomBytes(size);
      const ref = await origin.blobs.put(content);
      origin.maker.offer(ref);
      await origin.maker.idle();
      const made = origin.maker.of(ref.sha256);
      expect([made.blockBytes, made.digests.byteLength / 32]).toEqual([BLOCK_MIN_BYTES, Math.ceil(size / BLOCK_MIN_BYTES)]);
      for (let index = 0; index * BLOCK_MIN_BYTES < size; index += 1) {
        const block = content.subarray(index * BLOCK_MIN_BYTES, (index + 1) * BLOCK_MIN_BYTES);
        expect(sha256(block).equals(blockDigest(made, index))).toBe(true);
      }
      origin.blobs.delete(ref.sha256);
      expect(() => origin.maker.of(ref.sha256)).toThrow(expect.objectContaining({ code: 'BLOB_MISSING' }));
    }),
    { numRuns: 25 },
  );
}, 60_000);

test('they are made once, and after a crash when they are asked for', async () => {
  await using origin = await stage();
  const [first, second] = [await origin.blobs.put(randomBytes(9_000_000)), await origin.blobs.put(randomBytes(9_000_000))];
  for (let time = 0; time < 3; time += 1) origin.maker.offer(first);
  await origin.maker.idle();
  origin.maker.offer(first);
  await origin.maker.idle();
  expect(await origin.counted('made')).toBe(1);
  // What waits when the process ends is forgotten.
  origin.maker.offer(second);
  await origin.restart();
  expect(origin.blobs.blockDigests(second.sha256)).toBeUndefined();
  expect(origin.maker.of(first.sha256).blockBytes).toBe(BLOCK_MIN_BYTES);
  const pending = expect.objectContaining({ code: 'BLOCKS_PENDING', retryable: true });
  expect(() => origin.maker.of(second.sha256)).toThrow(pending);
  expect(() => origin.maker.of(second.sha256)).toThrow(pending);
  await origin.maker.idle();
  expect(origin.maker.of(second.sha256).digests.byteLength).toBe(32 * 18);
  expect(await origin.counted('made')).toBe(2);
});

test('a file that is not its blob any more gets none, and is left alone for a while', async () => {
  await using origin = await stage();
  const content = randomBytes(9_000_000);
  const { sha256: name } = await origin.blobs.put(content);
  const path = origin.blobs.filePath(name);
  const none = expect.objectContaining({ code: 'NO_BLOCKS', retryable: false });
  for (const damage of [() => writeFile(path, Buffer.concat([content.subarray(1), Buffer.of(0)])), () => truncate(path, 8_999_999)]) {
    await damage();
    expect(() => origin.maker.of(name)).toThrow(expect.objectContaining({ code: 'BLOCKS_PENDING' }));
    await origin.maker.idle();
    expect(() => origin.maker.of(name)).toThrow(none);
    origin.clock.advance(60_001);
  }
  expect([await origin.counted('failed'), origin.blobs.blockDigests(name)]).toEqual([2, undefined]);
});

test('small blobs have none, and what is not here is missing', async () => {
  await using origin = await stage();
  const { sha256: name } = await origin.blobs.put(randomBytes(1_000_000));
  expect(() => origin.maker.of(name)).toThrow(expect.objectContaining({ code: 'NO_BLOCKS', retryable: false }));
  expect(() => origin.maker.of('f'.repeat(64))).toThrow(expect.objectContaining({ code: 'BLOB_MISSING' }));
});

test('ten times as many uploads as may wait leave as many, and what an edge asks for goes before them', async () => {
  const asked: string[] = [];
  const hanging: (() => void)[] = [];
  const threads = {
    run: ({ path }: { path: string }) => {
      asked.push(path);
      return new Promise<never>((_, reject) => hanging.push(() => reject(new Error('stopped'))));
    },
    rest() {},
    close: async () => {
      for (const stop of hanging) stop();
    },
  };
  const registry = new Registry();
  const metrics = createOriginMetrics(registry);
  const blobs = {
    has: () => true,
    size: () => 9_000_000,
    filePath: (name: string) => name,
    blockDigests: () => undefined,
    setBlockDigests() {},
  };
  const maker = new BlockDigestMaker({ blobs, threads, clock: new FakeClock(), metrics, log: silentLog as never });
  for (let number = 0; number < 10 * WAITING_MAX; number += 1) maker.offer({ sha256: String(number), size: 9_000_000 });
  const { values } = await metrics.blockDigests.get();
  const busy = 2;
  expect(values.find(({ labels }) => labels.outcome === 'skipped')?.value).toBe(9 * WAITING_MAX - busy);
  expect(() => maker.of('500')).toThrow();
  // There is no room for one more; asking again later finds some.
  expect(() => maker.of('another')).toThrow(expect.objectContaining({ code: 'BLOCKS_PENDING' }));
  await new Promise((resolve) => setImmediate(resolve));
  hanging[0]?.();
  await expect.poll(() => asked.length).toBe(3);
  expect(asked).toEqual(['0', '1', '500']);
  await maker.stop();
});

test('of a blob that is at a source the digests are made when it has come here; of one that does not fit here there are none', async () => {
  await using fixture = await sourcedFixture();
  const content = randomBytes(BLOCK_DIGESTS_MIN_BYTES);
  const huge = randomBytes(16 * 1024 * 1024 + 1);
  await using origin = await stage({ blobs: fixture.blobs });
  const names = [fixture.add('site/a', content), fixture.add('site/huge', huge)] as const;
  for (const name of names) expect(() => origin.maker.of(name)).toThrow(expect.objectContaining({ code: 'BLOCKS_PENDING' }));
  await origin.maker.idle();
  expect(sha256(content.subarray(0, BLOCK_MIN_BYTES)).equals(blockDigest(origin.maker.of(names[0]), 0))).toBe(true);
  expect(() => origin.maker.of(names[1])).toThrow(expect.objectContaining({ code: 'NO_BLOCKS' }));
  expect([fixture.source.reads.length, await origin.counted('failed')]).toEqual([1, 0]);
});
