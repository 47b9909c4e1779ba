import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Another process of the same kind works on the data directory. Give each a directory of its own. */
export class DataDirInUseError extends Error {
  readonly dataDir: string;
  constructor(dataDir: string, owner: string) {
    super(`another ${owner} uses ${dataDir}; give each a directory of its own`);
    this.name = 'DataDirInUseError';
    this.dataDir = dataDir;
  }
}

/**
 * Claims a data directory for this process until released; `owner` says what it is (`edge`). An empty SQLite database under an exclusive lock: the kernel gives
 * it back when the process dies in whatever way, so nothing stale is left, as a file with a process id would be.
 * @throws {DataDirInUseError}
 */
export function lockDataDir(dataDir: string, owner: string): { release(): void } {
  mkdirSync(dataDir, { recursive: true });
  const database = new DatabaseSync(join(dataDir, `${owner}.lock`));
  try {
    database.exec('PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if ((error as Error).message.includes('locked')) throw new DataDirInUseError(dataDir, owner);
    throw error;
  }
  return { release: () => database.close() };
}
