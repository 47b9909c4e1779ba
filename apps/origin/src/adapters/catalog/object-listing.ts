import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { commonPrefix, type ListingEntry, type ListingScope, listingRange } from '../../domain/object-listing.ts';

export interface ListingPage {
  readonly entries: readonly ListingEntry[];
  /** There are more. */
  readonly truncated: boolean;
}

/** As an array, which costs half of an object. Of a common prefix the key of its first object, and nothing else. */
type ListingRow = readonly [key: string, size: number, uploadedAt: string, etag: string];

/** Where, after the bucket and the prefix of the listing, the first delimiter in `step.key` is; 0 when nowhere. */
const DELIMITER_AT = 'instr(substr(step.key, :skip), :delimiter)';
/** The least text after a key, and after all keys that begin with its common prefix: no byte of UTF-8 is as great as FF. */
const NEXT = `
  CASE ${DELIMITER_AT} WHEN 0 THEN step.key || char(0)
  ELSE substr(step.key, 1, :skip + ${DELIMITER_AT} + length(:delimiter) - 2) || CAST(x'ff' AS TEXT) END`;

/** Pages of listings. Each entry costs one search or two in a table of short rows, however many keys are behind a common prefix. */
export class ObjectListing {
  readonly #keys: StatementSync;
  readonly #entries: StatementSync;

  constructor(db: DatabaseSync) {
    this.#keys = db.prepare(`
      SELECT key, size, uploaded_at, etag FROM listed_objects
      WHERE key >= CAST(:from AS TEXT) AND key < CAST(:to AS TEXT) ORDER BY key LIMIT :limit`);
    const first = (from: string): string =>
      `SELECT key FROM listed_objects WHERE key >= ${from} AND key < CAST(:to AS TEXT) ORDER BY key LIMIT 1`;
    this.#entries = db.prepare(`
      WITH RECURSIVE step (key) AS (
        SELECT * FROM (${first('CAST(:from AS TEXT)')})
        UNION ALL
        SELECT (${first(NEXT)}) FROM step WHERE step.key IS NOT NULL LIMIT :limit
      )
      SELECT step.key, size, uploaded_at, etag
      FROM step LEFT JOIN listed_objects ON listed_objects.key = step.key AND ${DELIMITER_AT} = 0
      WHERE step.key IS NOT NULL`);
    this.#keys.setReturnArrays(true);
    this.#entries.setReturnArrays(true);
  }

  /** The first `limit` entries after `after`, in order. */
  page(scope: ListingScope, after: string | undefined, limit: number): ListingPage {
    if (limit === 0) return { entries: [], truncated: false };
    const rows = this.#rows(scope, after, limit + 1);
    const entries = rows.slice(0, limit).map((row) => entryOf(row, scope));
    return { entries, truncated: rows.length > limit };
  }

  #rows(scope: ListingScope, after: string | undefined, limit: number): ListingRow[] {
    const { bucket, prefix, delimiter } = scope;
    const range = { ...listingRange(scope, after), limit };
    if (delimiter === undefined) return this.#keys.all(range) as unknown as ListingRow[];
    // SQLite counts characters, and begins with 1.
    const skip = [...`${bucket}/${prefix}`].length + 1;
    return this.#entries.all({ ...range, skip, delimiter }) as unknown as ListingRow[];
  }
}

function entryOf([contentKey, size, uploadedAt, etag]: ListingRow, scope: ListingScope): ListingEntry {
  const key = contentKey.slice(scope.bucket.length + 1);
  const prefix = commonPrefix(scope, key);
  return prefix === undefined ? { kind: 'object', object: { key, size, uploadedAt, etag } } : { kind: 'prefix', prefix };
}
