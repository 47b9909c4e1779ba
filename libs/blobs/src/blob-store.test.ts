import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { eventually, temporaryDirectory } from '@sluice/testkit';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  BlobMismatchError,
  BlobMissingError,
  BlobStore,
  BlobView,
  DiskFullError,
  GrowingReader,
  Growth,
  INLINE_MAX_BYTES,
  type Operate,
} from './mod.ts';
import { checkStore, contentOf, filesOf, sha256Of } from './store-check.ts';

const SIZES = [0, 1, INLINE_MAX_BYTES - 1, INLINE_MAX_BYTES, INLINE_MAX_BYTES + 1, 3 * INLINE_MAX_BYTES + 7];
const LARGE = contentOf(INLINE_MAX_BYTES + 1, 1);
const SMALL = contentOf(100, 2);

/** A store in a directory of its own that both end with the scope. */
async function scopedStore(options: { durability?: 'full' | 'relaxed'; operate?: Operate } = {}) {
  const directory = await temporaryDirectory();
  const open = () => BlobStore.open({ dir: directory.path, durability: 'full', ...options });
  const opened = [await open()];
  return {
    store: opened[0] as BlobStore,
    dir: directory.path,
    /** Closes the last one and opens the directory again. */
    async reopen(): Promise<BlobStore> {
      opened.pop()?.close();
      opened.push(await open());
      return opened[0] as BlobStore;
    },
    async [Symbol.asyncDispose]() {
      opened.pop()?.close();
      await directory[Symbol.asyncDispose]();
    },
  };
}

describe('blob store', () => {
  test.each(['full', 'relaxed'] as const)(
    '%s: any bytes in any pieces get the name of their SHA-256 and come back, also after a restart',
    async (durability) => {
      await using scope = await scopedStore({ durability });
      const pieces = fc.array(fc.nat(2 * INLINE_MAX_BYTES), { maxLength: 8 });
      const sizes = fc.oneof(fc.constantFrom(...SIZES), fc.nat(4 * INLINE_MAX_BYTES));
      const put = new Map<string, Buffer>();
      await fc.assert(
        fc.asyncProperty(sizes, fc.nat(), pieces, async (size, seed, cuts) => {
          const content = contentOf(size, seed);
          const writer = scope.store.writer();
          let from = 0;
          for (const length of [...cuts, size]) {
            await writer.write(content.subarray(from, from + length));
            from = Math.min(size, from + length);
          }
          expect(writer.size).toBe(size);
          const ref = await writer.finish({ sha256: sha256Of(content), size });
          put.set(ref.sha256, content);
          expect(scope.store.size(ref.sha256)).toBe(size);
          expect(content.equals(await scope.store.readAll(ref.sha256))).toBe(true);
        }),
        { numRuns: 60 },
      );
      const again = await scope.reopen();
      await checkStore(again, scope.dir);
      expect(again.totals).toEqual({ count: put.size, bytes: [...put.values()].reduce((sum, { length }) => sum + length, 0) });
      for (const [sha256, content] of put) expect(content.equals(await again.readAll(sha256))).toBe(true);
    },
  );

  test('up to the inline limit a blob is a row and no file, one byte more is a file', async () => {
    await using scope = await scopedStore();
    await scope.store.put(contentOf(INLINE_MAX_BYTES, 1));
    expect(await filesOf(scope.dir)).toEqual([]);
    const { sha256 } = await scope.store.put(contentOf(INLINE_MAX_BYTES + 1, 1));
    expect(await filesOf(scope.dir)).toEqual([sha256]);
  });

  test('any range of a blob is that range of its bytes', async () => {
    await using scope = await scopedStore();
    for (const content of [SMALL, LARGE]) {
      const { sha256, size } = await scope.store.put(content);
      const reader = await scope.store.reader(sha256);
      await fc.assert(
        fc.asyncProperty(fc.nat(size + 10), fc.nat(size + 10), async (offset, length) => {
          expect(content.subarray(offset, offset + length).equals(await reader.read(offset, length))).toBe(true);
        }),
        { numRuns: 50 },
      );
      await reader.close();
    }
  });

  test.each([SMALL, LARGE])('bytes other than the expected ones are refused and nothing of them is kept', async (content) => {
    await using scope = await scopedStore();
    await expect(scope.store.put(content, sha256Of(Buffer.from('others')))).rejects.toThrow(BlobMismatchError);
    const writer = scope.store.writer();
    await writer.write(content);
    await expect(writer.finish({ sha256: sha256Of(content), size: content.length + 1 })).rejects.toThrow(BlobMismatchError);
    expect(scope.store.totals).toEqual({ count: 0, bytes: 0 });
    await checkStore(scope.store, scope.dir);
  });

  test('a discarded writer leaves nothing, and a finished one is not undone by discard', async () => {
    await using scope = await scopedStore();
    const given = scope.store.writer();
    await given.write(LARGE);
    await given.discard();
    const kept = scope.store.writer();
    await kept.write(LARGE);
    const { sha256 } = await kept.finish();
    await kept.discard();
    expect(LARGE.equals(await scope.store.readAll(sha256))).toBe(true);
    await checkStore(scope.store, scope.dir);
  });

  test.each([SMALL, LARGE])('what is open stays readable after a delete, and the blob is gone for everybody else', async (content) => {
    await using scope = await scopedStore();
    const { sha256 } = await scope.store.put(content);
    const reader = await scope.store.reader(sha256);
    expect(scope.store.delete(sha256)).toBe(content.length);
    expect(scope.store.delete(sha256)).toBe(0);
    await eventually(async () => expect(await filesOf(scope.dir)).toEqual([]));
    expect(content.equals(await reader.read(0, content.length))).toBe(true);
    await reader.close();
    await expect(scope.store.reader(sha256)).rejects.toThrow(BlobMissingError);
    expect(scope.store.totals).toEqual({ count: 0, bytes: 0 });
  });

  test.each([SMALL, LARGE])('the same bytes put many times at once are one blob', async (content) => {
    await using scope = await scopedStore();
    await Promise.all(Array.from({ length: 20 }, () => scope.store.put(content)));
    expect(scope.store.totals).toEqual({ count: 1, bytes: content.length });
    await checkStore(scope.store, scope.dir);
  });

  test.each(['full', 'relaxed'] as const)(
    '%s: puts and deletes of the same names in any interleaving never leave a name without its bytes',
    async (durability) => {
      const contents = [0, 1, 2].map((seed) => contentOf(INLINE_MAX_BYTES + 1 + seed, seed));
      const steps = fc.array(fc.record({ put: fc.boolean(), which: fc.nat(2), turns: fc.nat(3) }), { minLength: 4, maxLength: 24 });
      await fc.assert(
        fc.asyncProperty(steps, fc.infiniteStream(fc.nat(4)), async (plan, delays) => {
          // Every asynchronous disk operation takes a while of its own.
          const operate: Operate = (_label, operation) => {
            const result = operation();
            if (!(result instanceof Promise)) return result;
            return result.then(async (value) => {
              await turnsOfTheLoop(delays.next().value as number);
              return value;
            }) as typeof result;
          };
          await using scope = await scopedStore({ durability, operate });
          const under: Promise<unknown>[] = [];
          for (const { put, which, turns } of plan) {
            const content = contents[which] as Buffer;
            if (put) under.push(scope.store.put(content));
            else scope.store.delete(sha256Of(content));
            await turnsOfTheLoop(turns);
          }
          await Promise.all(under);
          await eventually(() => checkStore(scope.store, scope.dir), 2_000);
        }),
        { numRuns: 40 },
      );
    },
    60_000,
  );

  test('a delete while the same bytes are being put again takes the old blob, never the new one', async () => {
    let during: () => void = () => {};
    let removals = 0;
    const operate: Operate = (label, operation) => {
      if (label === 'BLOB_COMMIT:STAT') during();
      if (label === 'BLOB_DELETE:FILE') removals += 1;
      return operation();
    };
    await using scope = await scopedStore({ operate });
    const { sha256 } = await scope.store.put(LARGE);
    during = () => expect(scope.store.delete(sha256)).toBe(LARGE.length);
    await scope.store.put(LARGE);
    await turnsOfTheLoop(5);
    expect(removals).toBe(0);
    await checkStore(scope.store, scope.dir);
    expect(scope.store.totals).toEqual({ count: 1, bytes: LARGE.length });
  });

  test('a file that somebody removed is no longer claimed, and putting the bytes again brings it back', async () => {
    await using scope = await scopedStore();
    const { sha256 } = await scope.store.put(LARGE);
    const path = join(scope.dir, 'files', sha256.slice(0, 2), sha256);
    await rm(path);
    await scope.store.put(LARGE);
    expect(LARGE.equals(await scope.store.readAll(sha256))).toBe(true);
    await rm(path);
    await expect(scope.store.reader(sha256)).rejects.toThrow(BlobMissingError);
    expect(scope.store.has(sha256)).toBe(false);
    expect(scope.store.totals).toEqual({ count: 0, bytes: 0 });
  });

  test('a start removes what no row names and forgets rows whose file is gone', async () => {
    await using scope = await scopedStore();
    const [kept, lost] = await Promise.all([scope.store.put(LARGE), scope.store.put(contentOf(100_000, 9))]);
    for (const shard of ['00', 'ab']) await mkdir(join(scope.dir, 'files', shard), { recursive: true });
    await writeFile(join(scope.dir, 'files', '00', `00${'f'.repeat(62)}`), 'no row');
    await writeFile(join(scope.dir, 'files', 'ab', '.stray'), 'no row');
    await writeFile(join(scope.dir, 'incoming', 'half'), 'half');
    await rm(join(scope.dir, 'files', lost.sha256.slice(0, 2), lost.sha256));
    const again = await scope.reopen();
    expect(again.list()).toEqual([kept]);
    expect(again.totals).toEqual({ count: 1, bytes: LARGE.length });
    await checkStore(again, scope.dir);
  });

  test('putting what is held again does not replace a file that may be safe by one that may not be', async () => {
    await using scope = await scopedStore({ durability: 'relaxed' });
    const { sha256 } = await scope.store.put(LARGE);
    const inode = async () => (await stat(join(scope.dir, 'files', sha256.slice(0, 2), sha256))).ino;
    const before = await inode();
    await scope.store.put(LARGE);
    expect(await inode()).toBe(before);
    await checkStore(scope.store, scope.dir);
  });

  test('relaxed: files that were not synced are forgotten in another boot, synced ones and rows are not', async () => {
    let failing = false;
    const operate: Operate = (label, operation) => {
      if (failing && label === 'BLOB_SYNC:FILE') throw new Error('the disk is gone');
      return operation();
    };
    await using scope = await scopedStore({ durability: 'relaxed', operate });
    const synced = await scope.store.put(LARGE);
    const database = new DatabaseSync(join(scope.dir, 'blobs.db'));
    const unsynced = () =>
      (database.prepare('SELECT count(*) AS count FROM blobs WHERE unsynced_boot IS NOT NULL').get() as { count: number }).count;
    await eventually(() => expect(unsynced()).toBe(0));
    failing = true;
    const doubtful = await scope.store.put(contentOf(INLINE_MAX_BYTES + 2, 3));
    const inline = await scope.store.put(SMALL);
    expect(unsynced()).toBe(1);

    // The same boot: the system still has it. Another boot: nobody knows.
    let again = await scope.reopen();
    expect(again.has(doubtful.sha256)).toBe(true);
    database.exec("UPDATE blobs SET unsynced_boot = 'another boot' WHERE unsynced_boot IS NOT NULL");
    database.close();
    again = await scope.reopen();
    expect(
      again
        .list()
        .map(({ sha256 }) => sha256)
        .sort(),
    ).toEqual([synced.sha256, inline.sha256].sort());
    await checkStore(again, scope.dir);
  });

  test('relaxed: however many files come at once, one is synced at a time, and all are in the end', async () => {
    let now = 0;
    let most = 0;
    const operate: Operate = (label, operation) => {
      if (label !== 'BLOB_SYNC:FILE') return operation();
      now += 1;
      most = Math.max(most, now);
      return (operation() as Promise<void>).finally(() => {
        now -= 1;
      }) as ReturnType<typeof operation>;
    };
    await using scope = await scopedStore({ durability: 'relaxed', operate });
    await Promise.all(Array.from({ length: 60 }, (_, seed) => scope.store.put(contentOf(INLINE_MAX_BYTES + 1, 100 + seed))));
    const database = new DatabaseSync(join(scope.dir, 'blobs.db'), { readOnly: true });
    const count = database.prepare('SELECT count(*) AS count FROM blobs WHERE unsynced_boot IS NOT NULL');
    await eventually(() => expect(count.get()).toEqual({ count: 0 }));
    database.close();
    expect(most).toBe(1);
  });

  test('ranks order what is evicted first; ranks that are no numbers change nothing and break nothing', async () => {
    await using scope = await scopedStore();
    const [a, b, c] = await Promise.all([1, 2, 3].map((rank) => scope.store.put(contentOf(10 * rank, rank), undefined, rank)));
    const order = () => scope.store.lowest(10).map(({ sha256 }) => sha256);
    expect(order()).toEqual([a?.sha256, b?.sha256, c?.sha256]);
    scope.store.setRanks([[a?.sha256 as string, 9]]);
    expect(order()).toEqual([b?.sha256, c?.sha256, a?.sha256]);
    expect(() =>
      scope.store.setRanks([
        [c?.sha256 as string, -1],
        [b?.sha256 as string, Number.NaN],
      ]),
    ).toThrow();
    expect(order()).toEqual([b?.sha256, c?.sha256, a?.sha256]);
    await scope.store.put(SMALL);
    expect(scope.store.totals.count).toBe(4);
  });

  test('pages list every blob once, by name', async () => {
    await using scope = await scopedStore();
    const names = (await Promise.all(Array.from({ length: 25 }, (_, seed) => scope.store.put(contentOf(10, seed))))).map(
      ({ sha256 }) => sha256,
    );
    const listed: string[] = [];
    for (let page = scope.store.list('', 7); page.length > 0; page = scope.store.list(listed.at(-1), 7))
      listed.push(...page.map(({ sha256 }) => sha256));
    expect(listed).toEqual(names.sort());
  });
});

describe('a full disk', () => {
  const noSpace = () => Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
  const sqliteFull = () => Object.assign(new Error('database or disk is full'), { code: 'ERR_SQLITE_ERROR', errcode: 13 });

  test.each([
    ['BLOB_WRITE:CREATE', LARGE, noSpace],
    ['BLOB_WRITE:WRITE', LARGE, noSpace],
    ['BLOB_COMMIT:SYNC', LARGE, noSpace],
    ['BLOB_COMMIT:RENAME', LARGE, noSpace],
    ['BLOB_COMMIT:SYNC_DIRECTORY', LARGE, noSpace],
    ['BLOB_COMMIT:TRANSACTION', LARGE, sqliteFull],
    ['BLOB_COMMIT:TRANSACTION', SMALL, sqliteFull],
    ['BLOB_COMMIT:SYNC_LOG', LARGE, noSpace],
    ['BLOB_COMMIT:SYNC_LOG', SMALL, noSpace],
  ] as const)(
    'at %s is a DiskFullError, nothing is kept, and the store goes on when there is room again',
    async (label, content, error) => {
      let full = false;
      const operate: Operate = (at, operation) => {
        if (full && at === label) throw error();
        return operation();
      };
      await using scope = await scopedStore({ operate });
      await scope.store.put(contentOf(10, 7));
      full = true;
      await expect(scope.store.put(content)).rejects.toThrow(DiskFullError);
      expect(scope.store.totals).toEqual({ count: 1, bytes: 10 });
      await checkStore(scope.store, scope.dir);
      full = false;
      await scope.store.put(content);
      expect(scope.store.totals).toEqual({ count: 2, bytes: 10 + content.length });
      await checkStore(scope.store, scope.dir);
    },
  );

  test('a writer whose write failed cannot be finished, although later writes succeed', async () => {
    let writes = 0;
    const operate: Operate = (label, operation) => {
      if (label === 'BLOB_WRITE:WRITE' && ++writes === 2) throw noSpace();
      return operation();
    };
    await using scope = await scopedStore({ operate });
    const writer = scope.store.writer();
    await writer.write(LARGE);
    // More than one batch, so that it is written and not only taken.
    await expect(writer.write(Buffer.alloc(1024 * 1024 + 1))).rejects.toThrow(DiskFullError);
    await writer.write(SMALL);
    await expect(writer.finish()).rejects.toThrow(BlobMismatchError);
    await writer.discard();
    expect(scope.store.totals.count).toBe(0);
    expect(await readdir(join(scope.dir, 'incoming'))).toEqual([]);
  });
});

test('the memory of a chunk that was given is free when it is in the file; of what is kept or shared nothing is taken', async () => {
  await using scope = await scopedStore();
  const whole = Buffer.alloc(3 * INLINE_MAX_BYTES, 'w');
  const chunk = () => Buffer.from(new Uint8Array(2 * INLINE_MAX_BYTES).fill(7).buffer);
  const [given, kept, small] = [chunk(), chunk(), Buffer.from(new Uint8Array(10).buffer)];
  const large = scope.store.writer();
  await large.write(given, true);
  await large.write(kept);
  await large.write(whole.subarray(1), true);
  const { sha256 } = await large.finish();
  expect([given.byteLength, kept.byteLength, whole.byteLength]).toEqual([0, 2 * INLINE_MAX_BYTES, 3 * INLINE_MAX_BYTES]);
  expect(sha256Of(await scope.store.readAll(sha256))).toBe(sha256);
  const inline = scope.store.writer();
  await inline.write(small, true);
  expect(sha256Of(await scope.store.readAll((await inline.finish()).sha256))).toBe(sha256Of(Buffer.alloc(10)));
});

async function turnsOfTheLoop(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

test('the checker of these tests sees a wrong byte', async () => {
  await using scope = await scopedStore();
  const { sha256 } = await scope.store.put(LARGE);
  await writeFile(join(scope.dir, 'files', sha256.slice(0, 2), sha256), contentOf(LARGE.length, 5));
  await expect(checkStore(scope.store, scope.dir)).rejects.toThrow();
});

describe('a file that somebody else wrote', () => {
  const ref = { sha256: sha256Of(LARGE), size: LARGE.byteLength };

  test('becomes a blob that a new start finds', async () => {
    await using scope = await scopedStore();
    const file = scope.store.incoming();
    await writeFile(file.path, LARGE);
    await file.adopt(ref, 3);
    await file.discard();
    const reopened = await scope.reopen();
    expect(Buffer.from(await reopened.readAll(ref.sha256)).equals(LARGE)).toBe(true);
    expect(reopened.lowest(1)).toMatchObject([{ ...ref, rank: 3 }]);
  });

  test('of another size is refused, and one that is dropped leaves nothing', async () => {
    await using scope = await scopedStore();
    const file = scope.store.incoming();
    await writeFile(file.path, LARGE.subarray(1));
    await expect(file.adopt(ref)).rejects.toThrow(BlobMismatchError);
    await file.discard();
    expect([scope.store.totals.count, await readdir(join(scope.dir, 'incoming'))]).toEqual([0, []]);
  });

  test.each([0, 1, 700_000])('is finished here after %s bytes of it, verified as a whole', async (begun) => {
    await using scope = await scopedStore();
    const content = contentOf(3_000_000, 3);
    const whole = { sha256: sha256Of(content), size: content.byteLength };
    const file = scope.store.incoming();
    if (begun > 0) {
      // More than it has told of: what is behind that counts for nothing.
      await writeFile(file.path, Buffer.concat([content.subarray(0, begun), Buffer.alloc(50, 1)]));
      file.growth.advanceTo(begun);
    }
    for (let from = begun; from < content.byteLength; from += 999_999) await file.append(content.subarray(from, from + 999_999));
    await expect(file.verify({ ...whole, sha256: ref.sha256 })).rejects.toThrow(BlobMismatchError);
    await file.verify(whole);
    await file.adopt(whole);
    await file.discard();
    expect(Buffer.from(await scope.store.readAll(whole.sha256)).equals(content)).toBe(true);
  });

  test('is read while it grows, its last bytes when it is verified, and not at all when it is dropped', async () => {
    await using scope = await scopedStore();
    const file = scope.store.incoming();
    await file.append(LARGE.subarray(0, 1_000));
    const growth = new Growth(file.growth.buffer);
    const reader = (await GrowingReader.open(file.path, ref, growth)) as GrowingReader;
    expect(Buffer.from(await reader.read(0, 1_000)).equals(LARGE.subarray(0, 1_000))).toBe(true);
    const order: string[] = [];
    const read = async (name: string, offset: number, length: number) => {
      const bytes = await reader.read(offset, length);
      order.push(name);
      return Buffer.from(bytes);
    };
    const middle = read('middle', 1_000, 10_000);
    const end = read('end', LARGE.byteLength - 10, 10);
    await file.append(LARGE.subarray(1_000));
    order.push('written');
    expect((await middle).equals(LARGE.subarray(1_000, 11_000))).toBe(true);
    await file.verify(ref);
    expect((await end).equals(LARGE.subarray(-10))).toBe(true);
    expect(order.at(-1)).toBe('end');
    await reader.close();
    await file.discard();

    const dropped = scope.store.incoming();
    await dropped.append(LARGE.subarray(0, 10));
    const late = (await GrowingReader.open(dropped.path, ref, dropped.growth)) as GrowingReader;
    const never = expect(late.read(0, 100)).rejects.toThrow(BlobMismatchError);
    await dropped.discard();
    await never;
    await late.close();
    expect(await GrowingReader.open(dropped.path, ref, dropped.growth)).toBeUndefined();
  });
});

describe('the digests of blocks', () => {
  test('stay with their blob across a restart, go with it, and are not noted for what is not held', async () => {
    await using scope = await scopedStore();
    const blocks = { blockBytes: 512 * 1024, digests: contentOf(64, 3) };
    const { sha256 } = await scope.store.put(LARGE);
    expect(scope.store.blockDigests(sha256)).toBeUndefined();
    scope.store.setBlockDigests(sha256, blocks);
    scope.store.setBlockDigests('f'.repeat(64), blocks);
    const store = await scope.reopen();
    const { blockBytes, digests = [] } = store.blockDigests(sha256) ?? {};
    expect([blockBytes, Buffer.from(digests).equals(blocks.digests)]).toEqual([blocks.blockBytes, true]);
    expect(store.blockDigests('f'.repeat(64))).toBeUndefined();
    store.delete(sha256);
    await store.put(LARGE);
    expect(store.blockDigests(sha256)).toBeUndefined();
  });
});

describe('a view from elsewhere', () => {
  test('sees what is stored, at once, and what is gone; a missing file is told', async () => {
    await using scope = await scopedStore({ durability: 'relaxed' });
    const missing: string[] = [];
    const view = new BlobView(scope.dir, (sha256) => missing.push(sha256));
    const [small, large] = [await scope.store.put(SMALL), await scope.store.put(LARGE)];
    expect([view.has(small.sha256), view.has(large.sha256)]).toEqual([true, true]);
    expect(Buffer.from(view.readNow(small.sha256) ?? []).equals(SMALL)).toBe(true);
    expect(view.readNow(large.sha256)).toBeUndefined();
    expect(Buffer.from(await view.readAll(large.sha256)).equals(LARGE)).toBe(true);
    const reader = await view.reader(large.sha256);
    scope.store.delete(large.sha256);
    await expect(view.reader(large.sha256)).rejects.toThrow(BlobMissingError);
    expect(Buffer.from(await reader.read(0, LARGE.byteLength)).equals(LARGE)).toBe(true);
    await reader.close();
    const again = await scope.store.put(LARGE);
    await rm(join(scope.dir, 'files', again.sha256.slice(0, 2), again.sha256));
    await expect(view.reader(again.sha256)).rejects.toThrow(BlobMissingError);
    expect(missing).toEqual([again.sha256]);
    view.close();
  });
});
