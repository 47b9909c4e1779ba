import { Worker } from 'node:worker_threads';
import type { CodingEffort } from '../../domain/content-coding.ts';

/** What a thread is asked: the content in each of the codings, as far as at most `maxBytes` come out. */
export interface CodingJob {
  readonly bytes: Uint8Array;
  readonly efforts: readonly CodingEffort[];
  readonly maxBytes: number;
}
export interface Coded {
  readonly coding: CodingEffort['coding'];
  readonly bytes: Uint8Array;
}

/** Codes content on threads of their own, one job each at a time. They are started when they are needed; how many, the callers decide. */
export class CodingThreads {
  readonly #start: () => Worker;
  readonly #idle: Worker[] = [];
  readonly #busy = new Set<Worker>();
  #closed = false;

  /** `start`: for tests. */
  constructor(start: () => Worker = startThread) {
    this.#start = start;
  }

  /** Rejects when the bytes cannot be coded or the thread dies over them; the next job gets another thread. */
  async encode(job: CodingJob): Promise<Coded[]> {
    if (this.#closed) throw new Error('no more content is coded');
    const thread = this.#idle.pop() ?? this.#add();
    this.#busy.add(thread);
    try {
      const coded = await ask(thread, job);
      if (!this.#closed) this.#idle.push(thread);
      return coded;
    } catch (error) {
      void thread.terminate();
      throw error;
    } finally {
      this.#busy.delete(thread);
    }
  }

  #add(): Worker {
    const thread = this.#start();
    // Whoever waits for it hears of it by `ask`.
    thread.on('error', () => {});
    thread.once('exit', () => {
      const at = this.#idle.indexOf(thread);
      if (at !== -1) this.#idle.splice(at, 1);
    });
    return thread;
  }

  /** Ends the threads that have nothing to do. */
  rest(): void {
    for (const thread of this.#idle.splice(0)) void thread.terminate();
  }

  /** Ends all of them; what they are at is rejected. A thread inside of one coding ends after it, which takes some seconds at most. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#idle.splice(0), ...this.#busy].map((thread) => thread.terminate()));
  }
}

function startThread(): Worker {
  const thread = new Worker(new URL('./coding.worker.ts', import.meta.url), { env: {}, execArgv: [] });
  thread.unref();
  return thread;
}

function ask(thread: Worker, job: CodingJob): Promise<Coded[]> {
  const { promise, resolve, reject } = Promise.withResolvers<Coded[]>();
  const onExit = (): void => reject(new Error('the coding thread ended'));
  thread.once('message', resolve).once('messageerror', reject).once('error', reject).once('exit', onExit);
  const { buffer, byteLength } = job.bytes;
  // Moved where it is all that the buffer holds, copied where it is a part of it.
  thread.postMessage(job, buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : []);
  return promise.finally(() => thread.off('message', resolve).off('messageerror', reject).off('error', reject).off('exit', onExit));
}
