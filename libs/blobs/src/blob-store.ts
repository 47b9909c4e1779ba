/**
 * Content-addressed bytes on disk. Invariant: a blob that the store says it holds has exactly the bytes its name says, also after a
 * power cut.
 *
 * Small blobs live in SQLite (one transaction, no inode, no fsync of their own), larger ones in files named by their checksum. A
 * file is complete before its row is committed, so whatever has no row is garbage that the next start removes.
 */
import { createHash, type Hash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { BlobMismatchError, BlobMissingError, fromDiskError } from './errors.ts';
import { type Operate, operate as operatePlainly } from './operate.ts';

/** Largest blob that is kept inside the database. Measured: below 64 KiB a row costs less CPU than a file with fsync and rename. */
export const INLINE_MAX_BYTES = 64 * 1024;

/** A name and a length: what identifies content. */
export interface BlobRef {
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

export interface BlobStoreOptions {
  readonly dir: string;
  /**
   * `full`: what `finish` returned survives a power cut. `relaxed`: it survives the death of the process; what the system had not
   * written before a power cut is forgotten as a whole (for caches).
   */
  readonly durability: 'full' | 'relaxed';
  readonly operate?: Operate;
}

interface Row {
  size: number;
  bytes: Uint8Array | null;
}

interface PendingRow {
  readonly ref: BlobRef;
  readonly bytes: Uint8Array | null;
  readonly rank: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class BlobStore {
  readonly #dir: string;
  readonly #durable: boolean;
  readonly #operate: Operate;
  readonly #db: DatabaseSync;
  readonly #bootId = readBootId();
  readonly #selectSize: StatementSync;
  readonly #selectRow: StatementSync;
  readonly #insert: StatementSync;
  readonly #markSynced: StatementSync;
  readonly #setRank: StatementSync;
  readonly #deleteRow: StatementSync;
  readonly #selectLowest: StatementSync;
  readonly #selectAfter: StatementSync;
  #pending: PendingRow[] = [];
  #count = 0;
  #bytes = 0;

  private constructor(options: BlobStoreOptions, db: DatabaseSync) {
    this.#dir = options.dir;
    this.#durable = options.durability === 'full';
    this.#operate = options.operate ?? operatePlainly;
    this.#db = db;
    this.#selectSize = db.prepare('SELECT size FROM blobs WHERE sha256 = ?');
    this.#selectRow = db.prepare('SELECT size, bytes FROM blobs WHERE sha256 = ?');
    this.#insert = db.prepare('INSERT OR IGNORE INTO blobs (sha256, size, rank, unsynced_boot, bytes) VALUES (?, ?, ?, ?, ?)');
    this.#markSynced = db.prepare('UPDATE blobs SET unsynced_boot = NULL WHERE sha256 = ?');
    this.#setRank = db.prepare('UPDATE blobs SET rank = ? WHERE sha256 = ?');
    this.#deleteRow = db.prepare('DELETE FROM blobs WHERE sha256 = ?');
    this.#selectLowest = db.prepare('SELECT sha256, size, rank FROM blobs ORDER BY rank LIMIT ?');
    this.#selectAfter = db.prepare('SELECT sha256, size FROM blobs WHERE sha256 > ? ORDER BY sha256 LIMIT ?');
  }

  /** Opens or creates the store in a directory that is its own, and removes what an interrupted run left. */
  static async open(options: BlobStoreOptions): Promise<BlobStore> {
    await mkdir(join(options.dir, 'files'), { recursive: true });
    await rm(join(options.dir, 'incoming'), { recursive: true, force: true });
    await mkdir(join(options.dir, 'incoming'), { recursive: true });
    const db = new DatabaseSync(join(options.dir, 'blobs.db'));
    db.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = ${options.durability === 'full' ? 'FULL' : 'NORMAL'};
      PRAGMA busy_timeout = 5000;
      CREATE TABLE IF NOT EXISTS blobs (
        sha256 TEXT PRIMARY KEY,
        size INTEGER NOT NULL,
        rank REAL NOT NULL,
        unsynced_boot TEXT,     -- the boot in which a file was written that has not been synced since
        bytes BLOB              -- NULL: in files/
      ) WITHOUT ROWID;
      CREATE INDEX IF NOT EXISTS blobs_rank ON blobs (rank, size);
    `);
    const store = new BlobStore(options, db);
    await store.#recover();
    return store;
  }

  /** Forgets files the system may not have written before a power cut, and removes files that no row names. */
  async #recover(): Promise<void> {
    const doubtful = this.#db
      .prepare('SELECT sha256 FROM blobs WHERE unsynced_boot IS NOT NULL AND unsynced_boot <> ?')
      .all(this.#bootId) as { sha256: string }[];
    for (const { sha256 } of doubtful) this.#deleteRow.run(sha256);
    const filesDir = join(this.#dir, 'files');
    for (const shard of await readdir(filesDir)) {
      for (const name of await readdir(join(filesDir, shard))) {
        const row = this.#selectRow.get(name) as Row | undefined;
        if (row === undefined || row.bytes !== null) await rm(join(filesDir, shard, name), { force: true });
      }
    }
    const sums = this.#db.prepare('SELECT count(*) AS count, coalesce(sum(size), 0) AS bytes FROM blobs').get() as {
      count: number;
      bytes: number;
    };
    this.#count = sums.count;
    this.#bytes = sums.bytes;
  }

  /** What is held: blobs, and their bytes. */
  get totals(): { readonly count: number; readonly bytes: number } {
    return { count: this.#count, bytes: this.#bytes };
  }

  has(sha256: string): boolean {
    return this.#selectSize.get(sha256) !== undefined;
  }

  /** Size in bytes, undefined when not held. */
  size(sha256: string): number | undefined {
    return (this.#selectSize.get(sha256) as { size: number } | undefined)?.size;
  }

  /**
   * Opens a blob for reading. What is open stays readable after a delete. Close it.
   * @throws {BlobMissingError}
   */
  async reader(sha256: string): Promise<BlobReader> {
    const row = this.#selectRow.get(sha256) as Row | undefined;
    if (row === undefined) throw new BlobMissingError(sha256);
    if (row.bytes !== null) return new BlobReader({ sha256, size: row.size }, row.bytes, undefined);
    try {
      const file = await this.#operate('BLOB_READ:OPEN', () => open(this.#pathOf(sha256), 'r'));
      return new BlobReader({ sha256, size: row.size }, undefined, file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      // Somebody removed the file behind our back: stop claiming it.
      this.delete(sha256);
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

  /** Stores bytes that are in memory. With `expectedSha256`, refuses other bytes. @throws {BlobMismatchError | DiskFullError} */
  async put(bytes: Uint8Array, expectedSha256?: string, rank = 0): Promise<BlobRef> {
    const writer = this.writer(rank);
    try {
      await writer.write(bytes);
      return await writer.finish(expectedSha256 === undefined ? undefined : { sha256: expectedSha256, size: bytes.byteLength });
    } finally {
      await writer.discard();
    }
  }

  /** Begins a blob whose name is not known yet. `rank` orders it among all (see {@link lowest}). */
  writer(rank = 0): BlobWriter {
    return new BlobWriter({
      temporaryPath: join(this.#dir, 'incoming', randomUUID()),
      operate: this.#operate,
      durable: this.#durable,
      commitInline: (ref, bytes) => this.#commitRow(ref, bytes, rank),
      commitFile: async (ref, temporaryPath) => {
        const path = this.#pathOf(ref.sha256);
        await mkdir(join(path, '..'), { recursive: true });
        await this.#operate('BLOB_COMMIT:RENAME', () => rename(temporaryPath, path));
        if (this.#durable) await this.#syncDirectory(join(path, '..'));
        await this.#commitRow(ref, null, rank);
        if (!this.#durable) void this.#syncLater(ref.sha256, path);
      },
    });
  }

  async #syncDirectory(path: string): Promise<void> {
    const directory = await open(path, 'r');
    try {
      await this.#operate('BLOB_COMMIT:SYNC_DIRECTORY', () => directory.sync());
    } finally {
      await directory.close();
    }
  }

  /** Syncs a file after its row is there. Until this is done a start in another boot forgets the row. */
  async #syncLater(sha256: string, path: string): Promise<void> {
    try {
      const file = await open(path, 'r');
      try {
        await file.sync();
      } finally {
        await file.close();
      }
      if (this.#db.isOpen) this.#markSynced.run(sha256);
    } catch {
      // Deleted meanwhile, or a failing disk: the row stays marked and is forgotten after a power cut.
    }
  }

  /** Rows that are committed in the same turn of the event loop share one transaction, so one sync serves many. */
  #commitRow(ref: BlobRef, bytes: Uint8Array | null, rank: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ ref, bytes, rank, resolve, reject });
      if (this.#pending.length === 1) setImmediate(() => this.#flush());
    });
  }

  #flush(): void {
    const rows = this.#pending;
    this.#pending = [];
    let added = 0;
    let addedBytes = 0;
    try {
      this.#operate('BLOB_COMMIT:TRANSACTION', () => {
        this.#db.exec('BEGIN IMMEDIATE');
        try {
          for (const { ref, bytes, rank } of rows) {
            const unsynced = bytes === null && !this.#durable ? this.#bootId : null;
            if (this.#insert.run(ref.sha256, ref.size, rank, unsynced, bytes).changes === 0) continue;
            added += 1;
            addedBytes += ref.size;
          }
          this.#db.exec('COMMIT');
        } catch (error) {
          if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
          throw error;
        }
      });
    } catch (error) {
      for (const row of rows) row.reject(fromDiskError(error));
      return;
    }
    this.#count += added;
    this.#bytes += addedBytes;
    for (const row of rows) row.resolve();
  }

  /** Forgets a blob. Returns the bytes that became free, 0 when it was not held. */
  delete(sha256: string): number {
    const row = this.#selectRow.get(sha256) as Row | undefined;
    if (row === undefined) return 0;
    this.#operate('BLOB_DELETE:ROW', () => this.#deleteRow.run(sha256));
    this.#count -= 1;
    this.#bytes -= row.size;
    if (row.bytes === null) void this.#operate('BLOB_DELETE:FILE', () => rm(this.#pathOf(sha256), { force: true })).catch(() => {});
    return row.size;
  }

  /** Sets the ranks of blobs: higher is kept longer. */
  setRanks(ranks: Iterable<readonly [sha256: string, rank: number]>): void {
    this.#db.exec('BEGIN IMMEDIATE');
    for (const [sha256, rank] of ranks) this.#setRank.run(rank, sha256);
    this.#db.exec('COMMIT');
  }

  /** The `count` blobs of the lowest rank, lowest first. */
  lowest(count: number): (BlobRef & { readonly rank: number })[] {
    return this.#selectLowest.all(count) as unknown as (BlobRef & { rank: number })[];
  }

  /** A page of what is held, by name; ask again after the last one. */
  list(afterSha256 = '', limit = 1000): BlobRef[] {
    return this.#selectAfter.all(afterSha256, limit) as unknown as BlobRef[];
  }

  close(): void {
    if (this.#pending.length > 0) this.#flush();
    this.#db.close();
  }

  #pathOf(sha256: string): string {
    return join(this.#dir, 'files', sha256.slice(0, 2), sha256);
  }
}

/** An open blob. */
export class BlobReader {
  readonly ref: BlobRef;
  readonly #bytes: Uint8Array | undefined;
  readonly #file: FileHandle | undefined;

  constructor(ref: BlobRef, bytes: Uint8Array | undefined, file: FileHandle | undefined) {
    this.ref = ref;
    this.#bytes = bytes;
    this.#file = file;
  }

  /** Bytes `offset … offset+length-1`, fewer at the end of the blob. @throws {BlobMismatchError} when the file is shorter than its row says */
  async read(offset: number, length: number): Promise<Uint8Array> {
    const wanted = Math.max(0, Math.min(length, this.ref.size - offset));
    if (this.#bytes !== undefined) return this.#bytes.subarray(offset, offset + wanted);
    const buffer = Buffer.allocUnsafeSlow(wanted);
    let filled = 0;
    while (filled < wanted) {
      const { bytesRead } = await (this.#file as FileHandle).read(buffer, filled, wanted - filled, offset + filled);
      if (bytesRead === 0) throw new BlobMismatchError(`the file of blob ${this.ref.sha256} is shorter than ${this.ref.size} bytes`);
      filled += bytesRead;
    }
    return buffer;
  }

  /** Bytes `start … end` (inclusive) in pieces. */
  async *chunks(start: number, end: number, chunkBytes = 256 * 1024): AsyncGenerator<Uint8Array> {
    for (let offset = start; offset <= end; offset += chunkBytes) yield await this.read(offset, Math.min(chunkBytes, end - offset + 1));
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }
}

interface WriterOptions {
  readonly temporaryPath: string;
  readonly operate: Operate;
  readonly durable: boolean;
  readonly commitInline: (ref: BlobRef, bytes: Uint8Array) => Promise<void>;
  readonly commitFile: (ref: BlobRef, temporaryPath: string) => Promise<void>;
}

/** Takes bytes in order, hashing as they come; in memory while small, in a temporary file from then on. */
export class BlobWriter {
  readonly #options: WriterOptions;
  readonly #hash: Hash = createHash('sha256');
  #buffered: Uint8Array[] = [];
  #file: FileHandle | undefined;
  #size = 0;
  #ended = false;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /** Bytes taken so far. */
  get size(): number {
    return this.#size;
  }

  /** Appends a copy-free chunk: do not change it afterwards. One call at a time. @throws {DiskFullError} */
  async write(chunk: Uint8Array): Promise<void> {
    this.#hash.update(chunk);
    this.#size += chunk.byteLength;
    try {
      if (this.#file !== undefined) return await this.#append(chunk);
      this.#buffered.push(chunk);
      if (this.#size <= INLINE_MAX_BYTES) return;
      this.#file = await this.#options.operate('BLOB_WRITE:CREATE', () => open(this.#options.temporaryPath, 'wx'));
      for (const piece of this.#buffered.splice(0)) await this.#append(piece);
    } catch (error) {
      throw fromDiskError(error);
    }
  }

  async #append(chunk: Uint8Array): Promise<void> {
    let written = 0;
    while (written < chunk.byteLength) {
      const { bytesWritten } = await this.#options.operate('BLOB_WRITE:WRITE', () => (this.#file as FileHandle).write(chunk, written));
      written += bytesWritten;
    }
  }

  /**
   * Makes the bytes part of the store.
   * @throws {BlobMismatchError} when they are not `expected`; nothing is kept
   * @throws {DiskFullError}
   */
  async finish(expected?: BlobRef): Promise<BlobRef> {
    const ref: BlobRef = { sha256: this.#hash.digest('hex'), size: this.#size };
    if (expected !== undefined && (expected.sha256 !== ref.sha256 || expected.size !== ref.size)) {
      await this.discard();
      throw new BlobMismatchError(`expected ${expected.size} bytes with SHA-256 ${expected.sha256}, got ${ref.size} with ${ref.sha256}`);
    }
    try {
      if (this.#file === undefined) {
        await this.#options.commitInline(
          ref,
          this.#buffered.length === 1 ? (this.#buffered[0] as Uint8Array) : Buffer.concat(this.#buffered),
        );
      } else {
        if (this.#options.durable) await this.#options.operate('BLOB_COMMIT:SYNC', () => (this.#file as FileHandle).datasync());
        await this.#file.close();
        this.#file = undefined;
        await this.#options.commitFile(ref, this.#options.temporaryPath);
      }
    } catch (error) {
      throw fromDiskError(error);
    }
    this.#ended = true;
    return ref;
  }

  /** Drops what was written. Harmless after `finish`. */
  async discard(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.#buffered = [];
    await this.#file?.close();
    this.#file = undefined;
    await rm(this.#options.temporaryPath, { force: true });
  }
}

/** Changes with each start of the machine. Where there is no such thing every start counts as another one. */
function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return randomUUID();
  }
}
