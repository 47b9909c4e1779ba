/**
 * The bytes of an origin that stands on a source: read there, verified, and kept in a cache within a bound. What is in the cache comes from it; what fits is brought into it, once
 * however many ask, and read while it comes; what does not fit is read straight. Bytes that are at no source (variants, patches, earlier versions) may be had elsewhere, or are
 * made again.
 */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { BlobDamagedError, BlobMismatchError, BlobMissingError, type BlobRef, type BlobStore, DiskFullError } from '@sluice/blobs';
import type { BlockDigests } from '@sluice/contracts';
import type { Clock, Logger } from '@sluice/runtime';
import { LRUCache } from 'lru-cache';
import { noteBufferPassed } from '../adapters/buffer-collection.ts';
import type { OriginMetrics } from '../adapters/metrics.ts';
import { CacheBudget } from './cache-budget.ts';
import { CacheWriter } from './cache-writer.ts';
import { FillReader } from './fill-reader.ts';
import { FillTurns } from './fill-turns.ts';
import type { DerivedWriter, OpenBlob, OriginBlobs, ReadSpan } from './origin-blobs.ts';
import { type Coming, partOf, type Supply, type Watch } from './source-chunks.ts';
import { SourceChangedError } from './source-errors.ts';
import { SourceFills } from './source-fills.ts';
import { type Ingested, ingest } from './source-ingest.ts';
import type { ContentSource, OpenSourceObject, SourceObject, SourceRange } from './source-port.ts';
import { SourcedReader } from './sourced-reader.ts';
import { StraightReads, type StraightStream } from './straight-reads.ts';

/** Of the cache: the largest blob it takes. So one large object never takes all the room of the others. */
const KEPT_SHARE = 1 / 4;
/** What is soon over has turns of its own and does not wait for what is not; up to so many bytes. */
const SHORT_MAX_BYTES = 1024 * 1024;
/** Under way at once, and of the cache what they may take. */
export const SHORT_FILLS_MAX = 16;
const SHORT_FILLS_SHARE = 1 / 4;
export const LONG_FILLS_MAX = 8;
const LONG_FILLS_SHARE = 1 / 2;
/** Of each kind. */
export const WAITING_FILLS_MAX = 1_000;
/** Streams from the source beside the cache. Each visitor of a large object has one, for as long as he reads. */
export const STRAIGHT_MAX = 256;
/** After bytes turned out wrong, how long the same state is not read again: the key is being looked at. */
export const WRONG_REST_MS = 1_000;
const WRONG_MAX = 1_000;
/** How often a blob is looked for when it goes from the cache just after it has come. */
const LOOKUPS_MAX = 3;

/** What the catalog knows of a blob. */
export interface Located {
  /** Where its bytes are; undefined: at no source (a variant, a patch, an earlier version). */
  readonly object?: SourceObject | undefined;
  /** Bytes. */
  readonly size: number;
}

export interface SourcedBlobsOptions {
  /** The cache. */
  readonly store: BlobStore;
  readonly source: ContentSource;
  readonly locate: (sha256: string) => Located | undefined;
  /** Bytes that the source has not, from another origin; undefined when that has them not either. @throws when it cannot be asked */
  readonly elsewhere?: (ref: BlobRef) => Promise<AsyncIterable<Uint8Array> | undefined>;
  /** All bytes of a small blob from another origin that has read them already; undefined when none has. Spares the source being read by each origin. Never rejects. */
  readonly held?: (ref: BlobRef) => Promise<Uint8Array | undefined>;
  /** Makes derived bytes again and writes them here. Whether they are here now. */
  readonly remake?: (sha256: string) => Promise<boolean>;
  /** A state that the catalog knows is gone, or has other bytes: look at the key again. `isOther`: the bytes came, and were others. */
  readonly onGone: (key: string, isOther: boolean) => void;
  /** Bytes that were given as those of a blob may have been others: forget them. */
  readonly onWrong?: (sha256: string) => void;
  readonly isPinned: (sha256: string) => boolean;
  /** Of the cache. */
  readonly maxBytes: number;
  readonly clock: Clock;
  readonly metrics: Pick<OriginMetrics, 'sourceReads' | 'sourceBytes' | 'cacheEvictions' | 'cacheEvictedBytes'>;
  readonly log: Logger;
}

export class SourcedBlobs implements OriginBlobs {
  readonly #options: SourcedBlobsOptions;
  readonly #budget: CacheBudget;
  readonly #maxKeptBytes: number;
  readonly #shortTurns: FillTurns;
  readonly #longTurns: FillTurns;
  readonly #fills: SourceFills;
  readonly #straight: StraightReads;
  readonly #watch: Watch;
  readonly #stop = new AbortController();
  /** States whose bytes turned out wrong a moment ago. */
  readonly #wrongUntilMs = new LRUCache<string, number>({ max: WRONG_MAX });
  readonly #ingests = new Set<Promise<unknown>>();

  constructor(options: SourcedBlobsOptions) {
    this.#options = options;
    const { store, maxBytes, isPinned, clock, metrics } = options;
    const onBytes = (bytes: number): void => {
      metrics.sourceBytes.inc(bytes);
      noteBufferPassed(bytes);
    };
    this.#watch = { clock, signal: this.#stop.signal, onBytes };
    const onEvicted = (bytes: number): void => {
      metrics.cacheEvictions.inc();
      metrics.cacheEvictedBytes.inc(bytes);
    };
    this.#budget = new CacheBudget({ store, maxBytes, isPinned, clock, onEvicted });
    this.#maxKeptBytes = Math.floor(maxBytes * KEPT_SHARE);
    const turns = (maxFills: number, share: number) =>
      new FillTurns({ maxFills, maxBytes: maxBytes * share, maxWaiting: WAITING_FILLS_MAX });
    this.#shortTurns = turns(SHORT_FILLS_MAX, SHORT_FILLS_SHARE);
    this.#longTurns = turns(LONG_FILLS_MAX, LONG_FILLS_SHARE);
    const turnsFor = (bytes: number): FillTurns => (bytes <= SHORT_MAX_BYTES ? this.#shortTurns : this.#longTurns);
    const onEnded = (outcome: 'filled' | 'failed'): void => metrics.sourceReads.inc({ outcome });
    this.#fills = new SourceFills({ store, budget: this.#budget, turnsFor, watch: this.#watch, onEnded });
    this.#straight = new StraightReads(this.#watch, STRAIGHT_MAX);
  }

  /** For gauges. */
  get load() {
    const [short, long] = [this.#shortTurns.load, this.#longTurns.load];
    return {
      fills: short.fills + long.fills,
      fillingBytes: short.bytes + long.bytes,
      waitingFills: short.waiting + long.waiting,
      straight: this.#straight.size,
      usedBytes: this.#budget.usedBytes,
      reservedBytes: this.#budget.reservedBytes,
    };
  }

  has(sha256: string): boolean {
    return this.#options.store.has(sha256);
  }

  size(sha256: string): number | undefined {
    return this.#options.store.size(sha256) ?? this.#options.locate(sha256)?.size;
  }

  /** Nothing is read at the source before the blob is read. */
  async reader(sha256: string): Promise<OpenBlob> {
    const cached = await this.#cached(sha256);
    if (cached !== undefined) return cached;
    const ref = { sha256, size: this.#locate(sha256).size };
    return new SourcedReader(ref, { open: () => this.#open(ref), stream: (span) => this.#stream(ref, span) });
  }

  async readAll(sha256: string): Promise<Uint8Array> {
    const reader = await this.reader(sha256);
    try {
      return await reader.read(0, reader.ref.size);
    } finally {
      await reader.close();
    }
  }

  async bring(sha256: string): Promise<boolean> {
    if (this.has(sha256)) return true;
    const ref = { sha256, size: this.#locate(sha256).size };
    if (ref.size > this.#maxKeptBytes) return false;
    const reader = await this.#open(ref);
    try {
      // Of what comes, the end is there when it is verified.
      if (reader instanceof FillReader) await reader.ended;
      return reader !== undefined && this.has(sha256);
    } finally {
      await reader?.close();
    }
  }

  /** Undefined when it is not in the cache. */
  async #cached(sha256: string): Promise<OpenBlob | undefined> {
    const { store } = this.#options;
    if (!store.has(sha256)) return undefined;
    try {
      const reader = await store.reader(sha256);
      this.#budget.used(sha256);
      return reader;
    } catch (error) {
      // It has gone just now.
      if (error instanceof BlobMissingError) return undefined;
      if (!(error instanceof BlobDamagedError)) throw error;
      // Where it came from it is right.
      store.delete(sha256);
      return undefined;
    }
  }

  #locate(sha256: string): Located {
    const located = this.#options.locate(sha256);
    if (located === undefined) throw new BlobMissingError(sha256);
    return located;
  }

  /** From the cache, or as it comes into it. Undefined: read it straight. */
  async #open(ref: BlobRef): Promise<OpenBlob | undefined> {
    for (let lookup = 1; lookup <= LOOKUPS_MAX; lookup += 1) {
      const cached = await this.#cached(ref.sha256);
      if (cached !== undefined || ref.size > this.#maxKeptBytes) return cached;
      const located = this.#locate(ref.sha256);
      try {
        return await this.#fills.open(ref, this.#supply(ref, located));
      } catch (error) {
        if (error instanceof DiskFullError) return undefined;
        // Made again, or gone from the cache as soon as it had come.
        const isHere = located.object === undefined ? await this.#options.remake?.(ref.sha256) : error instanceof BlobMissingError;
        if (isHere !== true) throw error;
      }
    }
    return undefined;
  }

  #stream(ref: BlobRef, span: ReadSpan): StraightStream {
    const stream = this.#straight.stream(ref, this.#supply(ref, this.#locate(ref.sha256)), span);
    this.#options.metrics.sourceReads.inc({ outcome: 'straight' });
    return stream;
  }

  /** @throws {SourceChangedError} when this state turned out wrong a moment ago */
  #supply(ref: BlobRef, { object }: Located): Supply {
    const state = `${ref.sha256} ${object?.revision ?? ''}`;
    const { clock, source } = this.#options;
    if ((this.#wrongUntilMs.get(state) ?? Number.NEGATIVE_INFINITY) > clock.monotonicMs()) throw new SourceChangedError(ref.sha256);
    return {
      title: object === undefined ? 'other origin' : source.title,
      open: async (range) =>
        object === undefined ? this.#openElsewhere(ref, range) : ((await this.#openHeld(ref, range)) ?? source.open(object, range)),
      wrong: (cause) => this.#wrong(ref.sha256, object, state, cause),
    };
  }

  #wrong(sha256: string, object: SourceObject | undefined, state: string, cause: unknown): Error {
    const { clock, onGone, onWrong, metrics, log } = this.#options;
    this.#wrongUntilMs.set(state, clock.monotonicMs() + WRONG_REST_MS);
    metrics.sourceReads.inc({ outcome: 'changed' });
    log.info({ key: object?.key, sha256, err: cause }, 'bytes are not what the catalog says, looking again');
    onWrong?.(sha256);
    if (object !== undefined) onGone(object.key, cause instanceof BlobMismatchError);
    return new SourceChangedError(sha256, cause);
  }

  /** Bytes that are not the blob's are as good as none: the source has the right ones. */
  async #openHeld(ref: BlobRef, range: SourceRange | undefined): Promise<Coming | undefined> {
    if (range !== undefined) return undefined;
    const bytes = await this.#options.held?.(ref);
    if (bytes === undefined || createHash('sha256').update(bytes).digest('hex') !== ref.sha256) return undefined;
    return { chunks: Readable.from([bytes]), close: async () => {} };
  }

  async #openElsewhere(ref: BlobRef, range: SourceRange | undefined): Promise<Coming> {
    const chunks = await this.#options.elsewhere?.(ref);
    if (chunks === undefined) throw new BlobMissingError(ref.sha256);
    return partOf(chunks, range);
  }

  filePath(sha256: string): string {
    return this.#options.store.filePath(sha256);
  }
  blockDigests(sha256: string): BlockDigests | undefined {
    return this.#options.store.blockDigests(sha256);
  }
  setBlockDigests(sha256: string, blocks: BlockDigests): void {
    this.#options.store.setBlockDigests(sha256, blocks);
  }

  /** For bytes that were made of others. They may be evicted like all others. */
  writer(): DerivedWriter {
    return new CacheWriter(this.#options.store.writer(this.#budget.nextRank()), this.#budget);
  }

  /**
   * Names an object that was opened, in one pass over its bytes, closes it, and keeps the bytes where they fit. `keep`: false leaves the cache as it is, for a first pass over far
   * more than it has room for.
   * @throws {RevisionGoneError | SourceAwayError}
   */
  ingest(object: SourceObject, opened: Pick<OpenSourceObject, 'chunks' | 'close'>, { keep = true } = {}): Promise<Ingested> {
    const { store, source } = this.#options;
    const parts = { store, budget: this.#budget, maxKeptBytes: this.#maxKeptBytes, title: source.title, watch: this.#watch };
    const ingesting = ingest(parts, object, opened, keep).finally(() => this.#ingests.delete(ingesting));
    this.#ingests.add(ingesting);
    return ingesting;
  }

  /** Resolves when nothing comes into the cache any more. */
  async idle(): Promise<void> {
    await this.#fills.idle();
    await Promise.allSettled(this.#ingests);
  }

  /** Ends all that is under way, unfinished, and reads no more at the source. What is in the cache can still be read. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#shortTurns.stop();
    this.#longTurns.stop();
    this.#straight.close();
    await this.idle();
    this.#budget.stop();
  }
}
