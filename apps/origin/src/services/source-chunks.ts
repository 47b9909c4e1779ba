/** Bytes as they come from where they are, watched: who hangs is left, who is not needed any more is closed. */
import { BlobMismatchError } from '@sluice/blobs';
import type { Clock } from '@sluice/runtime';
import { SourceClosedError } from './source-errors.ts';
import { RevisionGoneError, SourceAwayError, type SourceRange } from './source-port.ts';

/** A source from which nothing comes for so long is given up. */
export const IDLE_MS = 30_000;

/** Bytes that are coming. */
export interface Coming {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Ends it also while a chunk is waited for. */
  close(): Promise<void>;
}

/** Where the bytes of one blob can be read. */
export interface Supply {
  /** Of the source, for errors. */
  readonly title: string;
  /** The whole, or a part. @throws {RevisionGoneError | SourceAwayError} */
  open(range: SourceRange | undefined): Promise<Coming>;
  /** What came is not the blob: tells who has to know. Returns what its readers are told. */
  wrong(cause: unknown): Error;
}

/** What readers are told of a failure, after who has to know was told. */
export function told(error: unknown, supply: Supply): unknown {
  return error instanceof RevisionGoneError || error instanceof BlobMismatchError ? supply.wrong(error) : error;
}

export interface Watch {
  readonly clock: Clock;
  /** Everything ends. */
  readonly signal: AbortSignal;
  readonly onBytes: (bytes: number) => void;
}

/** Opens a supply and gives its chunks. @throws what it threw, {SourceAwayError} when it hangs, {SourceClosedError} */
export async function* readSupply(supply: Supply, range: SourceRange | undefined, watch: Watch): AsyncGenerator<Uint8Array> {
  const opening = supply.open(range);
  let coming: Coming;
  try {
    coming = await patiently(opening, supply.title, watch);
  } catch (error) {
    // It may still open, for nobody.
    opening.then((late) => late.close()).catch(() => {});
    throw error;
  }
  yield* readComing(coming, supply.title, watch);
}

/** The chunks of what is open, and its end. @throws as {@link readSupply} */
export async function* readComing(coming: Coming, title: string, watch: Watch): AsyncGenerator<Uint8Array> {
  const iterator = coming.chunks[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await patiently(iterator.next(), title, watch);
      if (done === true) return;
      watch.onBytes(value.byteLength);
      yield value;
    }
  } finally {
    // Not `iterator.return`, and not waited for: a chunk may be under way that does not come.
    coming.close().catch(() => {});
  }
}

function patiently<Result>(promise: Promise<Result>, title: string, { clock, signal }: Watch): Promise<Result> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      promise.catch(() => {});
      return reject(new SourceClosedError());
    }
    const onAbort = (): void => reject(new SourceClosedError());
    signal.addEventListener('abort', onAbort, { once: true });
    const cancel = clock.after(IDLE_MS, () => reject(new SourceAwayError(title, `nothing came for ${IDLE_MS / 1000} s`)));
    promise.then(resolve, reject).finally(() => {
      cancel();
      signal.removeEventListener('abort', onAbort);
    });
  });
}

/** Of chunks that begin with the blob only what is in the range. */
export function partOf(chunks: AsyncIterable<Uint8Array>, range: SourceRange | undefined): Coming {
  const iterator = chunks[Symbol.asyncIterator]();
  const all = { [Symbol.asyncIterator]: () => iterator };
  return {
    chunks: range === undefined ? all : cut(all, range),
    // Not waited for: a chunk may be under way that does not come.
    close: async () => void Promise.resolve(iterator.return?.()).catch(() => {}),
  };
}

async function* cut(chunks: AsyncIterable<Uint8Array>, { offset, length }: SourceRange): AsyncGenerator<Uint8Array> {
  let at = 0;
  for await (const chunk of chunks) {
    const part = chunk.subarray(Math.max(0, offset - at), Math.max(0, offset + length - at));
    at += chunk.byteLength;
    if (part.byteLength > 0) yield part;
    if (at >= offset + length) return;
  }
}
