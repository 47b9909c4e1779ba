/**
 * Content-addressed bytes on disk. Invariant: a blob that the store says it holds has exactly the bytes its name says, also after a
 * power cut.
 *
 * Small blobs live in SQLite (one transaction, no inode, no fsync of their own), larger ones in files named by their checksum. A
 * file is complete before its row is committed, so whatever has no row is garbage that the next start removes. The rows are in
 * `blob-table.ts`.
 */
import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlockDigests } from '@sluice/contracts';
import { isDatabaseDamaged, removeDatabase } from '@sluice/sqlite';
import { databasePathIn, filePathIn } from './blob-paths.ts';
import { BlobReader } from './blob-reader.ts';
import type { BlobRef } from './blob-ref.ts';
import { type BlobRow, BlobTable } from './blob-table.ts';
import { BlobWriter } from './blob-writer.ts';
import { readBootId } from './boot-id.ts';
import { BlobDamagedError, BlobMismatchError, BlobMissingError, fromDiskError } from './errors.ts';
import { IncomingFile } from './incoming-file.ts';
import { KeyLock } from './key-lock.ts';
import { LogSync } from './log-sync.ts';
import { type Operate, operate as operatePlainly } from './operate.ts';
import { RowCommits } from './row-commits.ts';
import { checksOfFile, haveName } from './stored-bytes.ts';

/** Files are spread over one directory for each first byte of their name. */
const SHARDS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** How long the files of a relaxed store may wait for their sync. */
const SYNC_DELAY_MS = 2_000;
/** Failures to read that say nothing of the disk. */
const OF_THE_PROCESS: ReadonlySet<string | undefined> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN']);
/** Blobs marked as damaged. One more is not marked, and found again when it is read. */
export const DAMAGED_MAX = 10_000;

export interface BlobStoreOptions {
  readonly dir: string;
  /**
   * `full`: what `finish` returned survives a power cut. `relaxed`: it survives the death of the process; what the system had not
   * written before a power cut is forgotten as a whole (for caches).
   */
  readonly durability: 'full' | 'relaxed';
  readonly operate?: Operate;
  /** Told of a blob whose bytes on this disk are not what they were when they are read; see {@link BlobStore.verify}. */
  readonly onDamaged?: (sha256: string) => void;
  /**
   * For stores whose bytes are elsewhere too: told that the database of the store is damaged. One that cannot be opened is begun anew after that, without what it held; of one that is open
   * whoever hears it calls {@link BlobStore.startOver}, in a later turn. Without it such a store is not opened.
   */
  readonly onDatabaseDamaged?: (error: unknown) => void;
}

/** `unreadable` is the disk's word for it, undefined when it gave other bytes. */
export type Verdict =
  | { readonly kind: 'right'; readonly size: number }
  | { readonly kind: 'gone' }
  | { readonly kind: 'damaged'; readonly size: number; readonly unreadable: unknown };

export class BlobStore {
  readonly #dir: string;
  readonly #durable: boolean;
  readonly #operate: Operate;
  readonly #table: BlobTable;
  readonly #log: LogSync | undefined;
  readonly #rows: RowCommits;
  readonly #bootId = readBootId();
  /** Whatever touches the file of a name happens in order: a removal never takes a file that was committed after it. */
  readonly #files = new KeyLock();
  /** The directories under `files`, at most 256, each with the promise that it is there. */
  readonly #shards = new Map<string, Promise<void>>();
  #syncing = false;
  #syncWanted = false;
  #count = 0;
  #bytes = 0;
  readonly #onDamaged: (sha256: string) => void;
  readonly #damaged = new Set<string>();

  private constructor(options: BlobStoreOptions) {
    this.#dir = options.dir;
    this.#durable = options.durability === 'full';
    this.#onDamaged = options.onDamaged ?? (() => {});
    this.#operate = options.operate ?? operatePlainly;
    this.#table = openTable(this.databasePath, options.onDatabaseDamaged);
    this.#log = this.#durable ? new LogSync(this.databasePath, this.#table, this.#operate) : undefined;
    this.#rows = new RowCommits({
      ...{ table: this.#table, log: this.#log, operate: this.#operate },
      onChange: (count, bytes) => {
        this.#count += count;
        this.#bytes += bytes;
      },
    });
  }

  /** Opens or creates the store in a directory that is its own, and removes what an interrupted run left. */
  static async open(options: BlobStoreOptions): Promise<BlobStore> {
    const filesDir = join(options.dir, 'files');
    await mkdir(filesDir, { recursive: true });
    const { operate = operatePlainly } = options;
    await operate('BLOB_OPEN:CLEAR_INCOMING', () => rm(join(options.dir, 'incoming'), { recursive: true, force: true }));
    await mkdir(join(options.dir, 'incoming'), { recursive: true });
    const store = new BlobStore(options);
    await store.#syncPath('BLOB_OPEN:SYNC_DIRECTORY', filesDir);
    await store.#syncPath('BLOB_OPEN:SYNC_DIRECTORY', options.dir);
    try {
      await store.#recover();
    } catch (error) {
      if (options.onDatabaseDamaged === undefined || !isDatabaseDamaged(error)) throw error;
      options.onDatabaseDamaged(error);
      await store.startOver();
    }
    return store;
  }

  /** Gives up all that is held, because the database that says what that is cannot be read. Who reads goes on reading. */
  async startOver(): Promise<void> {
    this.#table.startOver();
    this.#count = 0;
    this.#bytes = 0;
    this.#damaged.clear();
    for (const shard of SHARDS) {
      const names = await readdir(join(this.#dir, 'files', shard)).catch(() => []);
      for (const sha256 of names) await this.#files.run(sha256, () => this.#removeFile(sha256)).catch(() => {});
    }
  }

  /** Brings rows and files together: forgets rows whose bytes a power cut may have taken, removes files that no row names. */
  async #recover(): Promise<void> {
    this.#operate('BLOB_OPEN:FORGET_UNSYNCED', () => this.#table.forgetUnsyncedBefore(this.#bootId));
    const existing = new Set(await readdir(join(this.#dir, 'files')));
    for (const shard of SHARDS) {
      const directory = join(this.#dir, 'files', shard);
      const found = new Set(existing.has(shard) ? await readdir(directory) : []);
      if (existing.has(shard)) this.#shards.set(shard, Promise.resolve());
      // "g" comes after every hexadecimal digit.
      for (const sha256 of this.#table.namesOfFiles(shard, `${shard}g`)) {
        if (!found.delete(sha256)) this.#operate('BLOB_OPEN:FORGET_ROW', () => this.#table.delete(sha256));
      }
      for (const garbage of found) {
        await this.#operate('BLOB_OPEN:REMOVE_FILE', () => rm(join(directory, garbage), { recursive: true, force: true }));
      }
    }
    for (const sha256 of this.#table.damaged(DAMAGED_MAX)) this.#damaged.add(sha256);
    const { count, bytes } = this.#table.totals();
    this.#count = count;
    this.#bytes = bytes;
    this.#syncInBackground();
  }

  /** Where the database is, for a checkpointer. */
  get databasePath(): string {
    return databasePathIn(this.#dir);
  }

  /** What is held: blobs, and their bytes. */
  get totals(): { readonly count: number; readonly bytes: number } {
    return { count: this.#count, bytes: this.#bytes };
  }

  /** Whether a blob can be read: it is listed, and not marked as damaged. */
  has(sha256: string): boolean {
    return this.#lists(sha256) && !this.#damaged.has(sha256);
  }

  #lists(sha256: string): boolean {
    return this.#table.size(sha256) !== undefined;
  }

  /** Size in bytes, undefined when not held. */
  size(sha256: string): number | undefined {
    return this.#table.size(sha256);
  }

  /**
   * Opens a blob for reading. What is open stays readable after a delete. Close it.
   * @throws {BlobMissingError | BlobDamagedError}
   */
  async reader(sha256: string): Promise<BlobReader> {
    const row = this.#table.row(sha256);
    if (row === undefined) throw new BlobMissingError(sha256);
    if (this.#damaged.has(sha256)) throw new BlobDamagedError(sha256);
    if (row.bytes !== null) {
      if (!haveName(row.bytes, sha256)) {
        this.#onDamaged(sha256);
        throw new BlobDamagedError(sha256);
      }
      return new BlobReader({ sha256, size: row.size }, row.bytes, undefined);
    }
    const file = (await this.#openFile(sha256)) ?? (await this.#files.run(sha256, () => this.#openFileOrForget(sha256)));
    return new BlobReader({ sha256, size: row.size }, undefined, file, { checks: this.#table.checks(sha256), onDamaged: this.#onDamaged });
  }

  /**
   * Reads all bytes of a blob and compares them with its name. `afterPiece` is awaited after each piece, with its bytes. The checksums by which reads are checked are made where they are missing.
   * Nothing is dropped: whoever asks decides that. @throws what `afterPiece` throws, and where this process is short of something
   */
  async verify(sha256: string, afterPiece: (bytes: number) => Promise<void> = async () => {}): Promise<Verdict> {
    const row = this.#table.row(sha256);
    if (row === undefined) return { kind: 'gone' };
    const { size, bytes } = row;
    if (bytes !== null) {
      await afterPiece(bytes.byteLength);
      return haveName(bytes, sha256) ? { kind: 'right', size } : { kind: 'damaged', size, unreadable: undefined };
    }
    let checks: Uint8Array | undefined;
    let unreadable: unknown;
    let isInterrupted = false;
    const piece = (read: number): Promise<void> =>
      afterPiece(read).catch((error) => {
        isInterrupted = true;
        throw error;
      });
    try {
      const file = await this.#operate('BLOB_VERIFY:OPEN', () => open(this.#pathOf(sha256), 'r'));
      try {
        checks = await this.#operate('BLOB_VERIFY:READ', () => checksOfFile(file, { sha256, size }, piece));
      } finally {
        await file.close();
      }
    } catch (error) {
      if (isInterrupted || OF_THE_PROCESS.has((error as NodeJS.ErrnoException).code)) throw error;
      unreadable = error;
    }
    if (!this.#table.isOpen || !this.#lists(sha256)) return { kind: 'gone' };
    if (checks === undefined) return { kind: 'damaged', size, unreadable };
    if (!Buffer.from(checks).equals(this.#table.checks(sha256) ?? new Uint8Array())) this.#table.setChecks(sha256, checks);
    return { kind: 'right', size };
  }

  /** Takes a blob for damaged: it is listed, but not read, until its bytes are stored anew, also after a restart. For stores whose bytes may be the only ones. */
  markDamaged(sha256: string): void {
    if (!this.#lists(sha256) || this.#damaged.has(sha256) || this.#damaged.size >= DAMAGED_MAX) return;
    this.#damaged.add(sha256);
    this.#operate('BLOB_DAMAGED:ROW', () => this.#table.setDamaged(sha256, true));
  }

  /** It was read again and is right after all. */
  unmarkDamaged(sha256: string): void {
    if (!this.#damaged.delete(sha256)) return;
    this.#operate('BLOB_DAMAGED:ROW', () => this.#table.setDamaged(sha256, false));
  }

  /** The names of blobs that are listed and damaged, those found first first. */
  get damaged(): ReadonlySet<string> {
    return this.#damaged;
  }

  async #openFile(sha256: string): Promise<FileHandle | undefined> {
    try {
      return await this.#operate('BLOB_READ:OPEN', () => open(this.#pathOf(sha256), 'r'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** The second look, with nothing else going on under this name: if the file is still missing, somebody removed it behind our back. */
  async #openFileOrForget(sha256: string): Promise<FileHandle> {
    const file = this.#lists(sha256) ? await this.#openFile(sha256) : undefined;
    if (file !== undefined) return file;
    this.delete(sha256);
    throw new BlobMissingError(sha256);
  }

  /** The whole of a blob, verified; for small ones. @throws {BlobMissingError | BlobDamagedError} */
  async readAll(sha256: string): Promise<Uint8Array> {
    const reader = await this.reader(sha256);
    try {
      const bytes = await reader.read(0, reader.ref.size);
      if (reader.isChecked || haveName(bytes, sha256)) return bytes;
      this.#onDamaged(sha256);
      throw new BlobDamagedError(sha256);
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
      commitFile: (ref, temporaryPath, checks) => this.#files.run(ref.sha256, () => this.#commitFile(ref, temporaryPath, rank, checks)),
    });
  }

  /** A file that is to become a large blob, written here or by somebody else. `discard` it in the end; harmless after `adopt`. */
  incoming(): IncomingFile {
    const path = join(this.#dir, 'incoming', randomUUID());
    return new IncomingFile(path, this.#operate, async (ref, rank, checks) => {
      if ((await stat(path)).size !== ref.size) throw new BlobMismatchError(`the file does not have ${ref.size} bytes`);
      if (this.#durable) await this.#syncPath('BLOB_COMMIT:SYNC', path);
      await this.#files.run(ref.sha256, () => this.#commitFile(ref, path, rank, checks));
    });
  }

  async #commitFile(ref: BlobRef, temporaryPath: string, rank: number, checks: Uint8Array): Promise<void> {
    // Never in the place of a file whose row is there: that one may be safe on disk already, while this one may not.
    if (await this.#holdsFile(ref)) return this.#operate('BLOB_COMMIT:DROP_TEMPORARY', () => rm(temporaryPath, { force: true }));
    const path = this.#pathOf(ref.sha256);
    try {
      await this.#ensureShard(ref.sha256.slice(0, 2));
      await this.#operate('BLOB_COMMIT:RENAME', () => rename(temporaryPath, path));
      if (this.#durable) await this.#syncPath('BLOB_COMMIT:SYNC_DIRECTORY', join(path, '..'));
      await this.#commitRow(ref, null, rank, checks);
    } catch (error) {
      // What stays here all the same is garbage without a row; the next start removes it.
      if (this.#table.isOpen && !this.#lists(ref.sha256)) await this.#undoFile(path).catch(() => {});
      throw error;
    }
    this.#syncInBackground();
  }

  async #undoFile(path: string): Promise<void> {
    await this.#operate('BLOB_COMMIT:UNDO', () => rm(path, { force: true }));
  }

  /** Whether row and file are there. Forgets a row whose file is not, or is damaged. */
  async #holdsFile({ sha256, size }: BlobRef): Promise<boolean> {
    if (!this.#lists(sha256)) return false;
    if (this.#damaged.has(sha256)) this.#forgetRow(sha256);
    const found = await this.#sizeOfFile(sha256);
    if (found !== size) this.#forgetRow(sha256);
    return this.#lists(sha256);
  }

  /** Makes a shard's directory, once; whoever commits to it waits until it is safe too. */
  #ensureShard(shard: string): Promise<void> {
    const known = this.#shards.get(shard);
    if (known !== undefined) return known;
    const made = this.#makeShard(shard);
    this.#shards.set(shard, made);
    made.catch(() => this.#shards.delete(shard));
    return made;
  }

  async #makeShard(shard: string): Promise<void> {
    await this.#operate('BLOB_COMMIT:CREATE_DIRECTORY', () => mkdir(join(this.#dir, 'files', shard), { recursive: true }));
    if (this.#durable) await this.#syncPath('BLOB_COMMIT:SYNC_DIRECTORY', join(this.#dir, 'files'));
  }

  async #sizeOfFile(sha256: string): Promise<number | undefined> {
    try {
      return (await this.#operate('BLOB_COMMIT:STAT', () => stat(this.#pathOf(sha256)))).size;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Syncs a file or directory. */
  async #syncPath(label: string, path: string): Promise<void> {
    const handle = await open(path, 'r');
    try {
      await this.#operate(label, () => handle.sync());
    } finally {
      await handle.close();
    }
  }

  /** Syncs files after their rows are there, one at a time. Until this is done a start in another boot forgets the row. */
  #syncInBackground(): void {
    this.#syncWanted = !this.#durable;
    if (!this.#syncWanted || this.#syncing) return;
    this.#syncing = true;
    void this.#syncAll().finally(() => {
      this.#syncing = false;
    });
  }

  async #syncAll(): Promise<void> {
    // A burst passes first: syncing beside it would only hold it up.
    await new Promise((resolve) => setTimeout(resolve, SYNC_DELAY_MS).unref());
    while (this.#syncWanted) {
      this.#syncWanted = false;
      for (let last: string | undefined = ''; last !== undefined && this.#table.isOpen; ) last = await this.#syncNext(last);
    }
  }

  /** Syncs the first unsynced file after a name. Returns its name, undefined when there was none. */
  async #syncNext(after: string): Promise<string | undefined> {
    const next = this.#table.unsyncedAfter(after, this.#bootId);
    // A deleted file or a failing disk: the row stays marked and is forgotten after a power cut.
    if (next !== undefined) await this.#files.run(next, () => this.#syncFile(next)).catch(() => {});
    return next;
  }

  async #syncFile(sha256: string): Promise<void> {
    const file = await open(this.#pathOf(sha256), 'r');
    try {
      await this.#operate('BLOB_SYNC:FILE', () => file.sync());
    } finally {
      await file.close();
    }
    // Its directory is not synced: a file that a power cut takes away as a whole is missed by the next start.
    if (this.#table.isOpen) this.#operate('BLOB_SYNC:ROW', () => this.#table.markSynced(sha256));
  }

  #commitRow(ref: BlobRef, bytes: Uint8Array | null, rank: number, checks?: Uint8Array): Promise<void> {
    // These bytes are right: they come in the place of the damaged ones.
    if (this.#damaged.has(ref.sha256)) this.#forgetRow(ref.sha256);
    return this.#rows.add({ ...ref, rank, unsyncedBoot: bytes === null && !this.#durable ? this.#bootId : null, bytes, checks });
  }

  /** Forgets a blob. Returns the bytes that became free, 0 when it was not held. */
  delete(sha256: string): number {
    const row = this.#forgetRow(sha256);
    if (row === undefined) return 0;
    // A file that cannot be removed now is garbage without a row; the next start removes it.
    if (row.bytes === null) void this.#files.run(sha256, () => this.#removeFile(sha256)).catch(() => {});
    return row.size;
  }

  #forgetRow(sha256: string): BlobRow | undefined {
    const row = this.#table.row(sha256);
    if (row === undefined) return undefined;
    this.#operate('BLOB_DELETE:ROW', () => this.#table.delete(sha256));
    this.#damaged.delete(sha256);
    this.#count -= 1;
    this.#bytes -= row.size;
    return row;
  }

  /** Removes the file of a name, unless the name has come back since. */
  async #removeFile(sha256: string): Promise<void> {
    if (!this.#table.isOpen || this.#lists(sha256)) return;
    await this.#operate('BLOB_DELETE:FILE', () => rm(this.#pathOf(sha256), { force: true }));
  }

  /** Where the bytes of a large blob are, for who reads them in another thread. What is open there stays readable after a delete. */
  filePath(sha256: string): string {
    return this.#pathOf(sha256);
  }

  /** The digests of the blocks of a large blob, when they were noted. */
  blockDigests(sha256: string): BlockDigests | undefined {
    return this.#table.blockDigests(sha256);
  }

  /** Notes them until the blob is deleted; nothing happens when it is not held. Whoever calls has verified that they are those of the blob. @throws {DiskFullError} */
  setBlockDigests(sha256: string, blocks: BlockDigests): void {
    try {
      this.#operate('BLOCK_DIGESTS:ROW', () => this.#table.setBlockDigests(sha256, blocks));
    } catch (error) {
      throw fromDiskError(error);
    }
  }

  /** Sets the ranks of blobs: higher is kept longer. All or, when one is no number, none. */
  setRanks(ranks: Iterable<readonly [sha256: string, rank: number]>): void {
    this.#operate('BLOB_RANK:TRANSACTION', () => this.#setRanks(ranks));
  }

  #setRanks(ranks: Iterable<readonly [sha256: string, rank: number]>): void {
    this.#table.transact(() => {
      for (const [sha256, rank] of ranks) this.#table.setRank(sha256, rank);
    });
  }

  /** The `count` blobs of the lowest rank, lowest first. */
  lowest(count: number): (BlobRef & { readonly rank: number })[] {
    return this.#table.lowest(count);
  }

  /** A page of what is held, by name; ask again after the last one. */
  list(afterSha256 = '', limit = 1000): BlobRef[] {
    return this.#table.after(afterSha256, limit);
  }

  close(): void {
    this.#rows.close();
    this.#log?.close();
    this.#table.close();
  }

  #pathOf(sha256: string): string {
    return filePathIn(this.#dir, sha256);
  }
}

/** @throws {DatabaseDamagedError} and what SQLite says of a database that is damaged, where that is nobody's to give up */
function openTable(path: string, onDamaged: ((error: unknown) => void) | undefined): BlobTable {
  try {
    return new BlobTable(path, onDamaged);
  } catch (error) {
    if (onDamaged === undefined || !isDatabaseDamaged(error)) throw error;
    onDamaged(error);
    removeDatabase(path);
    return new BlobTable(path, onDamaged);
  }
}
