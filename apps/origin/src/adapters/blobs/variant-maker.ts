import type { BlobRef } from '@sluice/blobs';
import { type Manifest, SluiceError, type Variant } from '@sluice/contracts';
import type { Clock, Logger } from '@sluice/runtime';
import { LRUCache } from 'lru-cache';
import PQueue from 'p-queue';
import { codingEfforts, wantsVariants, worthwhileBytes } from '../../domain/content-coding.ts';
import type { DerivedWriter, OriginBlobs } from '../../services/origin-blobs.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { WaitingKey } from '../catalog/variant-table.ts';
import type { OriginMetrics } from '../metrics.ts';
import type { Coded, CodingThreads } from './coding-threads.ts';
import type { GarbageCollector } from './garbage-collector.ts';

/** Keys taken out of the catalog to wait in memory. */
export const WAITING_MAX = 64;
/** Pause after a failure, most likely of the disk. */
const REST_MS = 10_000;
/** Threads with nothing to do are kept so long. */
const THREADS_IDLE_MS = 10_000;
/** Variants that may wait to be made again. */
export const REMAKES_WAITING_MAX = 64;
/** Variants remembered as ones that do not come out as they were: coders differ between versions of Node. */
const UNLIKE_MAX = 1_000;
/** Bytes hashed and written before others get their turn. */
const SLICE_BYTES = 256 * 1024;

/** No more variants can wait to be made again. */
export class RemakesBusyError extends SluiceError {
  constructor() {
    super('BUSY', `${REMAKES_WAITING_MAX} variants wait to be made again already; ask again later`, { retryable: true });
    this.name = 'RemakesBusyError';
  }
}

export interface VariantMakerOptions {
  readonly catalog: Catalog;
  readonly blobs: Pick<OriginBlobs, 'size' | 'has' | 'readAll' | 'writer'>;
  readonly garbage: GarbageCollector;
  readonly threads: Pick<CodingThreads, 'encode' | 'rest' | 'close'>;
  /** Contents worked on at once; 0: none, and the keys wait for a start that allows some. */
  readonly concurrency: number;
  /** Whether it is for this origin to make variants, of several that have the same catalog. They are asked to wake now and then. */
  readonly isTurn?: () => boolean;
  readonly clock: Clock;
  readonly metrics: OriginMetrics;
  readonly log: Logger;
}

/** Makes the variants of what was uploaded, each content once, after it was announced, and announces them when all of them are stored. */
export class VariantMaker {
  readonly #options: VariantMakerOptions;
  readonly #queue: PQueue;
  /** One job per content, however many keys have it. */
  readonly #underWay = new Map<string, Promise<void>>();
  readonly #remakes: PQueue;
  /** One job per variant, however many ask for it. */
  readonly #remaking = new Map<string, Promise<boolean>>();
  readonly #unlike = new LRUCache<string, true>({ max: UNLIKE_MAX });
  /** The last that was taken out of the catalog. */
  #lastSeq = 0;
  #resting = false;
  #cancelRest: () => void = () => {};
  #cancelDismissal: () => void = () => {};
  #stopped = false;

  constructor(options: VariantMakerOptions) {
    this.#options = options;
    this.#queue = new PQueue({ concurrency: Math.max(1, options.concurrency) });
    this.#remakes = new PQueue({ concurrency: Math.max(1, options.concurrency) });
  }

  /** There may be keys that wait. */
  wake(): void {
    const { catalog, concurrency, isTurn = () => true } = this.#options;
    const room = WAITING_MAX - this.#queue.size;
    if (this.#stopped || this.#resting || concurrency === 0 || room <= 0 || !isTurn()) return;
    for (const waiting of catalog.variants.waiting(this.#lastSeq, room)) {
      this.#lastSeq = waiting.seq;
      void this.#queue.add(() => this.#serve(waiting)).then(() => this.#served());
    }
  }

  #served(): void {
    this.wake();
    this.#dismissWhenIdle();
  }

  #dismissWhenIdle(): void {
    this.#cancelDismissal();
    const { clock, threads } = this.#options;
    const jobs = [this.#queue, this.#remakes].reduce((sum, { size, pending }) => sum + size + pending, 0);
    if (!this.#stopped && jobs === 0) {
      this.#cancelDismissal = clock.after(THREADS_IDLE_MS, () => threads.rest());
    }
  }

  /** Resolves when nothing waits in memory. */
  async idle(): Promise<void> {
    await this.#queue.onIdle();
  }

  async #serve(waiting: WaitingKey): Promise<void> {
    // The answer to the upload and its event go first.
    await new Promise((resolve) => setImmediate(resolve));
    const { catalog } = this.#options;
    try {
      if (this.#stopped) return;
      const manifest = catalog.find(waiting.key)?.manifest;
      if (manifest !== undefined && wantsVariants(manifest, manifest.size)) await this.#ensure(manifest);
      await catalog.coding.announce(waiting);
    } catch (err) {
      if (!this.#stopped) await this.#fail(waiting, err);
    }
  }

  /** A variant is a saving, not a need: without it everybody gets the content as it was uploaded. */
  async #fail(waiting: WaitingKey, err: unknown): Promise<void> {
    const { catalog, clock, metrics, log } = this.#options;
    metrics.variants.inc({ outcome: 'failed' });
    log.warn({ err, key: waiting.key }, 'variants could not be made');
    this.#rest(clock);
    await catalog.coding.postpone(waiting).catch((error: unknown) => {
      log.warn({ err: error, key: waiting.key }, 'variants are made after the next start only');
    });
  }

  #rest(clock: Clock): void {
    if (this.#resting) return;
    this.#resting = true;
    this.#queue.pause();
    this.#cancelRest = clock.after(REST_MS, () => {
      this.#resting = false;
      this.#queue.start();
      this.wake();
    });
  }

  #ensure({ sha256, size }: Manifest): Promise<void> {
    if (this.#options.catalog.variants.of(sha256) !== undefined) return Promise.resolve();
    let making = this.#underWay.get(sha256);
    if (making === undefined) {
      making = this.#make({ sha256, size }).finally(() => this.#underWay.delete(sha256));
      this.#underWay.set(sha256, making);
    }
    return making;
  }

  async #make({ sha256, size }: BlobRef): Promise<void> {
    const { catalog, blobs, garbage, threads, log } = this.#options;
    // In the turn in which an object has it: from now on it may be overwritten.
    const pinned = new Map([[sha256, garbage.pin(sha256)]]);
    try {
      if (!(await catalog.coding.begin(sha256))) {
        log.warn({ sha256, size }, 'content is left as it is: the origin ended each time that it was coded');
        return;
      }
      const efforts = codingEfforts(size);
      const coded = await threads.encode({ bytes: await blobs.readAll(sha256), efforts, maxBytes: worthwhileBytes(size) });
      const variants: Variant[] = [];
      for (const { coding, bytes } of coded) variants.push({ coding, ...(await this.#store(bytes, pinned)) });
      const codings = efforts.map(({ coding }) => coding);
      if (await catalog.coding.record(sha256, codings, variants)) this.#count(codings.length, coded);
    } catch (error) {
      await catalog.coding.end(sha256);
      throw error;
    } finally {
      for (const unpin of pinned.values()) unpin();
      // What was overwritten meanwhile, or came to nothing, is needed by nobody.
      garbage.offer([...pinned.keys()]);
    }
  }

  /**
   * Makes a variant again whose bytes a cache has let go. False: these bytes are no variant, or it does not come out as it was; then it is missing.
   * @throws {RemakesBusyError} and {SluiceError} when its content cannot be read now
   */
  remake(sha256: string): Promise<boolean> {
    const origin = this.#options.catalog.variants.originOf(sha256);
    if (origin === undefined || this.#unlike.has(sha256) || this.#options.concurrency === 0) return Promise.resolve(false);
    let remaking = this.#remaking.get(sha256);
    if (remaking === undefined) {
      if (this.#remakes.size >= REMAKES_WAITING_MAX) return Promise.reject(new RemakesBusyError());
      remaking = this.#remakes.add(() => this.#remake(sha256, origin)).finally(() => this.#remaking.delete(sha256));
      this.#remaking.set(sha256, remaking);
      const dismiss = (): void => this.#dismissWhenIdle();
      remaking.then(dismiss, dismiss);
    }
    return remaking;
  }

  async #remake(variant: string, { content, coding }: { readonly content: string; readonly coding: string }): Promise<boolean> {
    const { catalog, blobs, garbage, threads, metrics, log } = this.#options;
    const size = blobs.size(content);
    if (this.#stopped || size === undefined) return false;
    if (blobs.has(variant)) return true;
    const unpin = garbage.pin(content);
    try {
      const bytes = await blobs.readAll(content);
      if (this.#stopped || !(await catalog.coding.begin(content))) return false;
      const efforts = codingEfforts(size).filter((effort) => effort.coding === coding);
      const coded = await threads.encode({ bytes, efforts, maxBytes: worthwhileBytes(size) }).finally(() => catalog.coding.end(content));
      const isLike = coded.length === 1 && (await this.#storeExactly(variant, coded[0]?.bytes as Uint8Array));
      metrics.variants.inc({ outcome: isLike ? 'made' : 'failed' });
      if (isLike) return true;
      this.#unlike.set(variant, true);
      log.warn({ content, coding, variant }, 'a variant does not come out as it was; visitors get the content in another coding');
      return false;
    } finally {
      unpin();
      garbage.offer([content]);
    }
  }

  /** Stores bytes if they have this name. Whether they do. */
  async #storeExactly(sha256: string, bytes: Uint8Array): Promise<boolean> {
    const writer = this.#options.blobs.writer();
    try {
      await this.#write(bytes, writer);
      if (writer.seal().sha256 !== sha256) return false;
      await writer.finish();
      return true;
    } finally {
      await writer.discard();
    }
  }

  async #write(bytes: Uint8Array, writer: DerivedWriter): Promise<void> {
    for (let at = 0; at < bytes.byteLength; at += SLICE_BYTES) {
      await writer.write(bytes.subarray(at, at + SLICE_BYTES));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async #store(bytes: Uint8Array, pinned: Map<string, () => void>): Promise<BlobRef> {
    const writer = this.#options.blobs.writer();
    try {
      await this.#write(bytes, writer);
      const { sha256 } = writer.seal();
      if (!pinned.has(sha256)) pinned.set(sha256, this.#options.garbage.pin(sha256));
      return await writer.finish();
    } finally {
      await writer.discard();
    }
  }

  #count(tried: number, coded: readonly Coded[]): void {
    const { metrics } = this.#options;
    metrics.variants.inc({ outcome: 'made' }, coded.length);
    metrics.variants.inc({ outcome: 'not_worthwhile' }, tried - coded.length);
    for (const { coding, bytes } of coded) metrics.variantBytes.inc({ coding }, bytes.byteLength);
  }

  /** Ends what is under way, unfinished: the keys wait for the next start. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelRest();
    this.#cancelDismissal();
    this.#queue.start();
    await this.#options.threads.close();
    await Promise.all([this.#queue.onIdle(), this.#remakes.onIdle()]);
  }
}
