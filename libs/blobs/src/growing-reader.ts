import { type FileHandle, open } from 'node:fs/promises';
import type { BlobRef } from './blob-ref.ts';
import type { ByteSource } from './byte-source.ts';
import { BlobMismatchError } from './errors.ts';
import type { Growth } from './growth.ts';

/**
 * Reads a blob that is still coming, as far as it has come. What it gives is not verified yet; its end is: the last bytes are held back until all have turned out
 * to be the blob's, so whoever has read to the end has the blob.
 */
export class GrowingReader implements ByteSource {
  readonly ref: BlobRef;
  readonly growth: Growth;
  readonly #file: FileHandle;

  private constructor(ref: BlobRef, growth: Growth, file: FileHandle) {
    this.ref = ref;
    this.growth = growth;
    this.#file = file;
  }

  /** Undefined when there is no such file: its fill has ended, one way or the other. What is open stays readable after that. */
  static async open(path: string, ref: BlobRef, growth: Growth): Promise<GrowingReader | undefined> {
    try {
      return new GrowingReader(ref, growth, await open(path, 'r'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const buffer = Buffer.allocUnsafeSlow(length);
    await this.readInto(buffer, offset);
    return buffer;
  }

  /** Waits for them. @throws {BlobMismatchError} when they do not come, or when the last ones are read and the whole is not what was announced */
  async readInto(buffer: Uint8Array, offset: number): Promise<void> {
    const end = offset + buffer.byteLength;
    await (end < this.ref.size ? this.growth.reach(end) : this.growth.reachVerified());
    await this.readNow(buffer, offset);
  }

  /** Like {@link readInto}, of bytes that are there by what {@link growth} says. @throws {BlobMismatchError} when they are not */
  async readNow(buffer: Uint8Array, offset: number): Promise<void> {
    const end = offset + buffer.byteLength;
    for (let filled = 0; filled < buffer.byteLength; ) {
      const { bytesRead } = await this.#file.read(buffer, filled, buffer.byteLength - filled, offset + filled);
      if (bytesRead === 0) throw new BlobMismatchError(`the file of blob ${this.ref.sha256} is shorter than ${end} bytes`);
      filled += bytesRead;
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}
