import type { BlobStore } from '@sluice/blobs';
import type { Logger } from '@sluice/runtime';
import type { OriginMetrics } from '../metrics.ts';

/** Blobs removed, or looked at, before other work gets its turn. */
const TURN_MAX_DELETES = 16;
const TURN_MAX_LISTED = 500;
/** Candidates remembered; beyond it a sweep over everything takes their place. */
const CANDIDATES_MAX = 100_000;

export interface GarbageOptions {
  readonly blobs: BlobStore;
  readonly isReferenced: (sha256: string) => boolean;
  readonly metrics: OriginMetrics;
  readonly log: Logger;
  readonly maxCandidates?: number;
}

/**
 * Removes bytes that nothing names. A blob is removed only in the same turn of the event loop in which it is neither named by the catalog nor
 * pinned, so nothing can come to need it in between.
 */
export class GarbageCollector {
  readonly #options: GarbageOptions;
  readonly #maxCandidates: number;
  readonly #pins = new Map<string, number>();
  readonly #candidates = new Set<string>();
  #sweepAfter: string | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(options: GarbageOptions) {
    this.#options = options;
    this.#maxCandidates = options.maxCandidates ?? CANDIDATES_MAX;
  }

  /** Keeps bytes that are in the store, or about to be, and not yet in the catalog. Call the result once, after that has changed or failed. */
  pin(sha256: string): () => void {
    this.#pins.set(sha256, (this.#pins.get(sha256) ?? 0) + 1);
    return () => {
      const left = (this.#pins.get(sha256) ?? 1) - 1;
      if (left > 0) this.#pins.set(sha256, left);
      else this.#pins.delete(sha256);
    };
  }

  /** Whether somebody needs bytes to stay. */
  isPinned(sha256: string): boolean {
    return this.#pins.has(sha256);
  }

  /** Names bytes that may be unused now. */
  offer(checksums: readonly string[]): void {
    for (const sha256 of checksums) this.#candidates.add(sha256);
    if (this.#candidates.size > this.#maxCandidates) {
      this.#candidates.clear();
      this.#sweepAfter = '';
    }
    this.#start();
  }

  /** Looks at everything that the store holds. */
  sweep(): void {
    this.#sweepAfter = '';
    this.#start();
  }

  /** Resolves when nothing is left to look at. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.idle();
  }

  #start(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async #run(): Promise<void> {
    do {
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#stopped) return;
      try {
        this.#turn();
      } catch (err) {
        // A failing disk must not end collecting for ever: the next offer goes on, and the sweep at the next start.
        this.#options.log.error({ err }, 'garbage could not be removed');
        return;
      }
    } while (this.#candidates.size > 0 || this.#sweepAfter !== undefined);
  }

  #turn(): void {
    let deletes = 0;
    for (const sha256 of this.#candidates) {
      if (deletes >= TURN_MAX_DELETES) return;
      this.#candidates.delete(sha256);
      try {
        if (this.#collect(sha256)) deletes += 1;
      } catch (error) {
        // Behind the others, so that one that cannot be removed holds up none of them.
        this.#candidates.add(sha256);
        throw error;
      }
    }
    if (this.#sweepAfter === undefined) return;
    const page = this.#options.blobs.list(this.#sweepAfter, TURN_MAX_LISTED);
    for (const { sha256 } of page) {
      this.#sweepAfter = sha256;
      if (this.#collect(sha256)) deletes += 1;
      if (deletes >= TURN_MAX_DELETES) return;
    }
    if (page.length < TURN_MAX_LISTED) this.#sweepAfter = undefined;
  }

  #collect(sha256: string): boolean {
    const { blobs, isReferenced, metrics } = this.#options;
    if (this.#pins.has(sha256) || isReferenced(sha256) || blobs.size(sha256) === undefined) return false;
    metrics.garbageBytes.inc(blobs.delete(sha256));
    metrics.garbageBlobs.inc();
    return true;
  }
}
