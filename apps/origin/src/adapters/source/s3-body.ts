import type { Readable } from 'node:stream';
import { SluiceError } from '@sluice/contracts';
import type { Clock } from '@sluice/runtime';

export interface S3BodyOptions {
  readonly stream: Readable;
  /** Bytes that it has to have. */
  readonly length: number;
  /** How long it may pause while somebody waits for its bytes. */
  readonly idleTimeoutMs: number;
  readonly clock: Pick<Clock, 'after'>;
  /** Makes the error to throw when the body cannot be read to its end. */
  readonly failure: (reason: string, cause?: unknown) => Error;
}

/** The bytes of an answer, to be taken once: exactly as many as were announced, or an error in the place of the last chunk. */
export class S3Body implements AsyncIterable<Uint8Array> {
  readonly #options: S3BodyOptions;
  #end: 'closed' | 'stalled' | undefined;
  #taken = false;

  constructor(options: S3BodyOptions) {
    this.#options = options;
    // What breaks before somebody reads is told to the one who does.
    options.stream.on('error', () => {});
  }

  /** Harmless more than once. Whoever reads gets an error. */
  close(): void {
    this.#stop('closed');
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    if (this.#taken) throw new TypeError('the bytes of an object can be taken once; open it again');
    this.#taken = true;
    const { stream, length, failure } = this.#options;
    const chunks: AsyncIterator<Uint8Array> = stream[Symbol.asyncIterator]();
    let received = 0;
    let held: Uint8Array | undefined;
    try {
      for (;;) {
        const next = await this.#next(chunks, received);
        if (next.done === true) break;
        received += next.value.byteLength;
        if (received > length) throw failure(`more came than the ${length} bytes that were announced; it is read again later`);
        if (held !== undefined) yield held;
        held = next.value;
        if (this.#end !== undefined) throw this.#failed(received, undefined);
      }
      if (received < length || this.#end !== undefined) throw this.#failed(received, undefined);
      if (held !== undefined) yield held;
    } finally {
      stream.destroy();
    }
  }

  async #next(chunks: AsyncIterator<Uint8Array>, received: number): Promise<IteratorResult<Uint8Array>> {
    const { clock, idleTimeoutMs } = this.#options;
    const cancel = clock.after(idleTimeoutMs, () => this.#stop('stalled'));
    try {
      return await chunks.next();
    } catch (cause) {
      throw this.#failed(received, cause);
    } finally {
      cancel();
    }
  }

  #stop(end: 'closed' | 'stalled'): void {
    this.#end ??= end;
    this.#options.stream.destroy(new Error(end));
  }

  #failed(received: number, cause: unknown): Error {
    const { length, idleTimeoutMs, failure } = this.#options;
    if (this.#end === 'closed') return new SluiceError('SOURCE_CLOSED', 'the object was closed while it was being read', { cause });
    if (this.#end === 'stalled')
      return failure(`nothing came for ${idleTimeoutMs} ms after ${received} of ${length} bytes; it is read again later`, cause);
    if (cause instanceof Error && cause.message.startsWith('Checksum mismatch')) {
      return failure('the bytes have not the checksum that was announced with them; it is read again later', cause);
    }
    return failure(`the connection was cut after ${received} of ${length} bytes; it is read again later`, cause);
  }
}
