import { Worker } from 'node:worker_threads';
import type { CodingEffort } from '../../domain/content-coding.ts';
import { JobThreads } from './job-threads.ts';

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

/** Codes content on threads of their own. A thread inside of one coding ends after it, which takes some seconds at most. */
export class CodingThreads extends JobThreads<CodingJob, Coded[]> {
  /** `start`: for tests. */
  constructor(start: () => Worker = () => new Worker(new URL('./coding.worker.ts', import.meta.url), { env: {}, execArgv: [] })) {
    super(start);
  }

  /** Rejects when the bytes cannot be coded or the thread dies over them. */
  encode(job: CodingJob): Promise<Coded[]> {
    const { buffer, byteLength } = job.bytes;
    // Moved where it is all that the buffer holds, copied where it is a part of it.
    return this.run(job, buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? [buffer] : []);
  }
}
