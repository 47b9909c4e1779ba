import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { openDatabase } from '@sluice/sqlite';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { BlobTable } from './blob-table.ts';

const NAMES = ['a', 'b', 'c', 'd'].map((digit) => digit.repeat(64)) as [string, string, string, string];

test('the bytes of a blob go with its row, and those of others stay', async () => {
  await using dir = await temporaryDirectory();
  const path = join(dir.path, 'blobs.db');
  const table = new BlobTable(path);
  for (const [index, sha256] of NAMES.entries())
    table.insert({ sha256, size: 1, rank: 0, unsyncedBoot: null, bytes: index === 3 ? null : Buffer.from([index]) });
  expect(table.insert({ sha256: NAMES[0], size: 1, rank: 0, unsyncedBoot: null, bytes: Buffer.from([9]) })).toBe(false);
  table.delete(NAMES[1]);
  expect(NAMES.map((name) => table.row(name)?.bytes)).toEqual([Uint8Array.of(0), undefined, Uint8Array.of(2), null]);
  table.close();
  const db = new DatabaseSync(path);
  expect(db.prepare('SELECT count(*) AS count FROM bodies').get()).toEqual({ count: 2 });
  db.close();
});

test('a database of the first layout, with the bytes beside the checksum, is taken over whole', async () => {
  await using dir = await temporaryDirectory();
  const path = join(dir.path, 'blobs.db');
  const old = openDatabase(path, 'full');
  old.exec(`
    CREATE TABLE blobs (sha256 TEXT PRIMARY KEY, size INTEGER NOT NULL, rank REAL NOT NULL, unsynced_boot TEXT, bytes BLOB) WITHOUT ROWID;
    CREATE INDEX blobs_rank ON blobs (rank, size);
    CREATE INDEX blobs_unsynced ON blobs (unsynced_boot, sha256) WHERE unsynced_boot IS NOT NULL;`);
  const insert = old.prepare('INSERT INTO blobs VALUES (?, ?, ?, ?, ?)');
  insert.run(NAMES[0], 3, 0.5, null, Buffer.from('old'));
  insert.run(NAMES[1], 0, 0.1, null, Buffer.alloc(0));
  insert.run(NAMES[2], 100_000, 0.9, 'this boot', null);
  old.close();
  // The second opening finds the layout it made.
  for (let opening = 1; opening <= 2; opening++) {
    const table = new BlobTable(path);
    expect(NAMES.map((name) => table.row(name))).toEqual([
      { size: 3, bytes: new Uint8Array(Buffer.from('old')) },
      { size: 0, bytes: new Uint8Array() },
      { size: 100_000, bytes: null },
      undefined,
    ]);
    expect(table.unsyncedAfter('', 'this boot')).toBe(NAMES[2]);
    expect(table.lowest(3).map(({ sha256 }) => sha256)).toEqual([NAMES[1], NAMES[0], NAMES[2]]);
    table.close();
  }
});

test('taking over many rows is done in slices that hold the database at about its size, and goes on after an interruption', async () => {
  await using dir = await temporaryDirectory();
  const path = join(dir.path, 'blobs.db');
  const old = openDatabase(path, 'relaxed');
  old.exec(`
    CREATE TABLE first_layout (sha256 TEXT PRIMARY KEY, size INTEGER NOT NULL, rank REAL NOT NULL, unsynced_boot TEXT, bytes BLOB) WITHOUT ROWID;`);
  const insert = old.prepare('INSERT INTO first_layout VALUES (?, ?, ?, ?, ?)');
  const name = (index: number) => index.toString(16).padStart(64, '0');
  old.exec('BEGIN');
  for (let index = 0; index < 2_000; index += 1) insert.run(name(index), 10_000, 0, null, Buffer.alloc(10_000, index));
  old.exec('COMMIT');
  old.close();
  const before = (await stat(path)).size;
  const table = new BlobTable(path);
  expect(table.totals()).toEqual({ count: 2_000, bytes: 20_000_000 });
  expect(table.row(name(1_234))?.bytes).toEqual(new Uint8Array(Buffer.alloc(10_000, 1_234)));
  table.close();
  expect((await stat(path)).size).toBeLessThan(1.5 * before);
});
