import type { BlobRef } from '@sluice/blobs';
import { FillReader } from './fill-reader.ts';
import type { OpenBlob, ReadSpan } from './origin-blobs.ts';
import type { StraightStream } from './straight-reads.ts';

export interface SourcedReaderParts {
  /** From the cache, or as it comes into it. Undefined: it does not fit there, read it straight. @throws {SluiceError} */
  readonly open: () => Promise<OpenBlob | undefined>;
  /** @throws {SluiceError} */
  readonly stream: (span: ReadSpan) => StraightStream;
}

/** A blob that is brought when it is first read. It outlives a failure: the next read looks anew where the bytes are. */
export class SourcedReader implements OpenBlob {
  readonly ref: BlobRef;
  readonly #parts: SourcedReaderParts;
  #opened: Promise<OpenBlob | undefined> | undefined;
  #stream: StraightStream | undefined;

  constructor(ref: BlobRef, parts: SourcedReaderParts) {
    this.ref = ref;
    this.#parts = parts;
  }

  async prepare(span: ReadSpan): Promise<void> {
    await this.#from(span.start + 1, async (cached) => {
      if (cached !== undefined) return cached.prepare?.(span);
      this.#stream?.close();
      this.#stream = this.#parts.stream(span);
      await this.#stream.begin();
    });
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const wanted = Math.max(0, Math.min(length, this.ref.size - offset));
    const bytes = Buffer.allocUnsafeSlow(wanted);
    if (wanted > 0) await this.#readAt(bytes, offset);
    return bytes;
  }

  async readInto(buffer: Uint8Array, offset: number): Promise<void> {
    if (buffer.byteLength === 0) return;
    if (this.#stream?.position === offset) await this.#stream.readInto(buffer);
    else await this.#readAt(buffer, offset);
  }

  async #readAt(buffer: Uint8Array, offset: number): Promise<void> {
    const end = offset + buffer.byteLength;
    await this.#from(end, async (cached) => {
      if (cached !== undefined) return cached.readInto(buffer, offset);
      const stream = this.#parts.stream({ start: offset, end: end - 1 });
      try {
        await stream.readInto(buffer);
      } finally {
        stream.close();
      }
    });
  }

  /** Lets work read from the cache, or from what comes into it when that is near `end`; else it gets nothing and reads straight. */
  async #from(end: number, work: (cached: OpenBlob | undefined) => Promise<void>): Promise<void> {
    this.#opened ??= this.#parts.open();
    const opened = this.#opened;
    try {
      const cached = await opened;
      // There may be room the next time.
      if (cached === undefined) this.#forget(opened);
      await work(cached instanceof FillReader && !cached.isNear(end) ? undefined : cached);
    } catch (error) {
      this.#forget(opened);
      throw error;
    }
  }

  #forget(opened: Promise<OpenBlob | undefined>): void {
    if (this.#opened !== opened) return;
    this.#opened = undefined;
    closeQuietly(opened);
  }

  async close(): Promise<void> {
    this.#stream?.close();
    if (this.#opened !== undefined) this.#forget(this.#opened);
  }
}

function closeQuietly(opened: Promise<OpenBlob | undefined>): void {
  opened.then((blob) => blob?.close()).catch(() => {});
}
