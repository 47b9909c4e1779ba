import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { SourceRevisions, StoredBody } from '../../domain/catalog-change.ts';
import { prefixRange } from '../../domain/object-listing.ts';
import type { SourceObject } from '../../domain/source-object.ts';

export const SOURCED_SCHEMA = `
  CREATE TABLE IF NOT EXISTS sourced_objects ( -- what stands at a source, in the state that the catalog has of it
    key TEXT PRIMARY KEY,
    revision TEXT,                     -- NULL: the catalog has begun anew since, the bytes are still known
    bytes_revision TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS sourced_sha256 ON sourced_objects (sha256);
`;

/** Bytes that were read once, and what they are called at the source. */
export interface KnownBytes extends StoredBody {
  readonly bytesRevision: string;
}

/** Which state of each object at the source the catalog has. Writes belong into a transaction. */
export class SourcedTable {
  readonly #select: StatementSync;
  readonly #selectBytes: StatementSync;
  readonly #selectPage: StatementSync;
  readonly #selectLocation: StatementSync;
  readonly #upsert: StatementSync;
  readonly #doubt: StatementSync;
  readonly #delete: StatementSync;
  readonly #unsay: StatementSync;

  constructor(db: DatabaseSync) {
    const columns = 'key, size, revision, bytes_revision AS bytesRevision';
    this.#select = db.prepare(`SELECT ${columns} FROM sourced_objects WHERE key = ? AND revision IS NOT NULL`);
    this.#selectBytes = db.prepare('SELECT bytes_revision AS bytesRevision, sha256, size, etag FROM sourced_objects WHERE key = ?');
    this.#selectPage = db.prepare(`
      SELECT ${columns} FROM sourced_objects
      WHERE key >= CAST(:from AS TEXT) AND key < CAST(:to AS TEXT) AND key > :after AND revision IS NOT NULL ORDER BY key LIMIT :limit`);
    this.#selectLocation = db.prepare(`SELECT ${columns} FROM sourced_objects WHERE sha256 = ? AND revision IS NOT NULL LIMIT 1`);
    this.#upsert = db.prepare(
      'INSERT OR REPLACE INTO sourced_objects (key, revision, bytes_revision, sha256, size, etag) VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.#doubt = db.prepare("UPDATE sourced_objects SET revision = '', bytes_revision = '' WHERE key = ? AND revision IS NOT NULL");
    this.#delete = db.prepare('DELETE FROM sourced_objects WHERE key = ?');
    this.#unsay = db.prepare('UPDATE sourced_objects SET revision = NULL');
  }

  /** The state of an object that the catalog has. */
  find(key: string): SourceObject | undefined {
    return this.#select.get(key) as SourceObject | undefined;
  }

  /** The bytes that a key had when they were last read, also in a catalog that has begun anew. */
  bytesOf(key: string): KnownBytes | undefined {
    return this.#selectBytes.get(key) as KnownBytes | undefined;
  }

  /** An object that has these bytes. */
  locate(sha256: string): SourceObject | undefined {
    return this.#selectLocation.get(sha256) as SourceObject | undefined;
  }

  /** The first `limit` objects after a key of those that begin with `prefix`, in the order of their bytes. */
  page(prefix: string, after: string, limit: number): SourceObject[] {
    return this.#selectPage.all({ ...prefixRange(prefix), after, limit }) as unknown as SourceObject[];
  }

  remember(key: string, { revision, bytesRevision }: SourceRevisions, { sha256, size, etag }: StoredBody): void {
    this.#upsert.run(key, revision, bytesRevision, sha256, size, etag);
  }

  /** No state of the source is the one that the catalog has. */
  doubt(key: string): void {
    this.#doubt.run(key);
  }

  forget(key: string): void {
    this.#delete.run(key);
  }

  /** The catalog begins anew: which states it has is to be said again, and the bytes of those need not be read again. */
  unsay(): void {
    this.#unsay.run();
  }
}
