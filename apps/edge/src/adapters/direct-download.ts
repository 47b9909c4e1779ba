/**
 * Large blobs straight from the origin over HTTP into a file, where this edge can reach it. A short cut: whatever fails here is brought over the
 * broker. The bytes go through a thread of its own, which verifies them too: the thread that serves never sees them.
 */
import { Worker } from 'node:worker_threads';
import type { IncomingFile } from '@sluice/blobs';
import type { Clock, Logger } from '@sluice/runtime';
import PQueue from 'p-queue';

/** After a failure to get through, how long the short cut is not tried. */
const UNUSABLE_MS = 30_000;
const CONCURRENT_DOWNLOADS = 4;

/** What the thread is asked. */
export interface DownloadJob {
  readonly id: number;
  readonly url: string;
  readonly path: string;
  readonly growth: SharedArrayBuffer;
  readonly sha256: string;
  readonly sizeBytes: number;
}
/** What it answers: nothing wrong, or what. */
export interface DownloadResult {
  readonly id: number;
  readonly problem: Problem | undefined;
  /** Of the blocks of the file, when all is there; see `BlockChecks`. */
  readonly checks?: Uint8Array;
}
/** `missing`: the origin was reached and has other things to say than the blob, or nobody wants it any more. Else it could not be read this way. */
export interface Problem {
  readonly message: string;
  readonly missing: boolean;
}

export class DirectDownload {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #queue = new PQueue({ concurrency: CONCURRENT_DOWNLOADS });
  readonly #waiting = new Map<number, (result: Omit<DownloadResult, 'id'>) => void>();
  #worker: Worker | undefined;
  #nextId = 1;
  #baseUrl: string | undefined;
  #unusableUntilMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Where the origin says its blobs are; undefined: nowhere. Only plain HTTP is taken. */
  learn(baseUrl: string | undefined): void {
    if (baseUrl === this.#baseUrl) return;
    this.#baseUrl = baseUrl?.startsWith('http://') === true ? baseUrl : undefined;
    this.#unusableUntilMs = Number.NEGATIVE_INFINITY;
  }

  /** Brings a blob into a new file. True when exactly its bytes are there; false: bring the rest, or all of it, another way. Never rejects. */
  async download(
    sha256: string,
    sizeBytes: number,
    file: Pick<IncomingFile, 'path' | 'growth'> & Partial<Pick<IncomingFile, 'noteChecks'>>,
  ): Promise<boolean> {
    const { path, growth } = file;
    const baseUrl = this.#baseUrl;
    if (baseUrl === undefined || this.#clock.monotonicMs() < this.#unusableUntilMs) return false;
    const { problem, checks } = await this.#queue.add(() =>
      this.#ask({ url: `${baseUrl}/${sha256}`, path, growth: growth.buffer, sha256, sizeBytes }),
    );
    if (checks !== undefined) file.noteChecks?.(checks);
    if (problem === undefined) return true;
    if (problem.missing) return false;
    this.#unusableUntilMs = this.#clock.monotonicMs() + UNUSABLE_MS;
    this.#log.info({ problem: problem.message, baseUrl }, 'blobs cannot be read directly now, reading over the broker');
    return false;
  }

  #ask(job: Omit<DownloadJob, 'id'>): Promise<Omit<DownloadResult, 'id'>> {
    return new Promise((resolve) => {
      const id = this.#nextId++;
      this.#waiting.set(id, resolve);
      this.#worker ??= this.#start();
      this.#worker.postMessage({ ...job, id } satisfies DownloadJob);
    });
  }

  #start(): Worker {
    const worker = new Worker(new URL('./direct-download.worker.ts', import.meta.url), { env: {}, execArgv: [] });
    worker.unref();
    worker.on('message', ({ id, ...result }: DownloadResult) => {
      this.#waiting.get(id)?.(result);
      this.#waiting.delete(id);
    });
    worker.on('error', (error) => this.#fail(`the download thread failed: ${(error as Error).message}`));
    worker.on('exit', () => this.#fail('the download thread ended'));
    return worker;
  }

  #fail(message: string): void {
    this.#worker = undefined;
    const problem: Problem = { message, missing: false };
    for (const resolve of this.#waiting.values()) resolve({ problem });
    this.#waiting.clear();
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
  }
}
