/** Databases whose file is not what was written. */
import { rmSync } from 'node:fs';

/** What a database says is not what was put into it. */
export class DatabaseDamagedError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DatabaseDamagedError';
  }
}

/** https://www.sqlite.org/rescode.html: SQLITE_CORRUPT and SQLITE_NOTADB with what is below them, and reads that the disk refused. */
const CORRUPT = 11;
const NOT_A_DATABASE = 26;
const IO_READ = 266;
const IO_SHORT_READ = 522;

/** Whether an error says that the file of a database is damaged, and not the statement, the disk's space or somebody else's lock. */
export function isDatabaseDamaged(error: unknown): boolean {
  if (error instanceof DatabaseDamagedError) return true;
  const code = (error as { errcode?: unknown } | undefined)?.errcode;
  if (typeof code !== 'number') return false;
  return (code & 0xff) === CORRUPT || (code & 0xff) === NOT_A_DATABASE || code === IO_READ || code === IO_SHORT_READ;
}

/** Removes a database that nobody writes to any more. Who has it open for reading goes on reading what it was. */
export function removeDatabase(path: string): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true });
}
