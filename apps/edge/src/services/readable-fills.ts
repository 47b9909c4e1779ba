/** The large blobs that can be read while they come, as a serving thread knows them. As many as may be brought at the same time. */
import { type ByteSource, GrowingReader, Growth } from '@sluice/blobs';
import type { ByteRange } from '@sluice/http-semantics';
import { isWhole } from '../domain/blocks.ts';
import { BlobBlocks, type BlobBlocksParts } from './blob-blocks.ts';
import { RangeReader } from './range-reader.ts';
import type { Fill } from './serving-messages.ts';

interface Readable {
  readonly fill: Fill;
  readonly growth: Growth;
  readonly blocks: BlobBlocks;
  /** Resolves when the replica says that it is in the store, or will not be. */
  readonly ended: Promise<void>;
  readonly end: () => void;
}

export interface ReadableFillsParts extends BlobBlocksParts {
  /** Whether visitors are sent nothing before it is verified. Else the whole is sent as it comes, and cut off where it turns out to be wrong. */
  readonly verifiedOnly?: boolean | undefined;
}

export class ReadableFills {
  readonly #parts: ReadableFillsParts;
  readonly #fills = new Map<string, Readable>();

  constructor(parts: ReadableFillsParts) {
    this.#parts = parts;
  }

  add(fill: Fill): void {
    const blocks = new BlobBlocks({ sha256: fill.sha256, size: fill.sizeBytes }, this.#parts);
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    this.#fills.set(fill.sha256, { fill, growth: new Growth(fill.growth), blocks, ended, end });
  }
  delete(sha256: string): void {
    this.#fills.get(sha256)?.end();
    this.#fills.delete(sha256);
  }

  /** Whether a blob is coming. */
  has(sha256: string): boolean {
    return this.#fills.get(sha256)?.growth.hasFailed === false;
  }

  /** For an answer of these ranges. Undefined when it does not come now: it is here already, or is not. */
  async open(sha256: string, ranges: readonly ByteRange[]): Promise<ByteSource | undefined> {
    const readable = this.#fills.get(sha256);
    if (readable === undefined || !this.has(sha256)) return undefined;
    const reader = await openFill(readable.fill, ranges, readable.blocks, this.#parts);
    // Its file has its last place, and the store does not say so yet.
    if (reader === undefined) await readable.ended;
    return reader;
  }
}

/** The whole is given as it comes and ends when it is verified; a part is given as its blocks are, and so is the whole with `verifiedOnly`. Undefined when the fill has ended. */
export async function openFill(
  { path, sha256, sizeBytes, growth }: Fill,
  ranges: readonly ByteRange[],
  blocks: BlobBlocks,
  parts: ReadableFillsParts,
): Promise<ByteSource | undefined> {
  const file = await GrowingReader.open(path, { sha256, size: sizeBytes }, new Growth(growth));
  if (file === undefined || (isWhole(ranges, sizeBytes) && parts.verifiedOnly !== true)) return file;
  return new RangeReader({ ...parts, file, ranges, blocks });
}
