/** Blobs on their way from a source into the cache, each once however many ask for it. Large ones are read while they come. */
import {
  BlobReader,
  type BlobRef,
  type BlobStore,
  DiskFullError,
  fillWith,
  INLINE_MAX_BYTES,
  type IncomingFile,
  whenReadable,
} from '@sluice/blobs';
import type { CacheBudget } from './cache-budget.ts';
import { FillReader } from './fill-reader.ts';
import type { FillTurns } from './fill-turns.ts';
import type { OpenBlob } from './origin-blobs.ts';
import { readSupply, type Supply, told, type Watch } from './source-chunks.ts';

export interface SourceFillsParts {
  readonly store: Pick<BlobStore, 'has' | 'incoming' | 'writer' | 'reader'>;
  readonly budget: CacheBudget;
  /** Those among which a blob of so many bytes waits for its turn. */
  readonly turnsFor: (bytes: number) => Pick<FillTurns, 'take'>;
  readonly watch: Watch;
  /** A fill has ended: all is in the cache, or the source could not be read. */
  readonly onEnded: (outcome: 'filled' | 'failed') => void;
}

/** What came of a fill. `unkept`: the cache has no room for it now. */
export type Filled = { readonly kind: 'kept' } | { readonly kind: 'small'; readonly bytes: Uint8Array } | { readonly kind: 'unkept' };

interface Fill {
  /** Resolves when a large one can be read; undefined: it was not, and is over. Never rejects. */
  readonly readable: Promise<IncomingFile | undefined>;
  readonly ended: Promise<Filled>;
}

export class SourceFills {
  readonly #parts: SourceFillsParts;
  readonly #running = new Map<string, Fill>();

  constructor(parts: SourceFillsParts) {
    this.#parts = parts;
  }

  /** Blobs under way or waiting. */
  get size(): number {
    return this.#running.size;
  }

  /** Reads a blob while it comes. Undefined: the cache has no room for it now. @throws {SluiceError} */
  async open(ref: BlobRef, supply: Supply): Promise<OpenBlob | undefined> {
    const { readable, ended } = this.#join(ref, supply);
    const file = await readable;
    const reader = file && (await FillReader.open(file, ref, ended));
    if (reader !== undefined) return reader;
    const filled = await ended;
    if (filled.kind === 'small') return new BlobReader(ref, filled.bytes, undefined);
    return filled.kind === 'unkept' ? undefined : this.#parts.store.reader(ref.sha256);
  }

  #join(ref: BlobRef, supply: Supply): Fill {
    const running = this.#running.get(ref.sha256);
    if (running !== undefined) return running;
    const { promise: readable, resolve } = Promise.withResolvers<IncomingFile | undefined>();
    const ended = this.#fill(ref, supply, resolve).finally(() => {
      this.#running.delete(ref.sha256);
      resolve(undefined);
    });
    ended.catch(() => {}); // those who wait are told
    const fill = { readable, ended };
    this.#running.set(ref.sha256, fill);
    return fill;
  }

  async #fill(ref: BlobRef, supply: Supply, readable: (file: IncomingFile) => void): Promise<Filled> {
    const { store, budget, turnsFor, onEnded } = this.#parts;
    const leave = await turnsFor(ref.size).take(ref.size);
    try {
      // It has come in another way meanwhile.
      if (store.has(ref.sha256)) return { kind: 'kept' };
      const room = budget.reserve(ref.size);
      if (room === undefined) return { kind: 'unkept' };
      try {
        const filled = ref.size <= INLINE_MAX_BYTES ? await this.#fillSmall(ref, supply) : await this.#fillLarge(ref, supply, readable);
        onEnded('filled');
        return filled;
      } finally {
        room.release();
      }
    } catch (error) {
      if (error instanceof DiskFullError) budget.rest();
      const reason = told(error, supply);
      if (reason === error) onEnded('failed');
      throw reason;
    } finally {
      leave();
    }
  }

  async #fillSmall(ref: BlobRef, supply: Supply): Promise<Filled> {
    const pieces: Uint8Array[] = [];
    const writer = this.#parts.store.writer(this.#parts.budget.nextRank());
    try {
      for await (const piece of readSupply(supply, undefined, this.#parts.watch)) {
        pieces.push(piece);
        await writer.write(piece);
        // What does not end is refused before it takes more than it announced.
        if (writer.size > ref.size) break;
      }
      await writer.finish(ref);
      return { kind: 'small', bytes: Buffer.concat(pieces) };
    } finally {
      await writer.discard();
    }
  }

  async #fillLarge(ref: BlobRef, supply: Supply, readable: (file: IncomingFile) => void): Promise<Filled> {
    const file = this.#parts.store.incoming();
    whenReadable(file, () => readable(file));
    try {
      await fillWith(file, ref, readSupply(supply, undefined, this.#parts.watch));
      await file.adopt(ref, this.#parts.budget.nextRank());
      return { kind: 'kept' };
    } finally {
      await file.discard();
    }
  }

  /** Resolves when nothing is under way any more, however it ended. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled([...this.#running.values()].map(({ ended }) => ended));
  }
}
