import { closeSync, fdatasync, fdatasyncSync, openSync } from 'node:fs';
import { promisify } from 'node:util';
import type { BlobTable } from './blob-table.ts';
import type { Operate } from './operate.ts';

const datasync = promisify(fdatasync);

/**
 * Brings what a database has committed onto the disk by syncing its log, as SQLite does itself with `synchronous=FULL`, but beside the thread that
 * commits: that one waited a third of its time for the disk while small objects came in. A checkpoint syncs the log before it writes anywhere else, and a
 * log that is begun anew syncs its header, also with `synchronous=NORMAL` (https://www.sqlite.org/pragma.html#pragma_synchronous).
 */
export class LogSync {
  readonly #path: string;
  readonly #table: Pick<BlobTable, 'checkpoint'>;
  readonly #operate: Operate;
  /** The log is the same file for as long as the database is open. */
  #fd: number | undefined;
  #underWay = false;
  #closed = false;
  /** A sync has failed: the system may have dropped what it could not write and call it written, so another sync would prove nothing. */
  #doubtful = false;

  constructor(databasePath: string, table: Pick<BlobTable, 'checkpoint'>, operate: Operate) {
    this.#path = `${databasePath}-wal`;
    this.#table = table;
    this.#operate = operate;
  }

  /** Resolves when all that was committed before survives a power cut. One call at a time. */
  async sync(): Promise<void> {
    if (this.#doubtful) return this.#checkpoint();
    this.#underWay = true;
    try {
      const fd = this.#open();
      await this.#operate('BLOB_COMMIT:SYNC_LOG', () => datasync(fd));
    } catch (error) {
      this.#doubtful = true;
      throw error;
    } finally {
      this.#underWay = false;
      if (this.#closed) this.#release();
    }
  }

  /** The same for the last commit before the end, at once. */
  syncNow(): void {
    if (this.#doubtful) this.#checkpoint();
    else fdatasyncSync(this.#open());
  }

  /** What the log may have lost is still in memory: the database itself gets it from there. */
  #checkpoint(): void {
    this.#table.checkpoint();
    this.#doubtful = false;
  }

  #open(): number {
    this.#fd ??= openSync(this.#path, 'r+');
    return this.#fd;
  }

  close(): void {
    this.#closed = true;
    if (!this.#underWay) this.#release();
  }

  #release(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}
