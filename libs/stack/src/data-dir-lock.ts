import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Another stack works on the same data directory. */
export class DataDirInUseError extends Error {
  readonly dataDir: string;
  constructor(dataDir: string) {
    super(`another stack uses ${dataDir}`);
    this.name = 'DataDirInUseError';
    this.dataDir = dataDir;
  }
}

/**
 * Claims a data directory for this process until released. An empty SQLite database under an exclusive lock: the kernel gives
 * it back when the process dies in whatever way, so nothing stale is left, as a file with a process id would be.
 * @throws {DataDirInUseError}
 */
export function lockDataDir(dataDir: string): { release(): void } {
  mkdirSync(dataDir, { recursive: true });
  const database = new DatabaseSync(join(dataDir, 'stack.lock'));
  try {
    database.exec('PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if ((error as Error).message.includes('locked')) throw new DataDirInUseError(dataDir);
    throw error;
  }
  return { release: () => database.close() };
}
