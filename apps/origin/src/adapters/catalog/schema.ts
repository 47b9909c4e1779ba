import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import type { Manifest } from '@sluice/contracts';
import { openDatabase, Transactions } from '@sluice/sqlite';
import { wantsVariants } from '../../domain/content-coding.ts';
import { mintVersion } from '../../domain/version.ts';
import { MULTIPART_SCHEMA } from './multipart-schema.ts';

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS meta (
    catalog_id TEXT NOT NULL,          -- another catalog, other versions: readers start over
    last_version INTEGER NOT NULL,
    horizon INTEGER NOT NULL           -- removals and invalidations up to here may have been forgotten
  );
  CREATE TABLE IF NOT EXISTS objects (
    key TEXT PRIMARY KEY,
    version INTEGER NOT NULL UNIQUE,
    sha256 TEXT NOT NULL,
    previous_sha256 TEXT,              -- the bytes before, kept for patches
    etag TEXT NOT NULL,                -- MD5 in hexadecimal
    manifest TEXT NOT NULL,            -- JSON
    previous TEXT,                     -- JSON {version, sha256, size, regions}
    ever_regions TEXT NOT NULL         -- JSON: every region it was ever in, "*" for everywhere
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS objects_sha256 ON objects (sha256, previous_sha256);
  CREATE INDEX IF NOT EXISTS objects_previous ON objects (previous_sha256) WHERE previous_sha256 IS NOT NULL;
  CREATE TABLE IF NOT EXISTS tombstones (
    key TEXT PRIMARY KEY,
    version INTEGER NOT NULL UNIQUE,
    ever_regions TEXT NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS history ( -- what keys were before, the newest of each
    key TEXT NOT NULL,
    version INTEGER NOT NULL,          -- of the upload, or of the removal
    sha256 TEXT,                       -- these three are NULL for a removal
    etag TEXT,
    manifest TEXT,
    PRIMARY KEY (key, version)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS history_sha256 ON history (sha256) WHERE sha256 IS NOT NULL;
  CREATE TABLE IF NOT EXISTS invalidations (
    version INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,                -- key | prefix | tag | all
    value TEXT NOT NULL,               -- '' for all
    mode TEXT NOT NULL,
    UNIQUE (kind, value, mode)         -- a newer one of the same says all that the older said
  );
  CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL,
    payload BLOB NOT NULL,
    at_ms INTEGER NOT NULL
  );
  CREATE TABLE IF NOT EXISTS answered_requests (  -- announcements made for messages that others put on the stream
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE
  );
  CREATE TABLE IF NOT EXISTS patches (
    target TEXT NOT NULL,
    base TEXT NOT NULL,
    patch_sha256 TEXT,                 -- NULL: tried, not worthwhile
    patch_size INTEGER,
    PRIMARY KEY (target, base)
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS patches_patch ON patches (patch_sha256) WHERE patch_sha256 IS NOT NULL;
  CREATE TABLE IF NOT EXISTS coding_begun ( -- contents whose coding was begun and has not ended
    content TEXT PRIMARY KEY,
    times INTEGER NOT NULL
  ) WITHOUT ROWID;
`;

const VARIANTS_SCHEMA = `
  CREATE TABLE variants (
    content TEXT NOT NULL,             -- SHA-256 of the uncoded bytes
    coding TEXT NOT NULL,
    variant_sha256 TEXT,               -- NULL: tried, not worthwhile
    variant_size INTEGER,
    PRIMARY KEY (content, coding)
  ) WITHOUT ROWID;
  CREATE INDEX variants_variant ON variants (variant_sha256) WHERE variant_sha256 IS NOT NULL;
  CREATE TABLE variant_work (          -- keys whose content waits for its variants
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    attempts INTEGER NOT NULL
  );
`;

const LISTING_SCHEMA = `
  CREATE TABLE listed_objects (        -- of each object what listings tell: rows a tenth as long
    key TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    uploaded_at TEXT NOT NULL          -- RFC 3339
  ) WITHOUT ROWID;
  CREATE TABLE buckets (
    name TEXT PRIMARY KEY,
    created_at TEXT NOT NULL           -- RFC 3339
  ) WITHOUT ROWID;
`;

/** What tables of earlier catalogs do not have. */
const LATER_COLUMNS = [
  // A version: removals up to it are of a bucket of this name that was deleted.
  ['buckets', 'since', 'INTEGER NOT NULL DEFAULT 0'],
  // 0: all versions of the key were removed for good, this one too; it is there for the edges.
  ['tombstones', 'listed', 'INTEGER NOT NULL DEFAULT 1'],
  // JSON {checksums, partSizes}; NULL where neither is known.
  ['history', 'details', 'TEXT'],
] as const;

/** Opens or creates `catalog.db`. Every commit is on the disk when it returns (`synchronous=FULL`). */
export function openCatalogDatabase(path: string, nowMs: number): DatabaseSync {
  mkdirSync(dirname(path), { recursive: true });
  const db = openDatabase(path, 'full');
  db.exec(SCHEMA);
  db.exec(MULTIPART_SCHEMA);
  openVariants(db);
  openListing(db);
  for (const [table, column, type] of LATER_COLUMNS) {
    const known = db.prepare('SELECT 1 FROM pragma_table_info(?) WHERE name = ?').get(table, column) !== undefined;
    if (!known) db.exec(`ALTER TABLE ${table} ADD COLUMN ${column} ${type}`);
  }
  // A catalog begins with a version, so that a reader of another one is told from a reader that has read nothing yet.
  db.prepare('INSERT INTO meta SELECT ?, ?, 0 WHERE NOT EXISTS (SELECT 1 FROM meta)').run(randomUUID(), mintVersion(nowMs, 0));
  return db;
}

/** A catalog from before there were variants gets the tables, and all its objects wait for theirs. What failed in an earlier run is tried again. */
function openVariants(db: DatabaseSync): void {
  const known = db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'variant_work'").get() !== undefined;
  if (known) db.exec('UPDATE variant_work SET attempts = 0 WHERE attempts > 0');
  else {
    db.function('wants_variants', (text) => {
      const { size, ...fields } = JSON.parse(String(text)) as Manifest;
      return wantsVariants(fields, size) ? 1 : 0;
    });
    const fill = 'INSERT INTO variant_work (key, attempts) SELECT key, 0 FROM objects WHERE wants_variants(manifest)';
    new Transactions(db).run(() => db.exec(`${VARIANTS_SCHEMA} ${fill}`));
  }
}

/**
 * A catalog from before there were listings gets them of its objects, and the buckets of its keys, each created when the oldest upload in it was made.
 * Takes 3 to 11 s for 1,000,000 objects, once.
 */
function openListing(db: DatabaseSync): void {
  if (db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'buckets'").get() !== undefined) return;
  const fill = `
    INSERT INTO listed_objects (key, size, etag, uploaded_at)
    SELECT key, json_extract(manifest, '$.size'), etag, json_extract(manifest, '$.uploadedAt') FROM objects ORDER BY key;
    INSERT INTO buckets (name, created_at)
    SELECT substr(key, 1, instr(key, '/') - 1) AS bucket, min(uploaded_at) FROM listed_objects GROUP BY bucket;`;
  new Transactions(db).run(() => db.exec(`${LISTING_SCHEMA} ${fill}`));
}
