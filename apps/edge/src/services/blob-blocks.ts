/** What a serving thread knows of the blocks of one blob that is coming. */
import type { BlobRef, GrowingReader } from '@sluice/blobs';
import { type BlockDigests, blockBytesFor, blockDigest } from '@sluice/contracts';
import type { Clock } from '@sluice/runtime';
import { blockRange } from '../domain/blocks.ts';
import { isBlock } from './block-reads.ts';
import type { ReplicaLink } from './replica-link.ts';

/** Between two questions whether the digests are made by now, and how many there are. */
const PENDING_MS = 1_000;
export const PENDING_ATTEMPTS = 600;

export interface BlobBlocksParts {
  readonly link: Pick<ReplicaLink, 'ask'>;
  readonly clock: Clock;
}

export class BlobBlocks {
  readonly ref: BlobRef;
  readonly #parts: BlobBlocksParts;
  #digests: Promise<BlockDigests | undefined> | undefined;
  /** Blocks of the file that have turned out right, and those that are being hashed. At most as many as there are blocks. */
  readonly #verified = new Set<number>();
  readonly #verifying = new Map<number, Promise<boolean>>();

  constructor(ref: BlobRef, parts: BlobBlocksParts) {
    this.ref = ref;
    this.#parts = parts;
  }

  /** Resolves when the digests are known; undefined: there are none, or `isOver` said that nobody needs them any more. Never rejects. */
  digests(isOver: () => boolean): Promise<BlockDigests | undefined> {
    this.#digests ??= this.#learn(isOver).catch(() => undefined);
    return this.#digests;
  }

  /** Whether the origin knows them at once; else {@link digests} goes on asking. @throws {SluiceError} */
  async areKnown(): Promise<boolean> {
    if (blockBytesFor(this.ref.size) === undefined) return false;
    const known = await this.#parts.link.ask('blockDigests', this.ref);
    if (known.kind !== 'pending') this.#digests = Promise.resolve(known.kind === 'known' ? known.blocks : undefined);
    return known.kind === 'known';
  }

  async #learn(isOver: () => boolean): Promise<BlockDigests | undefined> {
    if (blockBytesFor(this.ref.size) === undefined) return undefined;
    const { link, clock } = this.#parts;
    for (let attempt = 1; attempt <= PENDING_ATTEMPTS && !isOver(); attempt += 1) {
      const known = await link.ask('blockDigests', this.ref);
      if (known.kind === 'known') return known.blocks;
      if (known.kind === 'none') return undefined;
      await new Promise<void>((resolve) => clock.after(PENDING_MS, resolve));
    }
    return undefined;
  }

  /** Whether a block that has come into the file is the right one. Each is hashed once: what has come does not change. */
  isRight(index: number, file: GrowingReader, blocks: BlockDigests): boolean | Promise<boolean> {
    if (this.#verified.has(index)) return true;
    let verifying = this.#verifying.get(index);
    if (verifying === undefined) {
      verifying = this.#verify(index, file, blocks).finally(() => this.#verifying.delete(index));
      this.#verifying.set(index, verifying);
    }
    return verifying;
  }

  async #verify(index: number, file: GrowingReader, blocks: BlockDigests): Promise<boolean> {
    const { start, end } = blockRange(index, blocks.blockBytes, this.ref.size);
    const bytes = new Uint8Array(end - start + 1);
    await file.readNow(bytes, start);
    const isRight = await isBlock(bytes, blockDigest(blocks, index));
    if (isRight) this.#verified.add(index);
    return isRight;
  }
}
