import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { openDatabase } from './mod.ts';

/** Files that this process has open and that SQLite calls temporary. */
function temporaryFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.includes('etilqs_') ? [path] : [];
    } catch {
      return [];
    }
  });
}

test.skipIf(process.platform !== 'linux')(
  'a change of many pages needs no temporary file, which a read-only file system would have no place for',
  async () => {
    await using dir = await temporaryDirectory();
    const db = openDatabase(join(dir.path, 'a.db'), 'full');
    db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)');
    const insert = db.prepare('INSERT INTO t (text) VALUES (?)');
    db.exec('BEGIN');
    for (let row = 0; row < 1_000; row++) insert.run('x'.repeat(2_000));
    db.exec('COMMIT; BEGIN; UPDATE t SET text = lower(text); SAVEPOINT part');
    db.exec("UPDATE t SET text = text || 'y'");
    expect(temporaryFiles()).toEqual([]);
    db.exec('ROLLBACK TO part; COMMIT');
    expect(db.prepare("SELECT count(*) AS rows FROM t WHERE text LIKE '%y'").get()).toEqual({ rows: 0 });
    db.close();
  },
);
