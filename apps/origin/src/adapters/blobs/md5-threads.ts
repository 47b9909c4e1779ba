/**
 * MD5 of large bodies beside the thread that takes them. S3's ETag has to be one, and it is the slowest step of an upload: of the 0.34 s of one thread that 100 MB
 * took, 0.16 s were MD5's and 0.07 s SHA-256's.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Clock } from '@sluice/runtime';
import { JobThreads } from './job-threads.ts';
import { Md5Ring, type RingMemory } from './md5-ring.ts';

/** Below this a body is hashed where it is taken. */
export const THREAD_FROM_BYTES = 4 * 1024 * 1024;
/** Threads with nothing to do are kept so long. */
const IDLE_MS = 10_000;

/** The MD5 of one body. End it with one of the last two. */
export interface BodyMd5 {
  /** Takes the bytes before it resolves. One call at a time. @throws when the thread has died */
  update(chunk: Uint8Array): Promise<void>;
  /** In hexadecimal. @throws when the thread has died */
  finish(): Promise<string>;
  /** Nobody wants it any more. Harmless after `finish`. */
  abandon(): void;
}

export interface Md5ThreadsOptions {
  readonly clock: Clock;
  /** Bodies hashed at once; one core is left to the thread that takes them. */
  readonly max?: number;
  readonly threads?: Pick<JobThreads<RingMemory, string>, 'run' | 'rest' | 'close'>;
}

export class Md5Threads {
  readonly #clock: Clock;
  readonly #max: number;
  readonly #threads: Pick<JobThreads<RingMemory, string>, 'run' | 'rest' | 'close'>;
  #busy = 0;
  #cancelDismissal: () => void = () => {};
  #stopped = false;

  constructor({ clock, max = Math.max(1, Math.min(4, availableParallelism() - 1)), threads }: Md5ThreadsOptions) {
    this.#clock = clock;
    this.#max = max;
    this.#threads = threads ?? new JobThreads(() => new Worker(new URL('./md5.worker.ts', import.meta.url), { env: {}, execArgv: [] }));
  }

  /** For a body of so many bytes; undefined when it is too small, or all threads are at work: then it is hashed where it is taken. */
  begin(sizeBytes: number): BodyMd5 | undefined {
    if (sizeBytes < THREAD_FROM_BYTES || this.#busy >= this.#max || this.#stopped) return undefined;
    this.#busy += 1;
    this.#cancelDismissal();
    const ring = new Md5Ring();
    const result = this.#threads.run(ring.memory).finally(() => this.#free());
    let ended = false;
    // The failure is seen by who waits for the result, or for room that nobody makes any more.
    result.catch(() => {
      ended = true;
      ring.wakeWriter();
    });
    return {
      async update(chunk) {
        for (let at = 0; at < chunk.byteLength; ) {
          at += ring.write(chunk.subarray(at));
          if (at < chunk.byteLength) await ring.room();
          if (ended) await result;
        }
      },
      finish() {
        ring.end('complete');
        return result;
      },
      abandon: () => ring.end('abandoned'),
    };
  }

  #free(): void {
    this.#busy -= 1;
    if (this.#busy === 0 && !this.#stopped) this.#cancelDismissal = this.#clock.after(IDLE_MS, () => this.#threads.rest());
  }

  /** Ends the threads; bodies under way fail. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelDismissal();
    await this.#threads.close();
  }
}
