/** Asks the origin what changed and applies it: on start, on reconnect, and now and then. This is what makes the edge correct. */
import { type Change, SluiceError, selectorOf } from '@sluice/contracts';
import type { Clock, Logger, Rng } from '@sluice/runtime';
import type { CatalogIndex, IndexChange } from '../adapters/catalog-index.ts';
import type { OriginPort } from './origin-port.ts';
import type { Replica } from './replica.ts';

/** The interval varies by this share, so that edges started together do not ask together. */
const JITTER_SHARE = 0.2;
/** Waits after failures: doubled from the first up to the last. */
const RETRY_FIRST_MS = 500;
const RETRY_LAST_MS = 15_000;

export interface CatchUpOptions {
  readonly index: CatalogIndex;
  readonly replica: Replica;
  readonly origin: OriginPort;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
  readonly intervalMs: number;
  /** Called after each completed run. */
  readonly onCompleted: (changes: number) => void;
  readonly onFailed: () => void;
}

export class CatchUp {
  readonly #options: CatchUpOptions;
  #running: Promise<boolean> | undefined;
  #again = false;
  #failures = 0;
  #completedAtMs: number | undefined;
  #cancelTimer: () => void = () => {};
  #stopped = false;

  constructor(options: CatchUpOptions) {
    this.#options = options;
  }

  /** When everything was last known, milliseconds since the epoch; undefined before the first time in this process. */
  get completedAtMs(): number | undefined {
    return this.#completedAtMs;
  }

  /** Catches up now; when that is under way already, once more after it. Resolves to whether it succeeded; then schedules the next. */
  async run(): Promise<boolean> {
    if (this.#running !== undefined) {
      this.#again = true;
      return this.#running;
    }
    this.#cancelTimer();
    this.#running = this.#repeat();
    const succeeded = await this.#running;
    this.#running = undefined;
    if (!this.#stopped) this.#schedule(succeeded);
    return succeeded;
  }

  /** What has just been heard of may be missing in what is being asked for. */
  askAgain(): void {
    if (this.#running !== undefined) this.#again = true;
  }

  async #repeat(): Promise<boolean> {
    let succeeded = false;
    do {
      this.#again = false;
      succeeded = await this.#once();
    } while (this.#again && succeeded && !this.#stopped);
    return succeeded;
  }

  #schedule(succeeded: boolean): void {
    const { intervalMs, rng, clock } = this.#options;
    const jittered = intervalMs * (1 - JITTER_SHARE + 2 * JITTER_SHARE * rng());
    const delayMs = succeeded ? jittered : Math.min(jittered, RETRY_LAST_MS, RETRY_FIRST_MS * 2 ** Math.min(this.#failures - 1, 10));
    this.#cancelTimer = clock.after(delayMs, () => void this.run());
  }

  async #once(): Promise<boolean> {
    const { log, clock, onCompleted, onFailed } = this.#options;
    try {
      const startedAtMs = clock.nowMs();
      const changes = await this.#pages();
      this.#failures = 0;
      // What was true when it was asked for is known since then.
      this.#completedAtMs = startedAtMs;
      onCompleted(changes);
      return true;
    } catch (err) {
      this.#failures += 1;
      onFailed();
      // One line when it begins to fail, not one for each attempt.
      if (this.#failures === 1 && !this.#stopped) log.warn({ err }, 'catch-up failed, trying again');
      return false;
    }
  }

  async #pages(): Promise<number> {
    const { index, replica, origin, log } = this.#options;
    let since = index.watermark;
    let catalogId = index.catalogId;
    let listing = false;
    /** The horizon that reading from the beginning began with. */
    let horizon: number | undefined;
    let count = 0;
    const { generation } = index;
    for (;;) {
      const page = await origin.changes(since, catalogId, horizon);
      // What was read so far went into an index that was given up.
      if (index.generation !== generation)
        throw new SluiceError('INDEX_REPLACED', 'the index was begun anew meanwhile', { retryable: true });
      if (since === 0 || page.reset) horizon = page.horizon;
      // Another catalog than before is another feed, also when nothing was known of it yet.
      const startsOver = page.reset || (catalogId !== undefined && page.catalogId !== catalogId);
      if (startsOver ? listing : !page.done && page.next <= since) {
        throw new SluiceError('FEED_STUCK', `the change feed does not get beyond version ${since}`, { retryable: true });
      }
      if (startsOver) {
        log.info({ since, catalogId: page.catalogId }, 'the feed starts over, listing everything');
        listing = true;
        index.beginListing();
      }
      const changes = page.changes.map(toIndexChange);
      for (const effect of index.applyPage(changes, listing)) replica.settle(effect);
      count += changes.length;
      since = page.next;
      catalogId = page.catalogId;
      if (listing && page.done) {
        const forgotten = index.forgetUnlisted(page.next);
        replica.letGo(forgotten);
        log.info({ forgotten: forgotten.length }, 'listing complete');
      }
      // A listing counts only as a whole; else each page is known for good, and a broken run goes on from there.
      if (!listing || page.done) index.advanceWatermark(page.next, page.catalogId, page.done);
      if (page.done) return count;
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer();
  }
}

function toIndexChange(change: Change): IndexChange {
  switch (change.op) {
    case 'store':
      return { op: 'store', manifest: change.manifest, provenance: { kind: 'announced' } };
    case 'remove':
      return change;
    case 'invalidate':
      return { op: 'invalidate', invalidation: { selector: selectorOf(change), version: change.version, mode: change.mode } };
  }
}
