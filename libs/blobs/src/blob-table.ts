/**
 * The rows of a blob store: what is held, its rank, and the bytes of small blobs.
 *
 * The bytes are in a table of their own, in the order in which they came. Measured for 10 kB: 42 µs of CPU for a blob, where a row that
 * holds the bytes beside the checksum costs 80, because a tree ordered by checksum is then so large that each new row is put onto pages
 * that are not in memory.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { BlockDigests } from '@sluice/contracts';
import { isDatabaseDamaged, openDatabase, removeDatabase, Transactions } from '@sluice/sqlite';
import type { BlobRef } from './blob-ref.ts';

export interface BlobRow {
  /** Bytes. */
  readonly size: number;
  /** The bytes themselves; null: they are in a file. */
  readonly bytes: Uint8Array | null;
}

export interface NewBlobRow extends BlobRow {
  readonly sha256: string;
  readonly rank: number;
  /** The boot in which its file was written, when that has not been synced. */
  readonly unsyncedBoot: string | null;
  /** Of the blocks of its file, see `block-checks.ts`. */
  readonly checks?: Uint8Array | undefined;
}

/** Pages of this size hold 10 kB in two; of 4 KiB and 16 KiB a blob costs more. */
const PAGE_BYTES = 8192;

const TABLES = `
  CREATE TABLE IF NOT EXISTS bodies (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
  CREATE TABLE IF NOT EXISTS blobs (
    sha256 TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    rank REAL NOT NULL,
    unsynced_boot TEXT,
    body INTEGER            -- NULL: in files/
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS blobs_rank ON blobs (rank, size);
  CREATE INDEX IF NOT EXISTS blobs_unsynced ON blobs (unsynced_boot, sha256) WHERE unsynced_boot IS NOT NULL;
  CREATE TRIGGER IF NOT EXISTS blobs_delete AFTER DELETE ON blobs WHEN old.body IS NOT NULL
    BEGIN DELETE FROM bodies WHERE id = old.body; END;
  CREATE TABLE IF NOT EXISTS block_digests (
    sha256 TEXT PRIMARY KEY,
    block_bytes INTEGER NOT NULL,
    digests BLOB NOT NULL
  );
  CREATE TRIGGER IF NOT EXISTS blobs_delete_digests AFTER DELETE ON blobs WHEN old.body IS NULL
    BEGIN DELETE FROM block_digests WHERE sha256 = old.sha256; END;
  CREATE TABLE IF NOT EXISTS block_checks (sha256 TEXT PRIMARY KEY, checks BLOB NOT NULL);
  CREATE TRIGGER IF NOT EXISTS blobs_delete_checks AFTER DELETE ON blobs WHEN old.body IS NULL
    BEGIN DELETE FROM block_checks WHERE sha256 = old.sha256; END;
  CREATE TABLE IF NOT EXISTS damaged_blobs (sha256 TEXT PRIMARY KEY);
  CREATE TRIGGER IF NOT EXISTS blobs_delete_damaged AFTER DELETE ON blobs
    BEGIN DELETE FROM damaged_blobs WHERE sha256 = old.sha256; END;`;

/** The first layout had the bytes beside the checksum. Where its rows wait to be taken over. */
const FIRST_LAYOUT = 'first_layout';
/** Rows that are taken over from the first layout in one transaction: bounds the log, and what a start that is interrupted has to do again. */
const TAKE_OVER_ROWS = 256;

/** Bytes of a blob. */
export const SELECT_SIZE = 'SELECT size FROM blobs WHERE sha256 = ?';
/** A {@link BlobRow}. */
export const SELECT_ROW = 'SELECT size, bytes FROM blobs LEFT JOIN bodies ON id = body WHERE sha256 = ?';
/** The checksums of the blocks of a file. */
export const SELECT_CHECKS = 'SELECT checks FROM block_checks WHERE sha256 = ?';

export class BlobTable {
  readonly #path: string;
  readonly #onDamaged: (error: unknown) => void;
  #db!: DatabaseSync;
  #transactions!: Transactions;
  #selectSize!: StatementSync;
  #select!: StatementSync;
  #insertBody!: StatementSync;
  #insert!: StatementSync;
  #delete!: StatementSync;
  #markSynced!: StatementSync;
  #setRank!: StatementSync;
  #selectLowest!: StatementSync;
  #selectAfter!: StatementSync;
  #selectUnsynced!: StatementSync;
  #selectDigests!: StatementSync;
  #insertDigests!: StatementSync;
  #selectChecks!: StatementSync;
  #insertChecks!: StatementSync;

  /** Its commits survive the death of the process; for more there is `log-sync.ts`. `onDamaged`: told when the file turns out not to be what was written. */
  constructor(path: string, onDamaged: (error: unknown) => void = () => {}) {
    this.#path = path;
    this.#onDamaged = onDamaged;
    this.#open();
  }

  /** Begins with an empty one in the place of one that is damaged. */
  startOver(): void {
    try {
      if (this.isOpen) this.#db.close();
    } catch {
      // What cannot be closed is left to the end of the process.
    }
    removeDatabase(this.#path);
    this.#open();
  }

  /** The error of damage goes on, and is told of. */
  #guarded<Result>(work: () => Result): Result {
    try {
      return work();
    } catch (error) {
      if (isDatabaseDamaged(error)) this.#onDamaged(error);
      throw error;
    }
  }

  #open(): void {
    const db = openDatabase(this.#path, 'relaxed', PAGE_BYTES);
    this.#db = db;
    this.#transactions = new Transactions(db);
    setFirstLayoutAside(db);
    db.exec(TABLES);
    this.#selectSize = db.prepare(SELECT_SIZE);
    this.#select = db.prepare(SELECT_ROW);
    this.#insertBody = db.prepare('INSERT INTO bodies (bytes) VALUES (?)');
    this.#insert = db.prepare('INSERT INTO blobs (sha256, size, rank, unsynced_boot, body) VALUES (?, ?, ?, ?, ?)');
    this.#delete = db.prepare('DELETE FROM blobs WHERE sha256 = ?');
    this.#markSynced = db.prepare('UPDATE blobs SET unsynced_boot = NULL WHERE sha256 = ?');
    this.#setRank = db.prepare('UPDATE blobs SET rank = ? WHERE sha256 = ?');
    this.#selectLowest = db.prepare('SELECT sha256, size, rank FROM blobs ORDER BY rank LIMIT ?');
    this.#selectUnsynced = db.prepare('SELECT sha256 FROM blobs WHERE unsynced_boot = ? AND sha256 > ? ORDER BY sha256 LIMIT 1');
    this.#selectAfter = db.prepare('SELECT sha256, size FROM blobs WHERE sha256 > ? ORDER BY sha256 LIMIT ?');
    this.#selectDigests = db.prepare('SELECT block_bytes AS blockBytes, digests FROM block_digests WHERE sha256 = ?');
    this.#insertDigests = db.prepare(
      'INSERT OR REPLACE INTO block_digests (sha256, block_bytes, digests) SELECT sha256, ?, ? FROM blobs WHERE sha256 = ?',
    );
    this.#selectChecks = db.prepare(SELECT_CHECKS);
    this.#insertChecks = db.prepare('INSERT OR REPLACE INTO block_checks (sha256, checks) SELECT sha256, ? FROM blobs WHERE sha256 = ?');
    if (hasTable(db, FIRST_LAYOUT)) this.#takeOverFirstLayout();
  }

  /**
   * Its rows move over in slices, so the pages of one slice are free for the next and the database grows little; a start that was interrupted goes on where it was.
   */
  #takeOverFirstLayout(): void {
    const select = this.#db.prepare(
      `SELECT sha256, size, rank, unsynced_boot AS unsyncedBoot, bytes FROM ${FIRST_LAYOUT} ORDER BY sha256 LIMIT ${TAKE_OVER_ROWS}`,
    );
    const remove = this.#db.prepare(`DELETE FROM ${FIRST_LAYOUT} WHERE sha256 <= ?`);
    for (let last: string | undefined = ''; last !== undefined; ) {
      last = this.transact(() => {
        const rows = select.all() as unknown as NewBlobRow[];
        for (const row of rows) this.insert(row);
        const end = rows.at(-1)?.sha256;
        if (end !== undefined) remove.run(end);
        return end;
      });
    }
    this.#db.exec(`DROP TABLE ${FIRST_LAYOUT}`);
  }

  get isOpen(): boolean {
    return this.#db?.isOpen === true;
  }

  /** Runs `work` in one transaction, and undoes it when it throws. */
  transact<Result>(work: () => Result): Result {
    return this.#guarded(() => this.#transactions.run(work));
  }

  /** Bytes of a blob, undefined when it is not held. */
  size(sha256: string): number | undefined {
    return (this.#guarded(() => this.#selectSize.get(sha256)) as { size: number } | undefined)?.size;
  }

  row(sha256: string): BlobRow | undefined {
    return this.#guarded(() => this.#select.get(sha256)) as BlobRow | undefined;
  }

  /** Inside a transaction. False when the blob is held already; then nothing changes. */
  insert({ sha256, size, rank, unsyncedBoot, bytes, checks }: NewBlobRow): boolean {
    if (this.size(sha256) !== undefined) return false;
    const body = bytes === null ? null : this.#insertBody.run(bytes).lastInsertRowid;
    this.#insert.run(sha256, size, rank, unsyncedBoot, body);
    if (checks !== undefined) this.#insertChecks.run(checks, sha256);
    return true;
  }

  /** Its bytes go with it. */
  delete(sha256: string): void {
    this.#guarded(() => this.#delete.run(sha256));
  }

  blockDigests(sha256: string): BlockDigests | undefined {
    return this.#selectDigests.get(sha256) as unknown as BlockDigests | undefined;
  }

  /** They go with the blob. Nothing happens when it is not held. */
  setBlockDigests(sha256: string, { blockBytes, digests }: BlockDigests): void {
    this.#insertDigests.run(blockBytes, digests, sha256);
  }

  checks(sha256: string): Uint8Array | undefined {
    return (this.#selectChecks.get(sha256) as { checks: Uint8Array } | undefined)?.checks;
  }

  /** They go with the blob. Nothing happens when it is not held. */
  setChecks(sha256: string, checks: Uint8Array): void {
    this.#insertChecks.run(checks, sha256);
  }

  /** Names of blobs that were marked, at most so many. */
  damaged(limit: number): string[] {
    return (this.#db.prepare('SELECT sha256 FROM damaged_blobs LIMIT ?').all(limit) as { sha256: string }[]).map(({ sha256 }) => sha256);
  }

  /** The mark goes with the blob. */
  setDamaged(sha256: string, isDamaged: boolean): void {
    const statement = isDamaged ? 'INSERT OR IGNORE INTO damaged_blobs VALUES (?)' : 'DELETE FROM damaged_blobs WHERE sha256 = ?';
    this.#db.prepare(statement).run(sha256);
  }

  setRank(sha256: string, rank: number): void {
    this.#setRank.run(rank, sha256);
  }

  markSynced(sha256: string): void {
    this.#markSynced.run(sha256);
  }

  /** The first file after a name that was written in `boot` and not synced. */
  unsyncedAfter(sha256: string, boot: string): string | undefined {
    return (this.#selectUnsynced.get(boot, sha256) as { sha256: string } | undefined)?.sha256;
  }

  /** Forgets files that were written in another boot and not synced. */
  forgetUnsyncedBefore(boot: string): void {
    this.#db.prepare('DELETE FROM blobs WHERE unsynced_boot IS NOT NULL AND unsynced_boot <> ?').run(boot);
  }

  /** Names of blobs in files from `first` on and before `end`. */
  namesOfFiles(first: string, end: string): string[] {
    const rows = this.#db.prepare('SELECT sha256 FROM blobs WHERE body IS NULL AND sha256 >= ? AND sha256 < ?').all(first, end);
    return (rows as { sha256: string }[]).map(({ sha256 }) => sha256);
  }

  /** The `count` blobs of the lowest rank, lowest first. */
  lowest(count: number): (BlobRef & { readonly rank: number })[] {
    return this.#guarded(() => this.#selectLowest.all(count)) as unknown as (BlobRef & { rank: number })[];
  }

  /** A page of what is held, by name. */
  after(sha256: string, limit: number): BlobRef[] {
    return this.#guarded(() => this.#selectAfter.all(sha256, limit)) as unknown as BlobRef[];
  }

  totals(): { count: number; bytes: number } {
    return this.#db.prepare('SELECT count(*) AS count, coalesce(sum(size), 0) AS bytes FROM blobs').get() as {
      count: number;
      bytes: number;
    };
  }

  /** Brings all of the log into the database, and both onto the disk. @throws when somebody reads for too long */
  checkpoint(): void {
    const { busy } = this.#db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get() as { busy: number };
    if (busy !== 0) throw new Error('the log of the blobs is in use and cannot be brought into the database');
  }

  close(): void {
    this.#db.close();
  }
}

function setFirstLayoutAside(db: DatabaseSync): void {
  if (db.prepare("SELECT 1 FROM pragma_table_info('blobs') WHERE name = 'bytes'").get() === undefined) return;
  db.exec(`BEGIN IMMEDIATE; DROP INDEX blobs_rank; DROP INDEX blobs_unsynced; ALTER TABLE blobs RENAME TO ${FIRST_LAYOUT}; COMMIT`);
}

function hasTable(db: DatabaseSync, name: string): boolean {
  return db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?").get(name) !== undefined;
}
