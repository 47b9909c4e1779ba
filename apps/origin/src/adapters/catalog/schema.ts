import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { openDatabase } from '@sluice/sqlite';
import { mintVersion } from '../../domain/version.ts';

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
`;

/** Opens or creates `catalog.db`. Every commit is on the disk when it returns (`synchronous=FULL`). */
export function openCatalogDatabase(path: string, nowMs: number): DatabaseSync {
  mkdirSync(dirname(path), { recursive: true });
  const db = openDatabase(path, 'full');
  db.exec(SCHEMA);
  // A catalog begins with a version, so that a reader of another one is told from a reader that has read nothing yet.
  db.prepare('INSERT INTO meta SELECT ?, ?, 0 WHERE NOT EXISTS (SELECT 1 FROM meta)').run(randomUUID(), mintVersion(nowMs, 0));
  return db;
}
