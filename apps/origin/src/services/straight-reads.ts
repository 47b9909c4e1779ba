/** Reading at the source what the cache does not take: in order, or a part here and there. */
import { createHash, type Hash } from 'node:crypto';
import { BlobMismatchError, type BlobRef } from '@sluice/blobs';
import type { ReadSpan } from './origin-blobs.ts';
import { readSupply, type Supply, told, type Watch } from './source-chunks.ts';
import { SourceBusyError, SourceClosedError } from './source-errors.ts';

export class StraightReads {
  readonly #watch: Watch;
  readonly #maxOpen: number;
  readonly #open = new Set<StraightStream>();

  constructor(watch: Watch, maxOpen: number) {
    this.#watch = watch;
    this.#maxOpen = maxOpen;
  }

  /** Streams that are open. */
  get size(): number {
    return this.#open.size;
  }

  /** Begins to read a span of a blob in order. Close it. @throws {SourceBusyError | SourceClosedError} */
  stream(ref: BlobRef, supply: Supply, span: ReadSpan): StraightStream {
    if (this.#watch.signal.aborted) throw new SourceClosedError();
    if (this.#open.size >= this.#maxOpen) throw new SourceBusyError(this.#maxOpen);
    const stream = new StraightStream({ ref, supply, span, watch: this.#watch, onClosed: () => this.#open.delete(stream) });
    this.#open.add(stream);
    return stream;
  }

  /** A part of a blob; the whole is verified. There must be as many bytes. @throws {SluiceError} */
  async read(ref: BlobRef, supply: Supply, offset: number, length: number): Promise<Uint8Array> {
    const stream = this.stream(ref, supply, { start: offset, end: offset + length - 1 });
    try {
      const bytes = Buffer.allocUnsafeSlow(length);
      await stream.readInto(bytes);
      return bytes;
    } finally {
      stream.close();
    }
  }

  close(): void {
    for (const stream of this.#open) stream.close();
  }
}

interface StraightStreamParts {
  readonly ref: BlobRef;
  readonly supply: Supply;
  readonly span: ReadSpan;
  readonly watch: Watch;
  readonly onClosed: () => void;
}

/** Bytes of one span in order. The last of them come when the source has said that they are of one state and, where they are the whole blob, its checksum is right. */
export class StraightStream {
  readonly #parts: StraightStreamParts;
  readonly #chunks: AsyncGenerator<Uint8Array>;
  /** Of the whole only. */
  readonly #hash: Hash | undefined;
  #rest: Uint8Array | undefined;
  #position: number;
  #isClosed = false;

  constructor(parts: StraightStreamParts) {
    this.#parts = parts;
    const { ref, supply, span, watch } = parts;
    const length = span.end - span.start + 1;
    const isWhole = length === ref.size;
    this.#chunks = readSupply(supply, isWhole ? undefined : { offset: span.start, length }, watch);
    this.#hash = isWhole ? createHash('sha256') : undefined;
    this.#position = span.start;
  }

  /** Where the next bytes are, from the beginning of the blob. */
  get position(): number {
    return this.#position;
  }

  /** Resolves when the first bytes are there. @throws {SluiceError} */
  async begin(): Promise<void> {
    await this.#telling(async () => {
      this.#rest ??= await this.#next();
    });
  }

  /** Fills the buffer with the next bytes of the span. @throws {SluiceError} */
  async readInto(buffer: Uint8Array): Promise<void> {
    await this.#telling(async () => {
      for (let filled = 0; filled < buffer.byteLength; ) {
        const chunk = this.#rest ?? (await this.#next());
        const taken = chunk.subarray(0, buffer.byteLength - filled);
        buffer.set(taken, filled);
        filled += taken.byteLength;
        this.#rest = taken.byteLength < chunk.byteLength ? chunk.subarray(taken.byteLength) : undefined;
      }
      this.#position += buffer.byteLength;
      if (this.#position > this.#parts.span.end) await this.#verify();
    });
  }

  async #next(): Promise<Uint8Array> {
    const { done, value } = await this.#chunks.next();
    if (done === true) throw new BlobMismatchError(`the source has fewer than ${this.#parts.ref.size} bytes`);
    this.#hash?.update(value);
    return value;
  }

  async #verify(): Promise<void> {
    if (this.#rest !== undefined || (await this.#chunks.next()).done !== true) {
      throw new BlobMismatchError('the source has more bytes than it announced');
    }
    const sha256 = this.#hash?.digest('hex') ?? this.#parts.ref.sha256;
    if (sha256 !== this.#parts.ref.sha256) throw new BlobMismatchError(`expected ${this.#parts.ref.sha256}, got ${sha256}`);
  }

  async #telling(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.close();
      throw told(error, this.#parts.supply);
    }
  }

  /** Harmless more than once. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    // Not waited for: a chunk may be under way that does not come.
    this.#chunks.return(undefined).then(this.#parts.onClosed, this.#parts.onClosed);
  }
}
