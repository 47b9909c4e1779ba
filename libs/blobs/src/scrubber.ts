/**
 * Reads all that a store holds, again and again, slowly, and compares it with its names: what a disk has damaged is found before somebody asks for it. One blob at a time, from a random
 * place on, so that a process which is started often does not always read the same first part.
 */
import type { BlobRef } from './blob-ref.ts';
import type { BlobStore, Verdict } from './blob-store.ts';

/** Bytes that are read before it waits: a little more than what is read at once. */
const SLICE_BYTES = 256 * 1024;
/** What a blob is counted for at least: looking it up costs as much. */
const BLOB_MIN_BYTES = 4 * 1024;
const PAGE = 100;
/** Between two passes: over little the next one would begin at once. Also after a failure. */
export const PAUSE_MS = 5_000;

export interface ScrubberOptions {
  readonly store: Pick<BlobStore, 'list' | 'verify'>;
  /** Of the disk, in the mean. 0: nothing is read. */
  readonly bytesPerSecond: number;
  /** Of `@sluice/runtime`. */
  readonly clock: { nowMs(): number; after(delayMs: number, callback: () => void): () => void };
  /** In [0, 1). */
  readonly rng: () => number;
  readonly onScrubbed: (bytes: number) => void;
  /** A blob that is listed is not what its name says. Awaited, so that at most one is being repaired. */
  readonly onDamaged: (sha256: string, verdict: Verdict & { kind: 'damaged' }) => Promise<void> | void;
  readonly onRight?: (sha256: string) => void;
  /** The store could not be listed or read; it goes on after a pause. */
  readonly onFailed: (error: unknown) => void;
}

class StoppedError extends Error {}

export class Scrubber {
  readonly #options: ScrubberOptions;
  readonly #startsAfter: string;
  #owedBytes = 0;
  #passedAtMs: number | undefined;
  #stopped = false;
  #endWait: () => void = () => {};
  #running: Promise<void> = Promise.resolve();

  constructor(options: ScrubberOptions) {
    this.#options = options;
    this.#startsAfter = Math.floor(options.rng() * 0x1_0000_0000)
      .toString(16)
      .padStart(8, '0');
  }

  /** When all that was held had been read once more; milliseconds since the epoch. Undefined before the first time in this process. */
  get passedAtMs(): number | undefined {
    return this.#passedAtMs;
  }

  start(): void {
    if (this.#options.bytesPerSecond > 0) this.#running = this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#read(this.#startsAfter, undefined);
        await this.#read('', this.#startsAfter);
        this.#passedAtMs = this.#options.clock.nowMs();
      } catch (error) {
        if (error instanceof StoppedError) return;
        this.#options.onFailed(error);
      }
      await this.#wait(PAUSE_MS);
    }
  }

  /** Reads what comes after a name, up to another one. */
  async #read(after: string, last: string | undefined): Promise<void> {
    for (let at = after; ; ) {
      const page = this.#options.store.list(at, PAGE).filter(({ sha256 }) => last === undefined || sha256 <= last);
      for (const ref of page) await this.#check(ref);
      const end = page.at(-1)?.sha256;
      if (end === undefined) return;
      at = end;
    }
  }

  async #check({ sha256, size }: BlobRef): Promise<void> {
    const { store, onScrubbed, onDamaged, onRight } = this.#options;
    const verdict = await store.verify(sha256, async (bytes) => {
      onScrubbed(bytes);
      await this.#spend(bytes);
    });
    if (verdict.kind === 'damaged') await onDamaged(sha256, verdict);
    else if (verdict.kind === 'right') onRight?.(sha256);
    await this.#spend(Math.max(0, BLOB_MIN_BYTES - size));
  }

  /** Waits as long as so many bytes should have taken. @throws {StoppedError} */
  async #spend(bytes: number): Promise<void> {
    this.#owedBytes += bytes;
    if (this.#owedBytes >= SLICE_BYTES) {
      const owedMs = (this.#owedBytes * 1000) / this.#options.bytesPerSecond;
      this.#owedBytes = 0;
      await this.#wait(owedMs);
    }
    if (this.#stopped) throw new StoppedError();
  }

  #wait(ms: number): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(ms, resolve);
      this.#endWait = () => {
        cancel();
        resolve();
      };
    });
  }

  /** Resolves when nothing is being read any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#endWait();
    await this.#running;
  }
}
