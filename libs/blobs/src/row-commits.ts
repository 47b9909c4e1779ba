import type { BlobTable, NewBlobRow } from './blob-table.ts';
import { fromDiskError } from './errors.ts';
import type { LogSync } from './log-sync.ts';
import type { Operate } from './operate.ts';

interface WaitingRow {
  readonly row: NewBlobRow;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export interface RowCommitsOptions {
  readonly table: BlobTable;
  /** Undefined: a commit need not survive a power cut. */
  readonly log: LogSync | undefined;
  readonly operate: Operate;
  /** Called when blobs have come to be held, and with negative numbers when they are not after all. */
  readonly onChange: (count: number, bytes: number) => void;
}

/** Rows that come in the same turn of the event loop, or while those before them are synced, share one transaction and one sync. */
export class RowCommits {
  readonly #options: RowCommitsOptions;
  #waiting: WaitingRow[] = [];
  #running = false;

  constructor(options: RowCommitsOptions) {
    this.#options = options;
  }

  /** Resolves when the row is committed, and on the disk if it has to be. A blob that is held already stays as it is. @throws {DiskFullError} */
  add(row: NewBlobRow): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ row, resolve, reject });
      if (this.#running) return;
      this.#running = true;
      setImmediate(() => void this.#run());
    });
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const rows = this.#waiting.splice(0);
      await this.#commit(rows, () => this.#options.log?.sync());
    }
    this.#running = false;
  }

  /** A row that was there already is synced too: it may not be on the disk yet. */
  async #commit(rows: readonly WaitingRow[], sync: () => Promise<void> | undefined): Promise<void> {
    let added: readonly WaitingRow[] = [];
    try {
      added = this.#insert(rows);
      await sync();
    } catch (error) {
      this.#undo(added);
      const failure = fromDiskError(error);
      for (const { reject } of rows) reject(failure);
      return;
    }
    for (const { resolve } of rows) resolve();
  }

  #insert(rows: readonly WaitingRow[]): readonly WaitingRow[] {
    const { table, operate, onChange } = this.#options;
    const added = operate('BLOB_COMMIT:TRANSACTION', () => table.transact(() => rows.filter(({ row }) => table.insert(row))));
    onChange(added.length, bytesOf(added));
    return added;
  }

  /** Of what may not be on the disk nothing is held. */
  #undo(added: readonly WaitingRow[]): void {
    const { table, onChange } = this.#options;
    if (added.length === 0 || !table.isOpen) return;
    try {
      table.transact(() => {
        for (const { row } of added) table.delete(row.sha256);
      });
      onChange(-added.length, -bytesOf(added));
    } catch {
      // A disk that takes nothing at all. Nobody names these blobs: they are garbage.
    }
  }

  /** Commits what waits, now. What was committed before and is being synced settles by itself. */
  close(): void {
    const rows = this.#waiting.splice(0);
    if (rows.length > 0) void this.#commit(rows, async () => this.#options.log?.syncNow());
  }
}

function bytesOf(rows: readonly WaitingRow[]): number {
  return rows.reduce((sum, { row }) => sum + row.size, 0);
}
