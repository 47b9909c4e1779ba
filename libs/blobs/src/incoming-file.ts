import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import type { BlobRef } from './blob-ref.ts';
import { BlockChecks } from './block-checks.ts';
import { BlobMismatchError, fromDiskError } from './errors.ts';
import { Growth } from './growth.ts';
import type { Operate } from './operate.ts';
import { removeTemporary } from './temporary.ts';

const HASHED_PIECE_BYTES = 1024 * 1024;

/** A file that becomes a large blob when all of its bytes are there. It can be read while it grows: see {@link Growth}. */
export class IncomingFile {
  readonly path: string;
  readonly growth = new Growth();
  readonly #operate: Operate;
  readonly #adopt: (ref: BlobRef, rank: number, checks: Uint8Array) => Promise<void>;
  readonly #hash: Hash = createHash('sha256');
  readonly #appended = new BlockChecks();
  /** Of all blocks, once they are known. */
  #checks: Uint8Array | undefined;
  #hashedBytes = 0;
  #file: FileHandle | undefined;

  constructor(path: string, operate: Operate, adopt: (ref: BlobRef, rank: number, checks: Uint8Array) => Promise<void>) {
    this.path = path;
    this.#operate = operate;
    this.#adopt = adopt;
  }

  /** Whether a part of what is there was written by somebody else. */
  get hasForeignBytes(): boolean {
    return this.growth.availableBytes > this.#hashedBytes;
  }

  /** Somebody else has written these bytes, from the first to the last, and verified them. */
  vouch(): void {
    this.growth.complete();
  }

  /** The checksums of the blocks as they were when somebody else verified the whole; else they are made of the file when it is adopted. */
  noteChecks(checks: Uint8Array): void {
    this.#checks = checks;
  }

  /** Writes bytes behind those that {@link Growth} says are there, whoever wrote those. One call at a time. @throws {DiskFullError} */
  async append(chunk: Uint8Array): Promise<void> {
    const from = this.growth.availableBytes;
    try {
      // Not "a" for append: what an earlier writer has left behind the available bytes is overwritten.
      this.#file ??= await this.#operate('BLOB_WRITE:CREATE', () => open(this.path, from === 0 ? 'w+' : 'r+'));
      const file = this.#file;
      for (let written = 0; written < chunk.byteLength; ) {
        const at = written;
        written += (await this.#operate('BLOB_WRITE:WRITE', () => file.write(chunk, at, chunk.byteLength - at, from + at))).bytesWritten;
      }
    } catch (error) {
      throw fromDiskError(error);
    }
    if (this.#hashedBytes === from) {
      this.#hash.update(chunk);
      this.#appended.update(chunk);
      this.#hashedBytes += chunk.byteLength;
    }
    this.growth.advanceTo(from + chunk.byteLength);
  }

  /** Compares what was appended with what was announced. @throws {BlobMismatchError} */
  async verify(ref: BlobRef): Promise<void> {
    const bytes = this.growth.availableBytes;
    if (bytes !== ref.size) throw new BlobMismatchError(`expected ${ref.size} bytes, got ${bytes}`);
    const sha256 = this.#hashedBytes === bytes ? this.#hashOfAppended() : await this.#hashOfFile(bytes);
    if (sha256 !== ref.sha256) throw new BlobMismatchError(`expected ${ref.sha256}, got ${sha256}`);
    this.growth.complete();
  }

  #hashOfAppended(): string {
    this.#checks ??= this.#appended.end();
    return this.#hash.copy().digest('hex');
  }

  /** The beginning came from somebody else, who hashed it elsewhere. */
  async #hashOfFile(bytes: number): Promise<string> {
    this.#file ??= await open(this.path, 'r+');
    const hash = createHash('sha256');
    const checks = new BlockChecks();
    const buffer = Buffer.allocUnsafeSlow(HASHED_PIECE_BYTES);
    for (let offset = 0; offset < bytes; ) {
      const { bytesRead } = await this.#file.read(buffer, 0, Math.min(buffer.byteLength, bytes - offset), offset);
      if (bytesRead === 0) throw new BlobMismatchError(`the file is shorter than ${bytes} bytes`);
      hash.update(buffer.subarray(0, bytesRead));
      checks.update(buffer.subarray(0, bytesRead));
      offset += bytesRead;
    }
    this.#checks = checks.end();
    return hash.digest('hex');
  }

  /** Makes it a blob of the store; verify or vouch before. @throws {DiskFullError} */
  async adopt(ref: BlobRef, rank = 0): Promise<void> {
    // Also where others wrote and verified: then what the disk gives now is hashed once more, so that no wrong byte gets a right checksum.
    if (this.#checks === undefined && (await this.#hashOfFile(ref.size)) !== ref.sha256) {
      throw new BlobMismatchError(`the file of ${ref.sha256} has other bytes than were verified`);
    }
    await this.#file?.close();
    this.#file = undefined;
    try {
      await this.#adopt(ref, rank, this.#checks as Uint8Array);
    } catch (error) {
      throw fromDiskError(error);
    }
  }

  /** Drops it, unless it was adopted. Whoever waits for its bytes is told that they will not come. */
  async discard(): Promise<void> {
    this.growth.fail();
    await this.#file?.close();
    this.#file = undefined;
    await removeTemporary(this.path, this.#operate);
  }
}
