import type { BlobRef, BlobWriter } from '@sluice/blobs';
import type { CacheBudget, Room } from './cache-budget.ts';
import type { DerivedWriter } from './origin-blobs.ts';
import { CacheFullError } from './source-errors.ts';

/** Writes bytes whose number is not known before into the cache, making room as they come. */
export class CacheWriter implements DerivedWriter {
  readonly #writer: BlobWriter;
  readonly #budget: CacheBudget;
  readonly #rooms: Room[] = [];

  constructor(writer: BlobWriter, budget: CacheBudget) {
    this.#writer = writer;
    this.#budget = budget;
  }

  /** @throws {CacheFullError | DiskFullError} */
  async write(chunk: Uint8Array): Promise<void> {
    const room = this.#rooms.length === 0 ? this.#budget.reserve(chunk.byteLength) : this.#budget.reserveMore(chunk.byteLength);
    if (room === undefined) throw new CacheFullError(this.#budget.maxBytes);
    this.#rooms.push(room);
    await this.#writer.write(chunk);
  }

  seal(): BlobRef {
    return this.#writer.seal();
  }

  async finish(expected?: BlobRef): Promise<BlobRef> {
    try {
      return await this.#writer.finish(expected);
    } finally {
      this.#release();
    }
  }

  async discard(): Promise<void> {
    try {
      await this.#writer.discard();
    } finally {
      this.#release();
    }
  }

  #release(): void {
    for (const room of this.#rooms.splice(0)) room.release();
  }
}
