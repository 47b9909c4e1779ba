/** When small blobs are confirmed, and what that costs. */
import { copyFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { BlobStore, type Operate } from './mod.ts';
import { contentOf } from './store-check.ts';

/** A store whose syncs of the log begin when they are let, or fail. */
async function storeWithHeldSyncs() {
  const dir = await temporaryDirectory();
  const held: { readonly label: string; go(error?: Error): void }[] = [];
  let transactions = 0;
  let closed = false;
  const operate: Operate = (label, operation) => {
    if (label === 'BLOB_COMMIT:TRANSACTION') transactions += 1;
    if (label !== 'BLOB_COMMIT:SYNC_LOG') return operation();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    held.push({ label, go: (error) => (error === undefined ? resolve() : reject(error)) });
    return promise.then(() => operation() as unknown) as ReturnType<typeof operation>;
  };
  const store = await BlobStore.open({ dir: dir.path, durability: 'full', operate });
  return {
    store,
    held,
    transactions: () => transactions,
    close() {
      closed = true;
      store.close();
    },
    async [Symbol.asyncDispose]() {
      if (!closed) store.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

test('a blob is not confirmed before the log was synced behind its commit', async () => {
  await using scene = await storeWithHeldSyncs();
  let confirmed = false;
  const put = scene.store.put(contentOf(10, 1)).then(() => {
    confirmed = true;
  });
  await turns(5);
  expect([scene.held.length, scene.transactions(), confirmed]).toEqual([1, 1, false]);
  scene.held[0]?.go();
  await put;
});

test('what comes while the log is being synced shares one transaction and one sync of its own', async () => {
  await using scene = await storeWithHeldSyncs();
  const first = scene.store.put(contentOf(10, 0));
  await turns(5);
  // The last one has the bytes of the first, which nobody has confirmed yet.
  const later = [1, 2, 3, 0].map((seed) => scene.store.put(contentOf(10, seed)));
  await turns(5);
  expect([scene.held.length, scene.transactions()]).toEqual([1, 1]);
  scene.held[0]?.go();
  await first;
  await turns(5);
  expect([scene.held.length, scene.transactions()]).toEqual([2, 2]);
  scene.held[1]?.go();
  await Promise.all(later);
  expect(scene.store.totals.count).toBe(4);
});

test('after a sync that failed the next blob is on the disk without the log, which may be lost', async () => {
  await using scene = await storeWithHeldSyncs();
  const [lost, kept] = [scene.store.put(contentOf(10, 1)), contentOf(10, 2)];
  await turns(5);
  scene.held[0]?.go(new Error('EIO'));
  await expect(lost).rejects.toThrow('EIO');
  const { sha256 } = await scene.store.put(kept);
  expect((await stat(`${scene.store.databasePath}-wal`)).size).toBe(0);
  await using elsewhere = await temporaryDirectory();
  const copy = await withoutLog(scene.store.databasePath, elsewhere.path);
  expect([copy.has(sha256), copy.totals.count]).toEqual([true, 1]);
  copy.close();
  const synced = scene.store.put(contentOf(10, 3));
  await turns(5);
  expect(scene.held.length).toBe(2);
  scene.held[1]?.go();
  await synced;
});

test('closing commits what waits, and leaves nobody without an answer', async () => {
  await using scene = await storeWithHeldSyncs();
  const syncing = scene.store.put(contentOf(10, 1));
  await turns(5);
  const waiting = scene.store.put(contentOf(10, 2));
  await turns(1);
  scene.close();
  scene.held[0]?.go();
  await Promise.all([syncing, waiting]);
});

async function withoutLog(databasePath: string, dir: string): Promise<BlobStore> {
  await copyFile(databasePath, join(dir, basename(databasePath)));
  return BlobStore.open({ dir, durability: 'full' });
}
