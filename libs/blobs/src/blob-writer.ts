import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import type { BlobRef } from './blob-ref.ts';
import { BlockChecks } from './block-checks.ts';
import { BlobMismatchError, fromDiskError } from './errors.ts';
import type { Operate } from './operate.ts';
import { removeTemporary } from './temporary.ts';

/** Largest blob that is kept inside the database. Measured: below 64 KiB a row costs less CPU than a file with fsync and rename. */
export const INLINE_MAX_BYTES = 64 * 1024;

interface WriterOptions {
  readonly temporaryPath: string;
  readonly operate: Operate;
  readonly durable: boolean;
  readonly commitInline: (ref: BlobRef, bytes: Uint8Array) => Promise<void>;
  readonly commitFile: (ref: BlobRef, temporaryPath: string, checks: Uint8Array) => Promise<void>;
}

/** Most pieces of one call, https://man7.org/linux/man-pages/man2/writev.2.html */
const IOV_MAX = 1024;
/** Bytes that go to the file in one call: with 64 KiB pieces a call for each would cost more than the writing. */
const BATCH_BYTES = 1024 * 1024;

/** Takes bytes in order, hashing as they come; in memory while small, in a temporary file from then on. */
export class BlobWriter {
  readonly #options: WriterOptions;
  readonly #hash: Hash = createHash('sha256');
  /** Of what is in the file. */
  readonly #checks = new BlockChecks();
  /** What is not in the file yet: all of it while small, then less than a batch. */
  #buffered: Uint8Array[] = [];
  #bufferedBytes = 0;
  /** Those of them that are this writer's own. */
  #given: Uint8Array[] = [];
  #file: FileHandle | undefined;
  #size = 0;
  #ref: BlobRef | undefined;
  #failed = false;
  #isForgone = false;
  #ended = false;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /** Bytes taken so far. */
  get size(): number {
    return this.#size;
  }

  /**
   * Appends a copy-free chunk: do not change it afterwards. `given`: and do not read it either, its memory is given back when it is in the file. One call at
   * a time. @throws {DiskFullError}
   */
  async write(chunk: Uint8Array, given = false): Promise<void> {
    this.#hash.update(chunk);
    if (given) this.#given.push(chunk);
    this.#size += chunk.byteLength;
    if (this.#isForgone) return;
    this.#buffered.push(chunk);
    this.#bufferedBytes += chunk.byteLength;
    if (this.#bufferedBytes <= (this.#file === undefined ? INLINE_MAX_BYTES : BATCH_BYTES)) return;
    await this.#flush();
  }

  /** Brings what is buffered into the file, which is created when it is the first time. */
  async #flush(): Promise<void> {
    const { operate, temporaryPath } = this.#options;
    try {
      this.#file ??= await operate('BLOB_WRITE:CREATE', () => open(temporaryPath, 'wx'));
      while (this.#buffered.length > 0) await this.#append(this.#buffered.splice(0, IOV_MAX));
      this.#bufferedBytes = 0;
      for (const chunk of this.#given.splice(0)) giveBack(chunk);
    } catch (error) {
      this.#failed = true;
      throw fromDiskError(error);
    }
  }

  async #append(pieces: Uint8Array[]): Promise<void> {
    const file = this.#file as FileHandle;
    for (const piece of pieces) this.#checks.update(piece);
    const { bytesWritten } = await this.#options.operate('BLOB_WRITE:WRITE', () => file.writev(pieces));
    let rest = bytesWritten;
    for (const piece of pieces) {
      // A write may take less than it was given, for example just before the disk is full: what is left goes piece by piece.
      let written = Math.min(rest, piece.byteLength);
      rest -= written;
      while (written < piece.byteLength) {
        const from = written;
        written += (await this.#options.operate('BLOB_WRITE:WRITE', () => file.write(piece, from))).bytesWritten;
      }
    }
  }

  /** Keeps nothing, neither of what was written nor of what will be: it is only named, by {@link seal}. For bytes that cannot be kept and cannot be had twice. */
  async forgo(): Promise<void> {
    this.#isForgone = true;
    await this.#drop();
  }

  /** The name of what was written, before it becomes part of the store. Nothing can be written after that. */
  seal(): BlobRef {
    this.#ref ??= { sha256: this.#hash.digest('hex'), size: this.#size };
    return this.#ref;
  }

  /**
   * Makes the bytes part of the store.
   * @throws {BlobMismatchError} when they are not `expected`, or when a write failed before; nothing is kept
   * @throws {DiskFullError}
   */
  async finish(expected?: BlobRef): Promise<BlobRef> {
    const ref = await this.#verify(expected);
    try {
      if (this.#file === undefined) {
        await this.#options.commitInline(
          ref,
          this.#buffered.length === 1 ? (this.#buffered[0] as Uint8Array) : Buffer.concat(this.#buffered),
        );
      } else {
        await this.#flush();
        if (this.#options.durable) await this.#options.operate('BLOB_COMMIT:SYNC', () => (this.#file as FileHandle).datasync());
        await this.#file.close();
        this.#file = undefined;
        await this.#options.commitFile(ref, this.#options.temporaryPath, this.#checks.end());
      }
    } catch (error) {
      throw fromDiskError(error);
    }
    this.#ended = true;
    return ref;
  }

  async #verify(expected: BlobRef | undefined): Promise<BlobRef> {
    if (this.#failed || this.#isForgone) throw new BlobMismatchError('a write failed or the bytes were given up, so they are not complete');
    const ref = this.seal();
    if (expected === undefined || (expected.sha256 === ref.sha256 && expected.size === ref.size)) return ref;
    await this.discard();
    throw new BlobMismatchError(`expected ${expected.size} bytes with SHA-256 ${expected.sha256}, got ${ref.size} with ${ref.sha256}`);
  }

  /** Drops what was written. Harmless after `finish`. */
  async discard(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    await this.#drop();
  }

  async #drop(): Promise<void> {
    this.#buffered = [];
    this.#bufferedBytes = 0;
    this.#given = [];
    const { operate, temporaryPath } = this.#options;
    await this.#file?.close();
    this.#file = undefined;
    await removeTemporary(temporaryPath, operate);
  }
}

/**
 * Frees the memory of a chunk now. V8 counts such memory outside of its heap and collects it late, and then with collections of everything: of the processor time of a large
 * upload they were a fifth.
 */
function giveBack({ buffer, byteLength }: Uint8Array): void {
  // What is part of a larger one is not this chunk's alone.
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}
