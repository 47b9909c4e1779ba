import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { commonPrefix, type ListingScope, listingRange } from '../../domain/object-listing.ts';

/** One version of a key; without `size` and `etag` it is a removal. The key is without the bucket. */
export interface ListedVersion {
  readonly kind: 'version';
  readonly key: string;
  readonly version: number;
  readonly isLatest: boolean;
  /** Bytes. */
  readonly size: number | null;
  readonly etag: string | null;
  /** RFC 3339; null for a removal, whose version tells it. */
  readonly uploadedAt: string | null;
}

export type VersionEntry = ListedVersion | { readonly kind: 'prefix'; readonly prefix: string };

export interface VersionPage {
  readonly entries: readonly VersionEntry[];
  readonly truncated: boolean;
}

/** Where a page begins: after this key, or after this version of it. */
export interface VersionMarker {
  readonly key: string;
  readonly version: number | undefined;
}

type Row = Omit<ListedVersion, 'kind' | 'isLatest'> & { readonly isLatest: number };

const RANGE = 'key >= CAST(:from AS TEXT) AND key < CAST(:to AS TEXT)';
const UPLOADED = "coalesce(json_extract(manifest, '$.contentVersion'), version)";
const OF_MANIFEST = "etag, json_extract(manifest, '$.size') AS size, json_extract(manifest, '$.uploadedAt') AS uploadedAt";
const older = (version: string): string => `${RANGE} AND (key <> :markerKey OR ${version} < :markerVersion)`;
/** Each table comes in its own order and they are merged row by row: nothing beyond the rows that are taken is read or sorted. */
const ROWS = `
  SELECT key, ${UPLOADED} AS version, 1 AS isLatest, ${OF_MANIFEST} FROM objects WHERE ${older(UPLOADED)}
  UNION ALL SELECT key, version, 1, NULL, NULL, NULL FROM tombstones
    WHERE ${older('version')} AND listed AND version > (SELECT since FROM buckets WHERE name = :bucket)
  UNION ALL SELECT key, version, 0, ${OF_MANIFEST} FROM history WHERE ${older('version')}
  ORDER BY key, version DESC LIMIT :limit`;

/** All versions of keys: by key in the order of their bytes, the newest first. */
export class VersionListing {
  readonly #select: StatementSync;

  constructor(db: DatabaseSync) {
    this.#select = db.prepare(ROWS);
  }

  /** The first `limit` entries after `marker`. */
  page(scope: ListingScope, marker: VersionMarker | undefined, limit: number): VersionPage {
    if (limit === 0) return { entries: [], truncated: false };
    const entries: VersionEntry[] = [];
    const skip = scope.bucket.length + 1;
    let range = listingRange(scope, marker?.key);
    // Older versions of the key that the page before ended with.
    if (marker?.version !== undefined) range = { ...range, from: Buffer.from(`${scope.bucket}/${marker.key}`) };
    const older = { markerKey: marker?.version === undefined ? '' : `${scope.bucket}/${marker.key}`, markerVersion: marker?.version ?? 0 };
    for (;;) {
      const rows = this.#select.iterate({ ...range, ...older, bucket: scope.bucket, limit: limit + 1 - entries.length });
      let passed: string | undefined;
      for (const row of rows as Iterable<unknown> as Iterable<Row>) {
        const key = row.key.slice(skip);
        passed = commonPrefix(scope, key);
        entries.push(
          passed === undefined ? { kind: 'version', ...row, key, isLatest: row.isLatest === 1 } : { kind: 'prefix', prefix: passed },
        );
        if (entries.length > limit) return { entries: entries.slice(0, limit), truncated: true };
        // What else has this prefix is passed by in one search.
        if (passed !== undefined) break;
      }
      if (passed === undefined) return { entries, truncated: false };
      range = listingRange(scope, passed);
    }
  }
}
