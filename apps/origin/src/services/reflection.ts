/**
 * Keeps the catalog what a source is. An event or a hint has one key looked at; a listing of everything now and then finds what nobody said. Looking at a key again changes nothing,
 * so hints may be late, doubled or lost.
 */
import { type BlobRef, KeyLock } from '@sluice/blobs';
import { SluiceError } from '@sluice/contracts';
import type { Clock, Logger, Rng } from '@sluice/runtime';
import { LRUCache } from 'lru-cache';
import PQueue from 'p-queue';
import type { Catalog } from '../adapters/catalog/catalog.ts';
import type { SourcedContent } from '../adapters/catalog/sourced-objects.ts';
import type { OriginMetrics } from '../adapters/metrics.ts';
import { backoffMs } from '../domain/backoff.ts';
import { type UploadDefaults, withDefaults } from '../domain/bucket-settings.ts';
import type { RequestOrigin } from '../domain/catalog-change.ts';
import { differences } from '../domain/listing-difference.ts';
import type { ContentSource, OpenSourceObject, SourceHint, SourceObject } from './source-port.ts';

/** Objects being looked at because of hints and listings at once: half of the bodies that a source on S3 may be read at, so that edges are not kept waiting by a listing. */
const CONCURRENCY = 16;
/** Objects that may wait for that while a listing goes on. */
const LISTED_AHEAD_MAX = 64;
/** Keys hinted at that may wait, and prefixes likewise; beyond it a listing of everything takes their place. */
export const HINTS_MAX = 10_000;
/** How often a key is looked at when each time it has changed meanwhile. Then the next hint or listing finds it. */
const LOOKS_MAX = 5;
/** Objects that cannot be published, remembered so that they are not read again before they change. */
const REFUSED_MAX = 10_000;
const PREFIXES_MAX = 100;
const KNOWN_PAGE = 1_000;
/** Whose turn it is to list for the first time may go away before it has: then it is another one's. */
const UNLISTED_MS = 5_000;
/** The interval varies by this share, so that several origins do not list together. */
const JITTER_SHARE = 0.2;
const BACKOFF = { firstMs: 1_000, maxMs: 60_000 };
/** Objects of which the log tells in this time why they could not be taken; of more only how many. */
const COMPLAINTS_MAX = 20;
const COMPLAINTS_EVERY_MS = 60_000;
/** Missing objects remembered in one listing; what is more is found by the next. */
const MISSING_MAX = 100_000;
/** Up to so many may be gone at once without anybody wondering. */
const MISSING_USUAL = 100;

/** Objects that do not keep a listing from being complete though they cannot be read: at most so many, fewer than those that can be, and each for so long already. */
const UNREADABLE_MAX = 100;
export const UNREADABLE_AFTER_MS = 5 * 60_000;
/** What the object or its source is to blame for. */
const UNREADABLE: ReadonlySet<string> = new Set(['SOURCE_AWAY', 'REVISION_GONE']);

const LOOK_AGAIN: ReadonlySet<string> = new Set(['REVISION_GONE', 'OVERTAKEN']);

/** What came of looking at a key: there is something new to announce, nothing is new, the key is gone, or there is no such key. */
export type Looked = 'announced' | 'unchanged' | 'removed' | 'missing';

export interface ReflectionOptions {
  readonly source: ContentSource;
  readonly catalog: Pick<Catalog, 'sourced' | 'find' | 'upstream'>;
  /** Reads the bytes of an object once, and may keep them. MD5 in hexadecimal. */
  readonly ingest: (object: SourceObject, opened: OpenSourceObject) => Promise<BlobRef & { readonly md5: string }>;
  /** Everything at the source is in the catalog. */
  readonly sayListed: () => Promise<void>;
  /** Whether listing is this origin's turn, of several. */
  readonly isLister: () => Promise<boolean>;
  readonly uploadDefaults: (key: string) => UploadDefaults;
  readonly rescanMs: number;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly metrics: Pick<OriginMetrics, 'sourceLooks' | 'sourceListings'>;
  readonly log: Logger;
}

/** Why a key is looked at. */
interface Look {
  readonly request?: RequestOrigin | undefined;
  /** What a listing has found. */
  readonly listed?: SourceObject | undefined;
  /** It is its turn. */
  readonly onBegin?: (() => void) | undefined;
}

export class Reflection {
  readonly #options: ReflectionOptions;
  readonly #queue = new PQueue({ concurrency: CONCURRENCY });
  readonly #keys = new KeyLock();
  readonly #hinted = new Set<string>();
  /** Prefixes to be listed; '' is everything. */
  readonly #wanted = new Set<string>();
  readonly #refused = new LRUCache<string, string>({ max: REFUSED_MAX });
  #wake: () => void = () => {};
  #running: Promise<void> | undefined;
  #unwatch: (() => Promise<void>) | undefined;
  #failures = 0;
  /** When a listing missed so many objects that they were left where they are; monotonic. Undefined: the last one has not. */
  #heldBackAtMs: number | undefined;
  #listedAtMs: number | undefined;
  /** Objects that the listing before could not read, and since when. */
  #unreadable = new Map<string, number>();
  #complaints = { sinceMs: Number.NEGATIVE_INFINITY, said: 0, unsaid: 0 };
  #stopped = false;

  constructor(options: ReflectionOptions) {
    this.#options = options;
  }

  /** When everything was last compared, by the monotonic clock; undefined before. */
  get listedAtMs(): number | undefined {
    return this.#listedAtMs;
  }
  /** Hints that wait. */
  get hinted(): number {
    return this.#hinted.size;
  }

  /** Begins to list, and to listen to what the source notices. */
  start(): void {
    this.#wanted.add('');
    this.#running ??= this.#run();
  }

  /** Look at this again, soon. */
  hint(hint: SourceHint): void {
    if (this.#stopped) return;
    if ('key' in hint && this.#hinted.size < HINTS_MAX) this.#lookSoon(hint.key);
    else this.#listSoon('prefix' in hint && this.#wanted.size < PREFIXES_MAX ? hint.prefix : '');
  }

  #listSoon(prefix: string): void {
    this.#wanted.add(prefix);
    this.#wake();
  }

  #lookSoon(key: string): void {
    if (this.#hinted.has(key)) return;
    this.#hinted.add(key);
    void this.#queue.add(async () => {
      // From when it begins on another hint is another look: no key ever has more than one under way and one that waits.
      const looked = await this.#lookQuietly(key, undefined, () => this.#hinted.delete(key));
      this.#hinted.delete(key);
      // What could not be read is found by listing, which waits until the source is back.
      if (looked !== 'done') this.#listSoon('');
    });
  }

  /**
   * Looks at a key at the source now and brings the catalog up to date. `request`: the event that asked for it.
   * @throws {SluiceError} when the source cannot be read, or the object cannot be published
   */
  lookAt(key: string, request?: RequestOrigin): Promise<Looked> {
    return this.#lookInTurn(key, { request });
  }

  #lookInTurn(key: string, { request, listed, onBegin }: Look): Promise<Looked> {
    return this.#keys.run(key, () => {
      onBegin?.();
      return this.#look(key, request, listed);
    });
  }

  async #look(key: string, request: RequestOrigin | undefined, listed: SourceObject | undefined): Promise<Looked> {
    const { source, catalog, metrics } = this.#options;
    for (let look = 1; ; look += 1) {
      const seen = catalog.sourced.find(key)?.revision;
      try {
        const found = look === 1 && listed !== undefined ? listed : await source.find(key);
        const looked = await this.#bringUpToDate(key, found, seen, request);
        metrics.sourceLooks.inc({ outcome: looked });
        return looked;
      } catch (error) {
        if (error instanceof SluiceError && LOOK_AGAIN.has(error.code) && look < LOOKS_MAX && !this.#stopped) continue;
        metrics.sourceLooks.inc({ outcome: error instanceof SluiceError && error.code === 'SOURCE_AWAY' ? 'away' : 'failed' });
        throw error;
      }
    }
  }

  async #bringUpToDate(
    key: string,
    found: SourceObject | undefined,
    seen: string | undefined,
    request: RequestOrigin | undefined,
  ): Promise<Looked> {
    const { catalog } = this.#options;
    if (found === undefined) {
      if (catalog.find(key) === undefined) return 'missing';
      await catalog.sourced.remove(key, seen, request);
      return 'removed';
    }
    // What is being written is looked at when that has ended.
    if (found.revision === seen || found.settling === true) return 'unchanged';
    const announced = await catalog.sourced.reflect(await this.#read(found), seen, request);
    return announced === undefined ? 'unchanged' : 'announced';
  }

  /** An object with its fields, and its bytes when they are not known. */
  async #read(object: SourceObject): Promise<SourcedContent> {
    const { source, catalog } = this.#options;
    const known = catalog.sourced.bytesOf(object.key);
    if (known?.bytesRevision === object.bytesRevision) {
      const { fields, etag = known.etag, modifiedAt } = await source.describe(object);
      return this.#content(object, { fields, modifiedAt }, { sha256: known.sha256, size: known.size, etag });
    }
    const opened = await source.open(object);
    try {
      const { sha256, size, md5 } = await this.#options.ingest(object, opened);
      return this.#content(object, opened, { sha256, size, etag: opened.etag ?? md5 });
    } finally {
      await opened.close();
    }
  }

  #content(
    object: SourceObject,
    { fields, modifiedAt }: Pick<OpenSourceObject, 'fields' | 'modifiedAt'>,
    body: SourcedContent['body'],
  ): SourcedContent {
    const { clock, uploadDefaults } = this.#options;
    // RFC 9110 §8.8.2.1: no Last-Modified in the future, whatever the clock of the source says.
    const uploadedAt = new Date(Math.min(Date.parse(modifiedAt), clock.nowMs())).toISOString();
    return { object, fields: withDefaults(fields, uploadDefaults(object.key)), body, uploadedAt };
  }

  /** `unreadable`: by the object or its source. `failed`: for another reason that may pass. */
  async #lookQuietly(key: string, listed?: SourceObject, onBegin?: () => void): Promise<'done' | 'unreadable' | 'failed'> {
    if (this.#stopped || (listed !== undefined && this.#refused.get(key) === listed.revision)) return 'done';
    try {
      await this.#lookInTurn(key, { listed, onBegin });
      return 'done';
    } catch (err) {
      if (this.#stopped) return 'failed';
      // A failure that nobody foresaw (of a disk, say) is not the object's: refused, it would be forgotten until it changes.
      const isRetryable = !(err instanceof SluiceError) || err.retryable;
      this.#complain(err, key, isRetryable ? 'object could not be read, it is looked at again' : 'object cannot be published');
      if (!isRetryable && listed !== undefined) this.#refused.set(key, listed.revision);
      if (!isRetryable) return 'done';
      return err instanceof SluiceError && UNREADABLE.has(err.code) ? 'unreadable' : 'failed';
    }
  }

  /** A source that lets nothing be read would fill the log. */
  #complain(err: unknown, key: string, message: string): void {
    const { clock, log } = this.#options;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#complaints.sinceMs >= COMPLAINTS_EVERY_MS) {
      if (this.#complaints.unsaid > 0) log.warn({ objects: this.#complaints.unsaid }, 'more objects could not be read or published');
      this.#complaints = { sinceMs: nowMs, said: 0, unsaid: 0 };
    }
    if (this.#complaints.said < COMPLAINTS_MAX) {
      this.#complaints.said += 1;
      log.warn({ err, key }, message);
    } else this.#complaints.unsaid += 1;
  }

  async #run(): Promise<void> {
    const { source, catalog, rng, rescanMs, log } = this.#options;
    while (!this.#stopped) {
      try {
        // Before listing, so that nothing falls between.
        this.#unwatch ??= await source.watch((hint) => this.hint(hint));
        while (this.#wanted.size > 0 && !this.#stopped) await this.#list(this.#takeWanted());
        this.#failures = 0;
      } catch (err) {
        this.#failures += 1;
        if (this.#stopped) return;
        this.#wanted.add('');
        const delayMs = backoffMs(this.#failures, BACKOFF, rng);
        log.warn({ err, source: source.title, delayMs }, 'the source could not be listed, trying again');
        await this.#pause(delayMs, false);
        continue;
      }
      const jitteredMs = rescanMs * (1 - JITTER_SHARE + 2 * JITTER_SHARE * rng());
      const isDue = await this.#pause(catalog.upstream.isListed ? jitteredMs : Math.min(jitteredMs, UNLISTED_MS), true);
      if (isDue) this.#wanted.add('');
    }
  }

  #takeWanted(): string {
    const [prefix = ''] = this.#wanted.has('') ? [''] : this.#wanted;
    if (prefix === '') this.#wanted.clear();
    else this.#wanted.delete(prefix);
    return prefix;
  }

  /** Resolves to whether the time has passed, and was not cut short. */
  #pause(delayMs: number, canBeCut: boolean): Promise<boolean> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(delayMs, () => resolve(true));
      this.#wake = () => {
        if (!canBeCut && !this.#stopped) return;
        cancel();
        resolve(false);
      };
      if (this.#stopped || (canBeCut && this.#wanted.size > 0)) this.#wake();
    });
  }

  /** Compares everything that begins with a prefix. @throws {SluiceError} when that did not come to an end */
  async #list(prefix: string): Promise<void> {
    const { source, catalog, isLister, metrics, log, clock, sayListed } = this.#options;
    if (prefix === '' && !(await isLister())) return;
    const missing: string[] = [];
    const outcome = { same: 0, found: 0, missing: 0, complete: true };
    const unreadable = new Set<string>();
    const look = async (key: string, listed?: SourceObject): Promise<void> => {
      const looked = await this.#lookQuietly(key, listed);
      if (looked === 'unreadable' && unreadable.size <= UNREADABLE_MAX) unreadable.add(key);
      if (looked === 'failed') outcome.complete = false;
    };
    try {
      for await (const difference of differences(source.list(prefix), this.#known(prefix))) {
        if (this.#stopped) return;
        outcome[difference.kind] += 1;
        if (difference.kind === 'missing' && missing.length < MISSING_MAX) missing.push(difference.key);
        if (difference.kind !== 'found') continue;
        const { object } = difference;
        await this.#queue.onSizeLessThan(LISTED_AHEAD_MAX);
        void this.#queue.add(() => look(object.key, object));
      }
      if (!this.#holdBack(prefix, outcome)) {
        for (const key of missing) {
          await this.#queue.onSizeLessThan(LISTED_AHEAD_MAX);
          void this.#queue.add(() => look(key));
        }
      }
      await this.#queue.onIdle();
    } catch (error) {
      metrics.sourceListings.inc({ outcome: 'failed' });
      throw error;
    }
    if (this.#stopped) return;
    if (!this.#mayLeaveOut(prefix, unreadable, outcome) || !outcome.complete) {
      metrics.sourceListings.inc({ outcome: 'failed' });
      throw new SluiceError('LISTING_INCOMPLETE', 'some objects could not be read', { retryable: true });
    }
    metrics.sourceListings.inc({ outcome: 'completed' });
    if (outcome.found + outcome.missing > 0) log.info({ source: source.title, prefix, ...outcome }, 'listed');
    if (prefix !== '') return;
    if (!catalog.upstream.isListed) await sayListed();
    this.#listedAtMs = clock.monotonicMs();
  }

  /** When more than half is missing at once, a disk that is not there is likelier than a will: it has to be missing at the next interval too. */
  #holdBack(prefix: string, { same, found, missing }: { same: number; found: number; missing: number }): boolean {
    const isSuspicious = prefix === '' && missing > MISSING_USUAL && missing > same + found;
    const { source, rescanMs, clock, log } = this.#options;
    const nowMs = clock.monotonicMs();
    if (!isSuspicious) {
      if (prefix === '') this.#heldBackAtMs = undefined;
      return false;
    }
    this.#heldBackAtMs ??= nowMs;
    // A listing that follows at once for another reason confirms nothing.
    if (nowMs - this.#heldBackAtMs >= rescanMs * (1 - JITTER_SHARE)) return false;
    log.error(
      { source: source.title, missing, left: same + found, rescanMs },
      'most objects are gone from the source: they are removed if the listing after `rescanMs` misses them too',
    );
    return true;
  }

  /** One object that nobody can read must not keep all others from the edges for ever; a source of which much cannot be read is away. */
  #mayLeaveOut(prefix: string, keys: ReadonlySet<string>, { same, found }: { same: number; found: number }): boolean {
    if (prefix !== '') return keys.size === 0;
    const { clock, source, log } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#unreadable = new Map([...keys].map((key) => [key, this.#unreadable.get(key) ?? nowMs]));
    if (keys.size === 0) return true;
    const areFew = keys.size <= UNREADABLE_MAX && 2 * keys.size < same + found;
    if (!areFew || [...this.#unreadable.values()].some((sinceMs) => nowMs - sinceMs < UNREADABLE_AFTER_MS)) return false;
    log.error(
      { source: source.title, objects: keys.size, example: [...keys][0] },
      'objects of the source cannot be read, they are left out until they can be',
    );
    return true;
  }

  *#known(prefix: string): Generator<SourceObject> {
    for (let after = ''; ; ) {
      const page = this.#options.catalog.sourced.page(prefix, after, KNOWN_PAGE);
      yield* page;
      const last = page.at(-1);
      if (last === undefined || page.length < KNOWN_PAGE) return;
      after = last.key;
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#wake();
    this.#queue.clear();
    await this.#unwatch?.();
    await this.#queue.onIdle();
    await this.#running;
  }
}
