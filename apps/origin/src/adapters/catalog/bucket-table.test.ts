import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { BucketTable } from './bucket-table.ts';

function bucketsIn(db: DatabaseSync): BucketTable {
  db.exec(`
    CREATE TABLE buckets (name TEXT PRIMARY KEY, created_at TEXT NOT NULL, since INTEGER NOT NULL);
    CREATE TABLE listed_objects (key TEXT PRIMARY KEY);`);
  return new BucketTable(db);
}

test('a bucket is there exactly as the table says, whatever was asked, committed and undone before', () => {
  const db = new DatabaseSync(':memory:');
  const buckets = bucketsIn(db);
  const inTable = (): boolean => db.prepare("SELECT 1 FROM buckets WHERE name = 'site'").get() !== undefined;
  const agree = (): void => expect(buckets.has('site')).toBe(inTable());
  const steps = [() => buckets.create('site', '', 0), () => buckets.remove('site')];
  for (const before of steps) {
    for (const first of steps) {
      for (const second of steps) {
        for (const end of ['COMMIT', 'ROLLBACK']) {
          before();
          db.exec('BEGIN');
          for (const step of [first, second]) {
            step();
            agree();
          }
          db.exec(end);
          agree();
        }
      }
    }
  }
});
