import { BlobMissingError, BlobStore } from '@sluice/blobs';
import { temporaryDirectory } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { MEMORY_OBJECT_MAX_BYTES, MemoryTier } from './memory-tier.ts';

async function tier(maxBytes: number) {
  const dir = await temporaryDirectory();
  const labels: string[] = [];
  const blobs = await BlobStore.open({
    dir: dir.path,
    durability: 'relaxed',
    operate: (label, operation) => {
      labels.push(label);
      return operation();
    },
  });
  return {
    ...{ blobs, labels, memory: new MemoryTier(blobs, maxBytes) },
    async [Symbol.asyncDispose]() {
      blobs.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

describe('memory tier', () => {
  test('what is loaded is read from the disk once, for all who ask meanwhile and after that', async () => {
    await using it = await tier(10_000_000);
    const { sha256 } = await it.blobs.put(Buffer.alloc(100_000, 7));
    const loaded = await Promise.all([it.memory.load(sha256), it.memory.load(sha256), it.memory.load(sha256)]);
    expect(loaded.every((bytes) => bytes === loaded[0] && bytes.byteLength === 100_000)).toBe(true);
    expect(it.memory.get(sha256)).toBe(loaded[0]);
    expect(it.labels.filter((label) => label === 'BLOB_READ:OPEN')).toHaveLength(1);
  });

  test('ten times as much as it holds leaves it within its bound', async () => {
    await using it = await tier(100_000);
    for (let index = 0; index < 200; index += 1) {
      const { sha256 } = await it.blobs.put(Buffer.alloc(5_000, index));
      await it.memory.load(sha256);
    }
    expect([it.memory.count, it.memory.sizeBytes]).toEqual([20, 100_000]);
  });

  test('it takes nothing that is too large, nothing when it has no room at all, and not too much at a time', async () => {
    await using it = await tier(256 * 1024 * 1024);
    expect([it.memory.takes(MEMORY_OBJECT_MAX_BYTES), it.memory.takes(MEMORY_OBJECT_MAX_BYTES + 1)]).toEqual([true, false]);
    expect(new MemoryTier(it.blobs, 0).takes(1)).toBe(false);
    const names = await Promise.all(
      Array.from({ length: 64 }, async (_, index) => (await it.blobs.put(Buffer.alloc(70_000, index))).sha256),
    );
    const loading = names.map((name) => it.memory.load(name));
    expect(it.memory.takes(1)).toBe(false);
    await Promise.all(loading);
    expect(it.memory.takes(1)).toBe(true);
  });

  test('what was dropped while it was read does not come back by that, and what is not there is not loaded', async () => {
    await using it = await tier(10_000_000);
    const { sha256 } = await it.blobs.put(Buffer.alloc(100_000, 7));
    const loading = it.memory.load(sha256);
    it.blobs.delete(sha256);
    it.memory.forget(sha256);
    await loading.catch(() => {});
    expect(it.memory.has(sha256)).toBe(false);
    await expect(it.memory.load(sha256)).rejects.toThrow(BlobMissingError);
  });
});
