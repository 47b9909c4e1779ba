import type { FileHandle } from 'node:fs/promises';
import type { BlobRef } from './blob-ref.ts';
import type { ByteSource } from './byte-source.ts';
import { BlobMismatchError } from './errors.ts';

/** An open blob. */
export class BlobReader implements ByteSource {
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
    await this.readInto(buffer, offset);
    return buffer;
  }

  /**
   * Fills `buffer` with the bytes from `offset` on; there must be as many. Reading much into few buffers spares their collection, which costs more than
   * the reading. @throws {BlobMismatchError} when the file is shorter than its row says
   */
  async readInto(buffer: Uint8Array, offset: number): Promise<void> {
    if (this.#bytes !== undefined) return buffer.set(this.#bytes.subarray(offset, offset + buffer.byteLength));
    const file = this.#file as FileHandle;
    for (let filled = 0; filled < buffer.byteLength; ) {
      const { bytesRead } = await file.read(buffer, filled, buffer.byteLength - filled, offset + filled);
      if (bytesRead === 0) throw new BlobMismatchError(`the file of blob ${this.ref.sha256} is shorter than ${this.ref.size} bytes`);
      filled += bytesRead;
    }
  }

  async close(): Promise<void> {
    await this.#file?.close();
  }
}
