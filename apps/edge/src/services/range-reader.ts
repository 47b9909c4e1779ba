/**
 * Parts of a blob that is not here as a whole: what has come into its file where that will do, else blocks from the origin. Gives only bytes that are verified, by the digest of their
 * block or with the whole; so an answer that is a part may end before the whole has come.
 */
import { BlobMismatchError, type BlobRef, type ByteSource, type GrowingReader } from '@sluice/blobs';
import { BLOCK_DIGESTS_MIN_BYTES, type BlockDigests, blockDigest, SluiceError } from '@sluice/contracts';
import type { ByteRange } from '@sluice/http-semantics';
import type { Clock } from '@sluice/runtime';
import { blockRange, overlaps } from '../domain/blocks.ts';
import type { BlobBlocks } from './blob-blocks.ts';
import type { ReplicaLink } from './replica-link.ts';

/** What the fill brings this soon is not brought twice: as much as it has in flight over the broker. */
export const NEAR_BYTES = 4 * 1024 * 1024;
/** But when it has not moved for so long, it is not waited for. */
export const STILL_MS = 1_000;

export interface RangeReaderParts {
  readonly blocks: BlobBlocks;
  /** Of the answer. */
  readonly ranges: readonly ByteRange[];
  /** Undefined: nothing is being brought but the blocks that are asked for, and they are not kept; then the digests have to be there. */
  readonly file: GrowingReader | undefined;
  /** Whether nothing at all is given before it is verified, even where the origin makes no digests. */
  readonly verifiedOnly?: boolean | undefined;
  readonly link: Pick<ReplicaLink, 'ask'>;
  readonly clock: Clock;
}

export class RangeReader implements ByteSource {
  readonly ref: BlobRef;
  readonly #parts: RangeReaderParts;
  #whole: Promise<'whole'> | undefined;
  /** The block that was read last, where nobody else keeps it. */
  #last: { readonly index: number; readonly bytes: Uint8Array } | undefined;
  /** The block being read for what comes next: one at a time. */
  #ahead: number | undefined;

  constructor(parts: RangeReaderParts) {
    this.ref = parts.blocks.ref;
    this.#parts = parts;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const buffer = Buffer.allocUnsafeSlow(length);
    await this.readInto(buffer, offset);
    return buffer;
  }

  /** Waits for them. @throws {SluiceError} when they do not come, or are not the right ones */
  async readInto(buffer: Uint8Array, offset: number): Promise<void> {
    const blocks = await this.#digests();
    if (blocks === 'whole') return (this.#parts.file as GrowingReader).readNow(buffer, offset);
    // An origin that makes no digests: what has come is given as it has come, but for the end of the blob.
    if (blocks === undefined) return (this.#parts.file as GrowingReader).readInto(buffer, offset);
    for (let at = offset; at < offset + buffer.byteLength; ) {
      const index = Math.floor(at / blocks.blockBytes);
      const block = blockRange(index, blocks.blockBytes, this.ref.size);
      const piece = buffer.subarray(at - offset, block.end + 1 - offset);
      await this.#readInBlock(piece, at, index, blocks);
      at += piece.byteLength;
    }
  }

  /** `whole`: all of it is verified. */
  async #digests(): Promise<BlockDigests | 'whole' | undefined> {
    const { file, blocks } = this.#parts;
    if (file === undefined) return blocks.digests(() => false);
    const { growth } = file;
    if (growth.isComplete) return 'whole';
    this.#whole ??= growth.reachVerified().then(() => 'whole' as const);
    this.#whole.catch(() => {}); // whoever waits for it is told
    // There are no digests of so few bytes, and it is not long until all of them are there.
    if (this.ref.size < BLOCK_DIGESTS_MIN_BYTES) return this.#whole;
    // In this order: digests that are known serve also when the fill has failed.
    const found = await Promise.race([blocks.digests(() => growth.isComplete || growth.hasFailed), this.#whole]);
    return found === undefined && this.#parts.verifiedOnly === true ? this.#whole : found;
  }

  async #readInBlock(target: Uint8Array, offset: number, index: number, blocks: BlockDigests): Promise<void> {
    const { file } = this.#parts;
    const range = blockRange(index, blocks.blockBytes, this.ref.size);
    if (file !== undefined && (await this.#hasCome(file, range.end + 1)) && (await this.#isRight(index, file, blocks))) {
      return file.readNow(target, offset);
    }
    const bytes = await this.#bring(index, range, blocks);
    if (bytes !== undefined) target.set(bytes.subarray(offset - range.start, offset - range.start + target.byteLength));
    else await this.#readWhenCome(target, offset, index, range, blocks);
  }

  /** Whether the fill has come so far; waits for one that is about to. */
  async #hasCome({ growth }: GrowingReader, bytes: number): Promise<boolean> {
    for (;;) {
      const availableBytes = growth.availableBytes;
      if (growth.isComplete || availableBytes >= bytes) return true;
      if (growth.hasFailed || bytes - availableBytes > NEAR_BYTES) return false;
      await this.#withPatience(growth.reach(bytes));
      if (growth.availableBytes === availableBytes && !growth.isComplete) return false;
    }
  }

  /** Resolves when `promise` has settled, or has not for {@link STILL_MS}. */
  #withPatience(promise: Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#parts.clock.after(STILL_MS, resolve);
      const done = (): void => {
        cancel();
        resolve();
      };
      promise.then(done, done);
    });
  }

  #isRight(index: number, file: GrowingReader, blocks: BlockDigests): boolean | Promise<boolean> {
    return file.growth.isComplete || this.#parts.blocks.isRight(index, file, blocks);
  }

  /** A block from the origin. Undefined when it cannot be brought now. @throws {SluiceError} when other bytes came, or there is no fill to wait for */
  async #bring(index: number, range: ByteRange, blocks: BlockDigests): Promise<Uint8Array | undefined> {
    if (this.#last?.index === index) return this.#last.bytes;
    try {
      const bytes = await this.#ask(index, range, blocks);
      if (this.#parts.file === undefined) this.#last = { index, bytes };
      else this.#readAhead(index + 1, blocks);
      return bytes;
    } catch (error) {
      const isWrong = error instanceof SluiceError && error.code === 'BLOB_MISMATCH';
      if (isWrong || this.#parts.file === undefined) throw error;
      return undefined;
    }
  }

  #ask(index: number, range: ByteRange, blocks: BlockDigests): Promise<Uint8Array> {
    const { link, file } = this.#parts;
    // A copy: a view would take the memory of all digests with it.
    const digest = blockDigest(blocks, index).slice();
    return link.ask('readBlock', { sha256: this.ref.sha256, range, digest, keep: file !== undefined });
  }

  /** Has the next block brought while this one is sent, when the answer needs it and the fill is not about to bring it. */
  #readAhead(index: number, blocks: BlockDigests): void {
    const { file, ranges } = this.#parts;
    const range = blockRange(index, blocks.blockBytes, this.ref.size);
    if (this.#ahead !== undefined || file === undefined || !overlaps(ranges, range)) return;
    if (file.growth.isComplete || range.end + 1 - file.growth.availableBytes <= NEAR_BYTES) return;
    this.#ahead = index;
    const done = (): void => {
      this.#ahead = undefined;
    };
    this.#ask(index, range, blocks).then(done, done); // a failure is seen when its turn comes
  }

  /** The origin is silent or this edge is busy: as if there were no digests, but for verifying. */
  async #readWhenCome(target: Uint8Array, offset: number, index: number, range: ByteRange, blocks: BlockDigests): Promise<void> {
    const file = this.#parts.file as GrowingReader;
    await file.growth.reach(range.end + 1);
    if (!(await this.#isRight(index, file, blocks))) {
      throw new BlobMismatchError(`the block at ${range.start} of ${this.ref.sha256} is not what its digest says`);
    }
    await file.readNow(target, offset);
  }

  async close(): Promise<void> {
    await this.#parts.file?.close();
  }
}
