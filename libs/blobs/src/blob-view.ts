/** What a {@link BlobStore} holds, for reading from another thread. The store's owner is the only one that writes. */
import { open } from 'node:fs/promises';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { isDatabaseDamaged, openForReading } from '@sluice/sqlite';
import { databasePathIn, filePathIn } from './blob-paths.ts';
import { BlobReader } from './blob-reader.ts';
import type { BlobRow } from './blob-table.ts';
import { SELECT_CHECKS, SELECT_ROW, SELECT_SIZE } from './blob-table.ts';
import { BlobDamagedError, BlobMissingError } from './errors.ts';
import { haveName } from './stored-bytes.ts';

export class BlobView {
  readonly #dir: string;
  #db!: DatabaseSync;
  #selectSize!: StatementSync;
  #select!: StatementSync;
  #selectChecks!: StatementSync;
  readonly #onDatabaseDamaged: (error: unknown) => void;
  readonly #onUnreadable: (sha256: string) => void;

  /**
   * `dir`: of a store that is open. `onUnreadable`: told of a blob that is listed and whose file is gone, or whose bytes are not what they were, so that the owner can look. `onDatabaseDamaged`: told when
   * what is held cannot be read; then it is as if nothing were.
   */
  constructor(dir: string, onUnreadable: (sha256: string) => void, onDatabaseDamaged: (error: unknown) => void = () => {}) {
    this.#dir = dir;
    this.#onUnreadable = onUnreadable;
    this.#onDatabaseDamaged = onDatabaseDamaged;
    this.#open();
  }

  /** The store has begun anew. */
  reopen(): void {
    this.#db.close();
    this.#open();
  }

  #open(): void {
    this.#db = openForReading(databasePathIn(this.#dir));
    this.#selectSize = this.#db.prepare(SELECT_SIZE);
    this.#select = this.#db.prepare(SELECT_ROW);
    this.#selectChecks = this.#db.prepare(SELECT_CHECKS);
  }

  has(sha256: string): boolean {
    return this.#get(this.#selectSize, sha256) !== undefined;
  }

  /** The bytes of a small blob at once, verified; undefined when it is in a file. @throws {BlobMissingError | BlobDamagedError} */
  readNow(sha256: string): Uint8Array | undefined {
    return this.#row(sha256).bytes ?? undefined;
  }

  /** Opens a blob for reading. What is open stays readable after a delete. Close it. @throws {BlobMissingError | BlobDamagedError} */
  async reader(sha256: string): Promise<BlobReader> {
    const { size, bytes } = this.#row(sha256);
    if (bytes !== null) return new BlobReader({ sha256, size }, bytes, undefined);
    try {
      const check = { checks: this.#checks(sha256), onDamaged: this.#onUnreadable };
      return new BlobReader({ sha256, size }, undefined, await open(filePathIn(this.#dir, sha256), 'r'), check);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      this.#onUnreadable(sha256);
      throw new BlobMissingError(sha256);
    }
  }

  /** The whole of a blob, verified; for small ones. @throws {BlobMissingError | BlobDamagedError} */
  async readAll(sha256: string): Promise<Uint8Array> {
    const reader = await this.reader(sha256);
    try {
      const bytes = await reader.read(0, reader.ref.size);
      if (!reader.isChecked && !haveName(bytes, sha256)) throw this.#damaged(sha256);
      return bytes;
    } finally {
      await reader.close();
    }
  }

  #row(sha256: string): BlobRow {
    const row = this.#get(this.#select, sha256) as BlobRow | undefined;
    if (row === undefined) throw new BlobMissingError(sha256);
    if (row.bytes !== null && !haveName(row.bytes, sha256)) throw this.#damaged(sha256);
    return row;
  }

  #checks(sha256: string): Uint8Array | undefined {
    return (this.#get(this.#selectChecks, sha256) as { checks: Uint8Array } | undefined)?.checks;
  }

  #get(statement: StatementSync, sha256: string): unknown {
    try {
      return statement.get(sha256);
    } catch (error) {
      if (!isDatabaseDamaged(error)) throw error;
      this.#onDatabaseDamaged(error);
      return undefined;
    }
  }

  #damaged(sha256: string): BlobDamagedError {
    this.#onUnreadable(sha256);
    return new BlobDamagedError(sha256);
  }

  close(): void {
    this.#db.close();
  }
}
