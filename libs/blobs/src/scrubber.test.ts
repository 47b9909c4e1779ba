import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { eventually, FakeClock, temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { DAMAGED_MAX } from './blob-store.ts';
import { BlobDamagedError, BlobStore, BlobView, INLINE_MAX_BYTES, Scrubber } from './mod.ts';
import { PAUSE_MS } from './scrubber.ts';
import { checkStore, contentOf, sha256Of } from './store-check.ts';

const SMALL = contentOf(1_000, 1);
const LARGE = contentOf(INLINE_MAX_BYTES * 5 + 7, 2);
const [SMALL_NAME, LARGE_NAME] = [sha256Of(SMALL), sha256Of(LARGE)];

async function scene() {
  const dir = await temporaryDirectory();
  const damaged: string[] = [];
  const store = await BlobStore.open({ dir: dir.path, durability: 'relaxed', onDamaged: (sha256) => damaged.push(sha256) });
  await store.put(SMALL);
  await store.put(LARGE);
  return {
    ...{ store, damaged, dir: dir.path },
    async [Symbol.asyncDispose]() {
      store.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

/** Flips one bit of a file on the disk. */
async function flipBit(path: string, at: number): Promise<void> {
  const file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, at);
  byte[0] = (byte[0] as number) ^ 4;
  await file.write(byte, 0, 1, at);
  await file.close();
}

/** Flips one bit of a small blob, as a disk would below SQLite. */
function flipInRow(dir: string): void {
  const db = new DatabaseSync(join(dir, 'blobs.db'));
  const { id, bytes } = db.prepare('SELECT id, bytes FROM bodies').get() as { id: number; bytes: Uint8Array };
  bytes[7] = (bytes[7] as number) ^ 1;
  db.prepare('UPDATE bodies SET bytes = ? WHERE id = ?').run(bytes, id);
  db.close();
}

test('whatever part of a large blob is read, one flipped bit in it is found, by the store and by a view, and bytes elsewhere are given', async () => {
  await using it = await scene();
  const missing: string[] = [];
  const view = new BlobView(it.dir, (sha256) => missing.push(sha256));
  const flippedAt = 3 * INLINE_MAX_BYTES + 99;
  await flipBit(it.store.filePath(LARGE_NAME), flippedAt);
  for (const source of [it.store, view]) {
    const reader = await source.reader(LARGE_NAME);
    for (const [offset, length] of [
      [0, LARGE.byteLength],
      [flippedAt, 1],
      [flippedAt - 5, 3],
      [flippedAt - 70_000, 70_001],
      [4 * INLINE_MAX_BYTES - 1, 2],
    ] as const) {
      await expect(reader.read(offset, length)).rejects.toThrow(BlobDamagedError);
    }
    for (const [offset, length] of [
      [0, 1],
      [17, 2 * INLINE_MAX_BYTES],
      [LARGE.byteLength - 3, 10],
      [4 * INLINE_MAX_BYTES, INLINE_MAX_BYTES + 7],
    ] as const) {
      expect(Buffer.from(await reader.read(offset, length))).toEqual(LARGE.subarray(offset, offset + length));
    }
    await reader.close();
  }
  expect(new Set(missing)).toEqual(new Set([LARGE_NAME]));
  expect(new Set(it.damaged)).toEqual(new Set([LARGE_NAME]));
  view.close();
});

test('a small blob with a flipped bit is never given', async () => {
  await using it = await scene();
  const missing: string[] = [];
  const view = new BlobView(it.dir, (sha256) => missing.push(sha256));
  flipInRow(it.dir);
  expect(() => view.readNow(SMALL_NAME)).toThrow(BlobDamagedError);
  await expect(view.readAll(SMALL_NAME)).rejects.toThrow(BlobDamagedError);
  await expect(it.store.readAll(SMALL_NAME)).rejects.toThrow(BlobDamagedError);
  expect(it.damaged).toEqual([SMALL_NAME]);
  expect(missing).toEqual([SMALL_NAME, SMALL_NAME]);
  view.close();
});

test('a file from before there were checksums gets them when it is verified, and is hashed as a whole until then', async () => {
  await using it = await scene();
  const db = new DatabaseSync(it.store.databasePath);
  db.exec('DELETE FROM block_checks');
  expect((await it.store.readAll(LARGE_NAME)).byteLength).toBe(LARGE.byteLength);
  expect(await it.store.verify(LARGE_NAME)).toMatchObject({ kind: 'right' });
  expect(db.prepare('SELECT count(*) AS rows FROM block_checks').get()).toEqual({ rows: 1 });
  db.exec('DELETE FROM block_checks');
  await flipBit(it.store.filePath(LARGE_NAME), 0);
  await expect(it.store.readAll(LARGE_NAME)).rejects.toThrow(BlobDamagedError);
  it.store.delete(LARGE_NAME);
  db.close();
});

test('what is marked as damaged is listed and not read, until the same bytes are stored again', async () => {
  await using it = await scene();
  flipInRow(it.dir);
  await flipBit(it.store.filePath(LARGE_NAME), 5);
  for (const bytes of [SMALL, LARGE]) {
    const name = sha256Of(bytes);
    expect(await it.store.verify(name)).toMatchObject({ kind: 'damaged' });
    it.store.markDamaged(name);
    expect([it.store.has(name), it.store.size(name)]).toEqual([false, bytes.byteLength]);
    await expect(it.store.reader(name)).rejects.toThrow(BlobDamagedError);
    await it.store.put(bytes);
    expect(Buffer.from(await it.store.readAll(name))).toEqual(bytes);
  }
  expect([...it.store.damaged]).toEqual([]);
  await checkStore(it.store, it.dir);
});

test('however much is damaged, a bounded number is marked', async () => {
  await using it = await scene();
  const refs = await Promise.all(Array.from({ length: DAMAGED_MAX + 50 }, (_, seed) => it.store.put(Buffer.from(`blob ${seed}`))));
  for (const { sha256 } of refs) it.store.markDamaged(sha256);
  expect(it.store.damaged.size).toBe(DAMAGED_MAX);
}, 30_000);

test('a pass reads everything, finds each damaged blob, and takes as long as its rate allows', async () => {
  await using it = await scene();
  flipInRow(it.dir);
  await flipBit(it.store.filePath(LARGE_NAME), 9);
  for (let seed = 10; seed < 40; seed += 1) await it.store.put(contentOf(20_000, seed));
  const clock = new FakeClock();
  const found: string[] = [];
  let read = 0;
  const startMs = clock.nowMs();
  const scrubber = new Scrubber({
    ...{ store: it.store, bytesPerSecond: 100_000, clock, rng: () => 0.5 },
    onScrubbed: (bytes) => {
      read += bytes;
    },
    onDamaged: (sha256) => void found.push(sha256),
    onFailed: (error) => expect(error).toBeUndefined(),
  });
  scrubber.start();
  await eventually(() => {
    clock.advance(100);
    expect(scrubber.passedAtMs).toBeDefined();
  });
  expect(found.sort()).toEqual([SMALL_NAME, LARGE_NAME].sort());
  expect(read).toBe(it.store.totals.bytes);
  // All but the last slice has been waited for.
  expect((scrubber.passedAtMs as number) - startMs).toBeGreaterThan(((read - 300_000) / 100_000) * 1000);
  const passedAtMs = scrubber.passedAtMs;
  await eventually(() => {
    clock.advance(PAUSE_MS);
    expect(scrubber.passedAtMs).not.toBe(passedAtMs);
  });
  await scrubber.stop();
});

test('stopping ends the reading of a large blob in its middle, and nothing is taken for damaged by that', async () => {
  await using it = await scene();
  const clock = new FakeClock();
  const found: string[] = [];
  let read = 0;
  const scrubber = new Scrubber({
    ...{ store: it.store, bytesPerSecond: 1, clock, rng: () => 0 },
    onScrubbed: (bytes) => {
      read += bytes;
    },
    onDamaged: (sha256) => void found.push(sha256),
    onFailed: (error) => found.push(String(error)),
  });
  scrubber.start();
  await eventually(() => expect(read).toBeGreaterThan(200_000));
  await scrubber.stop();
  expect(read).toBeLessThan(it.store.totals.bytes);
  expect(found).toEqual([]);
  expect(scrubber.passedAtMs).toBeUndefined();
});
