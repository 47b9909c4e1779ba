/** What must be true of a store and its directory whenever nothing is under way; for tests. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobStore } from './blob-store.ts';
import { INLINE_MAX_BYTES } from './blob-writer.ts';

export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** `size` bytes that only `seed` decides. */
export function contentOf(size: number, seed: number): Buffer {
  return createHash('shake256', { outputLength: Math.max(size, 1) })
    .update(String(seed))
    .digest()
    .subarray(0, size);
}

/** The names of all files of a store's directory. */
export async function filesOf(dir: string): Promise<string[]> {
  const entries = await readdir(join(dir, 'files'), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}

/**
 * Every blob has the bytes of its name, the totals are their sum, and there is no file but theirs.
 * @throws when one of these is not so
 */
export async function checkStore(store: BlobStore, dir: string): Promise<void> {
  const held = store.list();
  for (const { sha256, size } of held) {
    const bytes = await store.readAll(sha256);
    assert.equal(bytes.byteLength, size);
    assert.equal(sha256Of(bytes), sha256);
  }
  assert.deepEqual(store.totals, { count: held.length, bytes: held.reduce((sum, { size }) => sum + size, 0) });
  const inFiles = held.filter(({ size }) => size > INLINE_MAX_BYTES).map(({ sha256 }) => sha256);
  assert.deepEqual((await filesOf(dir)).sort(), inFiles.sort());
  assert.deepEqual(await readdir(join(dir, 'incoming')), []);
}
