import { Worker } from 'node:worker_threads';
import type { BlobRef } from '@sluice/blobs';
import { type BlockDigests, blockBytesFor, SluiceError } from '@sluice/contracts';
import type { Clock, Logger } from '@sluice/runtime';
import { LRUCache } from 'lru-cache';
import PQueue from 'p-queue';
import type { OriginBlobs } from '../../services/origin-blobs.ts';
import type { OriginMetrics } from '../metrics.ts';
import { JobThreads } from './job-threads.ts';

/** Blobs being digested at once: more than one, so that a very large one does not hold up the others. */
const CONCURRENCY = 2;
/** Blobs that may wait for that. What finds no room is digested when it is asked for. */
export const WAITING_MAX = 1_000;
/** What an edge waits for goes before what was only uploaded. */
const ASKED_PRIORITY = 1;
/** After a failure, most likely of the disk, how long a blob is not tried again. */
const REST_MS = 60_000;
const RESTING_MAX = 1_000;
/** Threads with nothing to do are kept so long. */
const THREADS_IDLE_MS = 10_000;

/** What a thread is asked. */
export interface DigestJob {
  readonly path: string;
  readonly sizeBytes: number;
  readonly blockBytes: number;
}
/** What it found in the file. */
export interface FileDigests {
  readonly sha256: string;
  readonly digests: Uint8Array;
}

/** They are being made. */
export class BlocksPendingError extends SluiceError {
  constructor() {
    super('BLOCKS_PENDING', 'the digests of the blocks are being made; ask again later', { retryable: true });
    this.name = 'BlocksPendingError';
  }
}

/** There are none, and will not be soon. */
export class NoBlocksError extends SluiceError {
  constructor(reason: string) {
    super('NO_BLOCKS', `this blob has no digests of its blocks: ${reason}; wait for the whole of it`);
    this.name = 'NoBlocksError';
  }
}

export interface BlockDigestMakerOptions {
  readonly blobs: Pick<OriginBlobs, 'has' | 'size' | 'filePath' | 'blockDigests' | 'setBlockDigests' | 'bring'>;
  readonly threads?: Pick<JobThreads<DigestJob, FileDigests>, 'run' | 'rest' | 'close'>;
  readonly clock: Clock;
  readonly metrics: Pick<OriginMetrics, 'blockDigests'>;
  readonly log: Logger;
}

/** Makes the digests of the blocks of large blobs, each once, behind the announcement of the upload; what a crash or a full queue left out, when it is asked for. */
export class BlockDigestMaker {
  readonly #options: BlockDigestMakerOptions;
  readonly #threads: Pick<JobThreads<DigestJob, FileDigests>, 'run' | 'rest' | 'close'>;
  readonly #queue = new PQueue({ concurrency: CONCURRENCY });
  /** Waiting or being digested, and those of them that wait. */
  readonly #underWay = new Set<string>();
  readonly #waiting = new Set<string>();
  readonly #restingUntilMs = new LRUCache<string, number>({ max: RESTING_MAX });
  #cancelDismissal: () => void = () => {};
  #stopped = false;

  constructor(options: BlockDigestMakerOptions) {
    this.#options = options;
    this.#threads =
      options.threads ?? new JobThreads(() => new Worker(new URL('./digest.worker.ts', import.meta.url), { env: {}, execArgv: [] }));
  }

  /** A blob was uploaded and announced. */
  offer({ sha256, size }: BlobRef): void {
    const blockBytes = blockBytesFor(size);
    if (blockBytes === undefined || this.#underWay.has(sha256)) return;
    if (this.#queue.size < WAITING_MAX) this.#add({ sha256, size }, blockBytes, 0);
    else this.#options.metrics.blockDigests.inc({ outcome: 'skipped' });
  }

  /** @throws {BlocksPendingError | NoBlocksError} or BLOB_MISSING */
  of(sha256: string): BlockDigests {
    const { blobs, clock } = this.#options;
    const size = blobs.size(sha256);
    if (size === undefined) throw new SluiceError('BLOB_MISSING', `no blob ${sha256} is held`);
    const known = blobs.blockDigests(sha256);
    if (known !== undefined) return known;
    const blockBytes = blockBytesFor(size);
    if (blockBytes === undefined) throw new NoBlocksError(`it has ${size} bytes`);
    if ((this.#restingUntilMs.get(sha256) ?? Number.NEGATIVE_INFINITY) > clock.monotonicMs()) {
      throw new NoBlocksError('they could not be made a moment ago');
    }
    if (this.#waiting.has(sha256)) this.#queue.setPriority(sha256, ASKED_PRIORITY);
    else if (!this.#underWay.has(sha256) && this.#queue.size < WAITING_MAX) this.#add({ sha256, size }, blockBytes, ASKED_PRIORITY);
    throw new BlocksPendingError();
  }

  #add(ref: BlobRef, blockBytes: number, priority: number): void {
    this.#cancelDismissal();
    this.#underWay.add(ref.sha256);
    this.#waiting.add(ref.sha256);
    void this.#queue.add(() => this.#make(ref, blockBytes), { id: ref.sha256, priority }).then(() => this.#made(ref.sha256));
  }

  #made(sha256: string): void {
    this.#underWay.delete(sha256);
    if (this.#stopped || this.#underWay.size > 0) return;
    this.#cancelDismissal = this.#options.clock.after(THREADS_IDLE_MS, () => this.#threads.rest());
  }

  async #make({ sha256, size }: BlobRef, blockBytes: number): Promise<void> {
    this.#waiting.delete(sha256);
    // The answer to the upload and its event go first.
    await new Promise((resolve) => setImmediate(resolve));
    const { blobs, metrics, log } = this.#options;
    if (this.#stopped || blobs.size(sha256) === undefined || blobs.blockDigests(sha256) !== undefined) return;
    let isHere = false;
    try {
      // It is at a source, and larger than what is kept here of it.
      if (!blobs.has(sha256) && (await blobs.bring?.(sha256)) === false) return this.#rest(sha256);
      isHere = true;
      const made = await this.#threads.run({ path: blobs.filePath(sha256), sizeBytes: size, blockBytes });
      if (made.sha256 !== sha256) throw new SluiceError('BLOB_MISMATCH', `the file of blob ${sha256} has other bytes: ${made.sha256}`);
      blobs.setBlockDigests(sha256, { blockBytes, digests: made.digests });
      metrics.blockDigests.inc({ outcome: 'made' });
    } catch (err) {
      // The blob was deleted, or let go by a cache, or the origin is stopping: nobody misses them.
      if (this.#stopped || blobs.size(sha256) === undefined || (isHere && !blobs.has(sha256))) return;
      this.#rest(sha256);
      metrics.blockDigests.inc({ outcome: 'failed' });
      log.warn({ err, sha256 }, 'the digests of the blocks of a blob could not be made');
    }
  }

  /** Without them an edge waits for the whole. */
  #rest(sha256: string): void {
    this.#restingUntilMs.set(sha256, this.#options.clock.monotonicMs() + REST_MS);
  }

  /** Resolves when nothing waits. */
  async idle(): Promise<void> {
    await this.#queue.onIdle();
  }

  /** Ends what is under way, unfinished: it is made when it is asked for. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelDismissal();
    await this.#threads.close();
    await this.#queue.onIdle();
  }
}
