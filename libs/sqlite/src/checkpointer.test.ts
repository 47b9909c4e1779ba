import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { eventually, temporaryDirectory } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { openDatabase, startCheckpointer } from './mod.ts';

describe('checkpointer', () => {
  test('brings what was committed into the database file, beside the connection that writes, and the log stays bounded', async () => {
    await using dir = await temporaryDirectory();
    const path = join(dir.path, 'a.db');
    const db = openDatabase(path, 'relaxed');
    db.exec('CREATE TABLE t (v BLOB)');
    const insert = db.prepare('INSERT INTO t VALUES (?)');
    const checkpointer = startCheckpointer([path], 5);
    // Ten times what the log may hold before the first checkpoint, in steps that let the thread keep up.
    for (let round = 0; round < 20; round++) {
      for (let row = 0; row < 20; row++) insert.run(Buffer.alloc(50_000, round));
      const rows = (round + 1) * 20;
      await eventually(async () => expect((await stat(path)).size).toBeGreaterThan(rows * 50_000));
    }
    expect((await stat(`${path}-wal`)).size).toBeLessThan(10_000_000);
    await checkpointer.stop();
    db.close();
    const reopened = new DatabaseSync(path);
    expect(reopened.prepare('SELECT count(*) AS rows FROM t').get()).toEqual({ rows: 400 });
    reopened.close();
  });

  test('a database that cannot be checkpointed is reported, and the others go on', async () => {
    await using dir = await temporaryDirectory();
    const [broken, well] = [join(dir.path, 'broken.db'), join(dir.path, 'well.db')];
    await writeFile(broken, 'this is no database, and long enough for SQLite to look at its header '.repeat(10));
    const db = openDatabase(well, 'relaxed');
    const failures: string[] = [];
    const checkpointer = startCheckpointer([broken, well], 5, (error) => failures.push(error.message));
    db.exec('CREATE TABLE t (v)');
    await eventually(async () => expect((await stat(well)).size).toBeGreaterThan(4096));
    await eventually(() => expect(failures).toContain('file is not a database'));
    await checkpointer.stop();
    db.close();
  });
});
