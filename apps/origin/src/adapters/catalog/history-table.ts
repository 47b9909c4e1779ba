import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Manifest } from '@sluice/contracts';
import { prefixRange } from '../../domain/object-listing.ts';
import type { UploadDetails } from './upload-details.ts';

/** An upload that another one has replaced, or a removal. */
export interface PastUpload {
  readonly manifest: Manifest;
  /** MD5 in hexadecimal, or what a multipart upload has instead. */
  readonly etag: string;
  /** Undefined: nothing is known of them. */
  readonly details?: UploadDetails | undefined;
}

/** What keys were before they became what they are, by the version in which that was uploaded or removed. Writes belong into a transaction. */
export class HistoryTable {
  readonly #insert: StatementSync;
  readonly #trim: StatementSync;
  readonly #select: StatementSync;
  readonly #selectNewest: StatementSync;
  readonly #selectLast: StatementSync;
  readonly #selectWasRemoved: StatementSync;
  readonly #delete: StatementSync;
  readonly #forgetRemoved: StatementSync;
  readonly #selectKeys: StatementSync;
  readonly #forgetBucket: StatementSync;

  constructor(db: DatabaseSync) {
    this.#insert = db.prepare('INSERT OR REPLACE INTO history (key, version, sha256, etag, manifest, details) VALUES (?, ?, ?, ?, ?, ?)');
    this.#trim = db.prepare(`
      DELETE FROM history WHERE key = ?1 AND version IN (SELECT version FROM history WHERE key = ?1 ORDER BY version DESC LIMIT -1 OFFSET ?2)
      RETURNING sha256`);
    this.#select = db.prepare('SELECT etag, manifest, details FROM history WHERE key = ? AND version = ? AND manifest IS NOT NULL');
    this.#selectNewest = db.prepare(
      'SELECT etag, manifest, details FROM history WHERE key = ? AND version <= ? AND manifest IS NOT NULL ORDER BY version DESC LIMIT 1',
    );
    this.#selectLast = db.prepare('SELECT version, etag, manifest, details FROM history WHERE key = ? ORDER BY version DESC LIMIT 1');
    this.#selectWasRemoved = db.prepare(
      'SELECT manifest IS NULL AS removed FROM history WHERE key = ? AND version <= ? ORDER BY version DESC LIMIT 1',
    );
    this.#delete = db.prepare('DELETE FROM history WHERE key = ? AND version = ? RETURNING sha256');
    this.#selectKeys = db.prepare(
      'SELECT DISTINCT key FROM history WHERE key >= CAST(:from AS TEXT) AND key < CAST(:to AS TEXT) AND key > :after ORDER BY key LIMIT :limit',
    );
    // "0" comes after "/".
    this.#forgetBucket = db.prepare("DELETE FROM history WHERE key > ?1 || '/' AND key < ?1 || '0' RETURNING sha256");
    this.#forgetRemoved = db.prepare('DELETE FROM history WHERE key IN (SELECT key FROM tombstones WHERE version <= ?) RETURNING sha256');
  }

  addUpload(version: number, { manifest, etag, details }: PastUpload): void {
    // Nothing known is nothing written.
    const known = JSON.stringify(details ?? {});
    this.#insert.run(manifest.key, version, manifest.sha256, etag, JSON.stringify(manifest), known === '{}' ? null : known);
  }

  addRemoval(key: string, version: number): void {
    this.#insert.run(key, version, null, null, null, null);
  }

  /** Forgets all but the newest `count` of a key. Returns bytes that may be garbage. */
  trim(key: string, count: number): string[] {
    return checksums(this.#trim.all(key, count));
  }

  find(key: string, version: number): PastUpload | undefined {
    return parsed(this.#select.get(key, version));
  }

  /** The newest upload that is not newer than `version`. */
  newestUpTo(key: string, version: number): PastUpload | undefined {
    return parsed(this.#selectNewest.get(key, version));
  }

  /** The last that a key was; without `upload` it was gone. */
  last(key: string): { readonly version: number; readonly upload: PastUpload | undefined } | undefined {
    const row = this.#selectLast.get(key) as { version: number; manifest: string | null } | undefined;
    return row && { version: row.version, upload: row.manifest === null ? undefined : parsed(row) };
  }

  /** Whether the newest of a key that is not newer than `version` is a removal. */
  wasRemoved(key: string, version: number): boolean {
    return (this.#selectWasRemoved.get(key, version) as { removed: number } | undefined)?.removed === 1;
  }

  /** Keys that begin with `prefix` and were something else before, in the order of their bytes. */
  keys(prefix: string, after: string, limit: number): string[] {
    const rows = this.#selectKeys.all({ ...prefixRange(prefix), after, limit });
    return (rows as { key: string }[]).map(({ key }) => key);
  }

  /** Forgets one version. Returns bytes that may be garbage; undefined: there was none. */
  delete(key: string, version: number): string[] | undefined {
    const rows = this.#delete.all(key, version);
    return rows.length === 0 ? undefined : checksums(rows);
  }

  /** Forgets what keys of a bucket were. Returns bytes that may be garbage. */
  forgetBucket(bucket: string): string[] {
    return checksums(this.#forgetBucket.all(bucket));
  }

  /** Forgets what keys were that are gone since `untilVersion` or longer. Returns bytes that may be garbage. */
  forgetRemoved(untilVersion: number): string[] {
    return checksums(this.#forgetRemoved.all(untilVersion));
  }
}

function parsed(row: unknown): PastUpload | undefined {
  if (row === undefined) return undefined;
  const { etag, manifest, details } = row as { etag: string; manifest: string; details: string | null };
  return { etag, manifest: JSON.parse(manifest), details: details === null ? undefined : JSON.parse(details) };
}

function checksums(rows: readonly unknown[]): string[] {
  return (rows as { sha256: string | null }[]).flatMap(({ sha256 }) => sha256 ?? []);
}
