import { createHash, randomBytes } from 'node:crypto';
import { BLOCK_MIN_BYTES, SluiceError } from '@sluice/contracts';
import { expect, test } from 'vitest';
import { BlockReads, CONCURRENT_BLOCKS, KEPT_MAX_BYTES, WAITING_BLOCKS_MAX } from './block-reads.ts';
import type { BlockQuestion } from './serving-messages.ts';

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
const NAME = 'a'.repeat(64);
const content = randomBytes(8 * BLOCK_MIN_BYTES);

function block(index: number, more: Partial<BlockQuestion> = {}): BlockQuestion {
  const range = { start: index * BLOCK_MIN_BYTES, end: (index + 1) * BLOCK_MIN_BYTES - 1 };
  return { sha256: NAME, range, digest: sha256(content.subarray(range.start, range.end + 1)), keep: true, ...more };
}

function stage(options: { chunkBytes?: number; read?: (offset: number) => Promise<Uint8Array> } = {}) {
  const counted = { reads: 0, aheadBytes: 0, failures: 0, questions: 0 };
  const { chunkBytes = BLOCK_MIN_BYTES, read } = options;
  let answer: () => Promise<never> = () => Promise.reject(new SluiceError('NO_BLOCKS', 'none'));
  const reads = new BlockReads({
    origin: {
      chunkBytes,
      blocks: () => {
        counted.questions += 1;
        return answer();
      },
      read: async (_, offset, length) => {
        counted.reads += 1;
        return read === undefined ? content.subarray(offset, offset + length) : read(offset);
      },
    },
    observer: {
      readAhead: (bytes) => {
        counted.aheadBytes += bytes;
      },
      failed: () => {
        counted.failures += 1;
      },
    },
  });
  return Object.assign(reads, {
    counted,
    refuseWith: (error: Error) => {
      answer = () => Promise.reject(error);
    },
  });
}

test('a block in several messages is put together, verified and counted once, for all who want it', async () => {
  const reads = stage({ chunkBytes: 200_000 });
  const all = await Promise.all(Array.from({ length: 5 }, () => reads.read(block(2))));
  expect(all.every((bytes) => Buffer.from(bytes).equals(content.subarray(2 * BLOCK_MIN_BYTES, 3 * BLOCK_MIN_BYTES)))).toBe(true);
  await reads.read(block(2));
  expect(reads.counted).toEqual({ reads: 3, aheadBytes: BLOCK_MIN_BYTES, failures: 0, questions: 0 });
});

test('what does not verify, and what is too short, is given to nobody and not kept; another digest is another block', async () => {
  const wrong = block(1, { digest: sha256(Buffer.of(1)) });
  const reads = stage();
  await expect(reads.read(wrong)).rejects.toMatchObject({ code: 'BLOB_MISMATCH' });
  await reads.read(block(1));
  await expect(reads.read(wrong)).rejects.toMatchObject({ code: 'BLOB_MISMATCH' });
  expect([reads.counted.failures, reads.keptBytes]).toEqual([2, BLOCK_MIN_BYTES]);
  const short = stage({ read: async () => content.subarray(0, 100) });
  await expect(short.read(block(0))).rejects.toMatchObject({ code: 'BLOB_MISMATCH' });
});

test('what may not be kept is not', async () => {
  const reads = stage();
  for (let time = 1; time <= 2; time += 1) await reads.read(block(0, { keep: false }));
  expect([reads.counted.reads, reads.keptBytes]).toEqual([2, 0]);
});

test('ten times as many blocks as are kept leave the newest', async () => {
  const bytes = content.subarray(0, BLOCK_MIN_BYTES);
  const reads = stage({ read: async () => bytes });
  const kept = KEPT_MAX_BYTES / BLOCK_MIN_BYTES;
  for (let index = 0; index < 10 * kept; index += 1) await reads.read(block(index, { digest: sha256(bytes) }));
  expect(reads.keptBytes).toBe(KEPT_MAX_BYTES);
  await reads.read(block(10 * kept - 1, { digest: sha256(bytes) }));
  expect(reads.counted.reads).toBe(10 * kept);
  await reads.read(block(0, { digest: sha256(bytes) }));
  expect(reads.counted.reads).toBe(10 * kept + 1);
});

test('few blocks are brought at the same time, as many may wait as the bound says, and more are refused as busy', async () => {
  const reads = stage({ read: () => new Promise(() => {}) });
  const refusals: unknown[] = [];
  for (let index = 0; index < 2 * WAITING_BLOCKS_MAX; index += 1) reads.read(block(index)).catch((error) => refusals.push(error));
  await new Promise((resolve) => setImmediate(resolve));
  expect(reads.counted.reads).toBe(CONCURRENT_BLOCKS);
  expect(refusals).toHaveLength(WAITING_BLOCKS_MAX - CONCURRENT_BLOCKS);
  expect(refusals.every((error) => error instanceof SluiceError && error.code === 'EDGE_BUSY')).toBe(true);
});

test.each([
  ['none', 'NO_BLOCKS'],
  ['none', 'INVALID_MESSAGE'],
  ['none', 'BLOB_MISSING'],
  ['pending', 'BLOCKS_PENDING'],
  ['pending', 'NO_REPLY'],
])('digests are %s when the origin answers %s, which is asked once for all who ask at the same time', async (kind, code) => {
  const reads = stage();
  reads.refuseWith(new SluiceError(code, 'no'));
  const ref = { sha256: NAME, size: content.byteLength };
  expect(await Promise.all([reads.digests(ref), reads.digests(ref)])).toEqual([{ kind }, { kind }]);
  expect(reads.counted.questions).toBe(1);
});
