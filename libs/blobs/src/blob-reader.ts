import type { FileHandle } from 'node:fs/promises';
import type { BlobRef } from './blob-ref.ts';
import { areChecked, CHECKED_BLOCK_BYTES } from './block-checks.ts';
import type { ByteSource } from './byte-source.ts';
import { BlobDamagedError } from './errors.ts';

/** How what a file gives is checked. */
export interface ReadCheck {
  /** Of its blocks, see `block-checks.ts`; undefined: they were never made, so what is read is not checked. */
  readonly checks: Uint8Array | undefined;
  /** Told once of a file that gives other bytes, or fewer, or none. */
  readonly onDamaged: (sha256: string) => void;
}

/** An open blob. Gives only bytes that are checked, where there is something to check them by. */
export class BlobReader implements ByteSource {
  readonly ref: BlobRef;
  readonly #bytes: Uint8Array | undefined;
  readonly #file: FileHandle | undefined;
  readonly #check: ReadCheck | undefined;

  /** `bytes`: all of them, verified; else `file`. */
  constructor(ref: BlobRef, bytes: Uint8Array | undefined, file: FileHandle | undefined, check?: ReadCheck) {
    this.ref = ref;
    this.#bytes = bytes;
    this.#file = file;
    this.#check = check;
  }

  /** Whether what it gives is checked. */
  get isChecked(): boolean {
    return this.#bytes !== undefined || this.#check?.checks !== undefined;
  }

  /** Bytes from `start` on will be read: reads and checks the first ones, so that it is known before anything was said of the blob when they are damaged. @throws {BlobDamagedError} */
  async prepare({ start }: { readonly start: number }): Promise<void> {
    if (this.#check?.checks !== undefined) await this.readInto(Buffer.allocUnsafe(1), start);
  }

  /** Bytes `offset … offset+length-1`, fewer at the end of the blob. @throws {BlobDamagedError} when the file has other bytes, or fewer */
  async read(offset: number, length: number): Promise<Uint8Array> {
    const wanted = Math.max(0, Math.min(length, this.ref.size - offset));
    if (this.#bytes !== undefined) return this.#bytes.subarray(offset, offset + wanted);
    const buffer = Buffer.allocUnsafeSlow(wanted);
    await this.readInto(buffer, offset);
    return buffer;
  }

  /**
   * Fills `buffer` with the bytes from `offset` on; there must be as many. Reading much into few buffers spares their collection, which costs more than
   * the reading. @throws {BlobDamagedError} when the file has other bytes, or fewer
   */
  async readInto(buffer: Uint8Array, offset: number): Promise<void> {
    if (this.#bytes !== undefined) return buffer.set(this.#bytes.subarray(offset, offset + buffer.byteLength));
    const checks = this.#check?.checks;
    if (checks === undefined) return this.#fill(buffer, offset);
    const end = offset + buffer.byteLength;
    for (let at = offset; at < end; ) {
      const index = Math.floor(at / CHECKED_BLOCK_BYTES);
      const start = index * CHECKED_BLOCK_BYTES;
      const blockEnd = Math.min(start + CHECKED_BLOCK_BYTES, this.ref.size);
      if (at === start && blockEnd <= end) {
        // As many whole blocks as there are in this piece, at once.
        const wholeEnd = end === this.ref.size ? end : end - (end % CHECKED_BLOCK_BYTES);
        const whole = buffer.subarray(at - offset, wholeEnd - offset);
        await this.#fillChecked(whole, at, index, checks);
        at = wholeEnd;
      } else {
        const block = Buffer.allocUnsafeSlow(blockEnd - start);
        await this.#fillChecked(block, start, index, checks);
        const until = Math.min(end, blockEnd);
        buffer.set(block.subarray(at - start, until - start), at - offset);
        at = until;
      }
    }
  }

  async #fillChecked(buffer: Uint8Array, offset: number, index: number, checks: Uint8Array): Promise<void> {
    await this.#fill(buffer, offset);
    if (!areChecked(buffer, index, checks)) throw this.#damaged(new Error(`a block at ${offset} or after it has other bytes`));
  }

  async #fill(buffer: Uint8Array, offset: number): Promise<void> {
    const file = this.#file as FileHandle;
    for (let filled = 0; filled < buffer.byteLength; ) {
      const { bytesRead } = await file.read(buffer, filled, buffer.byteLength - filled, offset + filled).catch((error: unknown) => {
        throw (error as NodeJS.ErrnoException).code === 'EIO' ? this.#damaged(error) : error;
      });
      if (bytesRead === 0) throw this.#damaged(new Error(`the file is shorter than ${this.ref.size} bytes`));
      filled += bytesRead;
    }
  }

  #damaged(cause: unknown): BlobDamagedError {
    this.#check?.onDamaged(this.ref.sha256);
    return new BlobDamagedError(this.ref.sha256, cause);
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }
}
