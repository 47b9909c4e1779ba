/** What a {@link BlobStore} holds, for reading from another thread. The store's owner is the only one that writes. */
import { open } from 'node:fs/promises';
import { openForReading } from '@sluice/sqlite';
import { databasePathIn, filePathIn } from './blob-paths.ts';
import { BlobReader } from './blob-reader.ts';
import type { BlobRow } from './blob-table.ts';
import { SELECT_ROW, SELECT_SIZE } from './blob-table.ts';
import { BlobMissingError } from './errors.ts';

export class BlobView {
  readonly #dir: string;
  readonly #db;
  readonly #selectSize;
  readonly #select;
  readonly #onFileMissing: (sha256: string) => void;

  /** `dir`: of a store that is open. `onFileMissing`: told of a blob whose file is gone although it is listed, so that the owner can look. */
  constructor(dir: string, onFileMissing: (sha256: string) => void) {
    this.#dir = dir;
    this.#onFileMissing = onFileMissing;
    this.#db = openForReading(databasePathIn(dir));
    this.#selectSize = this.#db.prepare(SELECT_SIZE);
    this.#select = this.#db.prepare(SELECT_ROW);
  }

  has(sha256: string): boolean {
    return this.#selectSize.get(sha256) !== undefined;
  }

  /** The bytes of a small blob at once; undefined when it is in a file. @throws {BlobMissingError} */
  readNow(sha256: string): Uint8Array | undefined {
    return this.#row(sha256).bytes ?? undefined;
  }

  /** Opens a blob for reading. What is open stays readable after a delete. Close it. @throws {BlobMissingError} */
  async reader(sha256: string): Promise<BlobReader> {
    const { size, bytes } = this.#row(sha256);
    if (bytes !== null) return new BlobReader({ sha256, size }, bytes, undefined);
    try {
      return new BlobReader({ sha256, size }, undefined, await open(filePathIn(this.#dir, sha256), 'r'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      this.#onFileMissing(sha256);
      throw new BlobMissingError(sha256);
    }
  }

  /** The whole of a blob; for small ones. @throws {BlobMissingError} */
  async readAll(sha256: string): Promise<Uint8Array> {
    const reader = await this.reader(sha256);
    try {
      return await reader.read(0, reader.ref.size);
    } finally {
      await reader.close();
    }
  }

  #row(sha256: string): BlobRow {
    const row = this.#select.get(sha256) as BlobRow | undefined;
    if (row === undefined) throw new BlobMissingError(sha256);
    return row;
  }

  close(): void {
    this.#db.close();
  }
}
