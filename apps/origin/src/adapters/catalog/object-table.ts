import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { InvalidationMode, Selector } from '@sluice/contracts';
import { bucketOf } from '../../domain/bucket-name.ts';
import type { StoredObject } from '../../domain/catalog-change.ts';
import { prefixRange } from '../../domain/object-listing.ts';
import type { EverRegions } from '../../domain/placement.ts';

/** That a key is gone. */
export interface Tombstone {
  readonly version: number;
  readonly ever: EverRegions;
  /** Whether it counts as a version of the key. One that is older than the key's bucket, or was removed as a version, is there for the edges only. */
  readonly isListed: boolean;
}

interface ObjectRow {
  manifest: string;
  previous: string | null;
  etag: string;
  ever: string;
}

/** The rows of objects, tombstones and invalidations. A key is in one of the first two at most. Writes belong into a transaction. */
export class ObjectTable {
  readonly #select: StatementSync;
  readonly #selectPage: StatementSync;
  readonly #upsert: StatementSync;
  readonly #delete: StatementSync;
  readonly #list: StatementSync;
  readonly #unlist: StatementSync;
  readonly #count: StatementSync;
  readonly #selectTombstone: StatementSync;
  readonly #insertTombstone: StatementSync;
  readonly #deleteTombstone: StatementSync;
  readonly #deleteInvalidation: StatementSync;
  readonly #insertInvalidation: StatementSync;

  constructor(db: DatabaseSync) {
    this.#select = db.prepare('SELECT manifest, previous, etag, ever_regions AS ever FROM objects WHERE key = ?');
    this.#selectPage = db.prepare(`
      SELECT manifest, previous, etag, ever_regions AS ever FROM objects
      WHERE key >= CAST(:from AS TEXT) AND key < CAST(:to AS TEXT) AND key > :after ORDER BY key LIMIT :limit`);
    this.#upsert = db.prepare(`
      INSERT OR REPLACE INTO objects (key, version, sha256, previous_sha256, etag, manifest, previous, ever_regions)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)`);
    this.#delete = db.prepare('DELETE FROM objects WHERE key = ?');
    this.#list = db.prepare('INSERT OR REPLACE INTO listed_objects (key, size, etag, uploaded_at) VALUES (?, ?, ?, ?)');
    this.#unlist = db.prepare('DELETE FROM listed_objects WHERE key = ?');
    this.#count = db.prepare('SELECT count(*) AS count FROM objects');
    this.#selectTombstone = db.prepare(`
      SELECT version, ever_regions AS ever, listed AND version > coalesce((SELECT since FROM buckets WHERE name = ?2), 0) AS isListed
      FROM tombstones WHERE key = ?1`);
    this.#insertTombstone = db.prepare('INSERT OR REPLACE INTO tombstones (key, version, ever_regions, listed) VALUES (?, ?, ?, ?)');
    this.#deleteTombstone = db.prepare('DELETE FROM tombstones WHERE key = ?');
    this.#deleteInvalidation = db.prepare('DELETE FROM invalidations WHERE kind = ? AND value = ? AND mode = ?');
    this.#insertInvalidation = db.prepare('INSERT INTO invalidations (version, kind, value, mode) VALUES (?, ?, ?, ?)');
  }

  get count(): number {
    return (this.#count.get() as { count: number }).count;
  }

  find(key: string): StoredObject | undefined {
    const row = this.#select.get(key) as ObjectRow | undefined;
    return row && parsed(row);
  }

  /** The first `limit` objects after a key of those that begin with `prefix`, in the order of their bytes. */
  page(prefix: string, after: string, limit: number): StoredObject[] {
    return (this.#selectPage.all({ ...prefixRange(prefix), after, limit }) as unknown as ObjectRow[]).map(parsed);
  }

  tombstone(key: string): Tombstone | undefined {
    const row = this.#selectTombstone.get(key, bucketOf(key)) as { version: number; ever: string; isListed: number } | undefined;
    return row === undefined ? undefined : { version: row.version, ever: JSON.parse(row.ever), isListed: row.isListed === 1 };
  }

  put({ manifest, previous, etag, ever }: StoredObject): void {
    const { key, version, sha256, size, uploadedAt } = manifest;
    const previousJson = previous === undefined ? null : JSON.stringify(previous);
    this.#deleteTombstone.run(key);
    const columns = [key, version, sha256, previous?.sha256 ?? null, etag, JSON.stringify(manifest), previousJson, JSON.stringify(ever)];
    this.#upsert.run(...columns);
    this.#list.run(key, size, etag, uploadedAt);
  }

  bury(key: string, { version, ever, isListed }: Tombstone): void {
    this.#delete.run(key);
    this.#unlist.run(key);
    this.#insertTombstone.run(key, version, JSON.stringify(ever), isListed ? 1 : 0);
  }

  invalidate(version: number, selector: Selector, mode: InvalidationMode): void {
    const [kind, value] = Object.entries(selector)[0] as [string, string | true];
    const text = value === true ? '' : value;
    this.#deleteInvalidation.run(kind, text, mode);
    this.#insertInvalidation.run(version, kind, text, mode);
  }
}

function parsed({ manifest, previous, etag, ever }: ObjectRow): StoredObject {
  return {
    manifest: JSON.parse(manifest),
    previous: previous === null ? undefined : JSON.parse(previous),
    etag,
    ever: JSON.parse(ever),
  };
}
