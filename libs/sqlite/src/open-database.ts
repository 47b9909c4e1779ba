import { DatabaseSync } from 'node:sqlite';

/**
 * - `full`: a commit survives a power cut when it returns.
 * - `relaxed`: it survives the death of the process when it returns, and a power cut after the next checkpoint. What a power cut takes is a
 *   whole tail of commits.
 */
export type Durability = 'full' | 'relaxed';

/** Pages of the log after which a commit itself checkpoints, should the checkpointer lag behind: 128 MB. */
const AUTOCHECKPOINT_PAGES = 32_768;

/**
 * Opens or creates a database in WAL mode (https://www.sqlite.org/wal.html). `pageBytes` is for one that is created. What SQLite would put into temporary files stays in memory
 * (https://www.sqlite.org/tempfiles.html): in a container whose file system is read-only there is nowhere to put them, and a change of more than 64 KiB would fail as a disk error.
 */
export function openDatabase(path: string, durability: Durability, pageBytes = 4096): DatabaseSync {
  const db = new DatabaseSync(path);
  db.exec(`
    PRAGMA page_size = ${pageBytes};
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = ${durability === 'full' ? 'FULL' : 'NORMAL'};
    PRAGMA wal_autocheckpoint = ${AUTOCHECKPOINT_PAGES};
    PRAGMA busy_timeout = 5000;
    PRAGMA temp_store = MEMORY;
  `);
  return db;
}

/** Opens a database that another thread or process has open for writing. Sees each commit when it has returned there. */
export function openForReading(path: string): DatabaseSync {
  const db = new DatabaseSync(path, { readOnly: true });
  db.exec('PRAGMA busy_timeout = 5000; PRAGMA temp_store = MEMORY');
  return db;
}
