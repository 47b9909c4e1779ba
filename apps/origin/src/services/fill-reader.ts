import { type BlobRef, GrowingReader, type IncomingFile } from '@sluice/blobs';
import type { OpenBlob } from './origin-blobs.ts';

/** What lies farther ahead of what has come is not waited for: whoever needs it reads it at the source. */
export const NEAR_BYTES = 8 * 1024 * 1024;

/** Reads a blob while it comes into the cache. Its last bytes come when all have turned out right. */
export class FillReader implements OpenBlob {
  readonly ref: BlobRef;
  readonly #file: GrowingReader;
  /** Of the fill, with the reason when it fails. */
  readonly ended: Promise<unknown>;

  private constructor(ref: BlobRef, file: GrowingReader, ended: Promise<unknown>) {
    this.ref = ref;
    this.#file = file;
    this.ended = ended;
  }

  /** Undefined when the file is not there any more: the fill is over. */
  static async open(file: Pick<IncomingFile, 'path' | 'growth'>, ref: BlobRef, ended: Promise<unknown>): Promise<FillReader | undefined> {
    const growing = await GrowingReader.open(file.path, ref, file.growth);
    return growing && new FillReader(ref, growing, ended);
  }

  /** Whether the bytes before `end` have come or are about to. */
  isNear(end: number): boolean {
    const { growth } = this.#file;
    return growth.isComplete || end <= growth.availableBytes + NEAR_BYTES;
  }

  /** Waits for them. @throws what the fill failed with */
  async read(offset: number, length: number): Promise<Uint8Array> {
    return this.#unlessFailed(() => this.#file.read(offset, Math.max(0, Math.min(length, this.ref.size - offset))));
  }

  async readInto(buffer: Uint8Array, offset: number): Promise<void> {
    await this.#unlessFailed(() => this.#file.readInto(buffer, offset));
  }

  async prepare({ start }: { readonly start: number }): Promise<void> {
    await this.#unlessFailed(() => this.#file.growth.reach(start + 1));
  }

  async #unlessFailed<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      // The growth says only that it failed; the fill says why.
      if (this.#file.growth.hasFailed) await this.ended;
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}
