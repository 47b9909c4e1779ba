/** Everything of an origin whose content stands at a source: where the bytes come from, how changes are noticed, and how several origins of one bucket stay one. */
import type { BlobStore } from '@sluice/blobs';
import { type Bus, SharedLog } from '@sluice/bus';
import { CATALOG_LOG, type ChangesRequest, originFetch, SluiceError } from '@sluice/contracts';
import { isDeltaCandidate } from '@sluice/delta';
import { type Clock, every, type Logger, type Rng } from '@sluice/runtime';
import type { z } from 'zod';
import type { GarbageCollector } from './adapters/blobs/garbage-collector.ts';
import type { Catalog } from './adapters/catalog/catalog.ts';
import type { OriginMetrics } from './adapters/metrics.ts';
import type { AnnouncedAgain, Announcer } from './adapters/nats/announcer.ts';
import { CatalogLog } from './adapters/nats/catalog-log.ts';
import { takeS3Notifications } from './adapters/nats/s3-notifications.ts';
import type { OriginConfig } from './config.ts';
import type { BucketSettings } from './domain/bucket-settings.ts';
import type { RequestOrigin } from './domain/catalog-change.ts';
import { S3Keys } from './domain/s3-entry.ts';
import { OriginPeers } from './services/origin-peers.ts';
import { Reflection } from './services/reflection.ts';
import { CatalogBehindError, SharedOrder } from './services/shared-order.ts';
import { type ContentSource, RevisionGoneError, type SourceHint } from './services/source-port.ts';
import { SourcedBlobs } from './services/sourced-blobs.ts';
import type { S3Settings, SourceSettings, StoreSettings } from './source-config.ts';

/** How often an origin looks whether it is its turn now. */
const TURN_MS = 5_000;

type HeldRequest = z.output<ReturnType<typeof originFetch>['request']>;

export interface SourceSideOptions {
  readonly config: OriginConfig;
  readonly settings: Exclude<SourceSettings, StoreSettings>;
  readonly source: ContentSource;
  readonly bucketSettings: (key: string) => BucketSettings;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly metrics: OriginMetrics;
  readonly log: Logger;
}

/** What the source's side needs of the storage. */
export interface SourceStorage {
  readonly store: BlobStore;
  readonly catalog: Catalog;
  readonly garbage: GarbageCollector;
  readonly remake: (sha256: string) => Promise<boolean>;
  /** Drops what was read of a blob and is still in memory. */
  readonly forgetRanges: (sha256: string) => void;
  /** There may be variants to be made. */
  readonly wakeVariants: () => void;
}

export class SourceSide implements Announcer {
  /** Where the catalog's changes get their places; undefined where this origin is the only one that can have it. */
  readonly order: SharedOrder | undefined;
  readonly #options: SourceSideOptions;
  #storage: SourceStorage | undefined;
  #blobs: SourcedBlobs | undefined;
  #reflection: Reflection | undefined;
  #peers: OriginPeers | undefined;
  readonly #stops: (() => void)[] = [];
  #stopped = false;

  constructor(options: SourceSideOptions) {
    this.#options = options;
    const { settings, clock, log } = options;
    this.order =
      settings.kind === 's3' ? new SharedOrder({ catalog: () => this.#catalog, onAnew: () => this.hintAll(), clock, log }) : undefined;
  }

  get #catalog(): Catalog {
    return (this.#storage as SourceStorage).catalog;
  }

  /** Names the source for people, and for the data directory that has its catalog. */
  get title(): string {
    return this.#options.source.title;
  }

  /** The bucket that all of it is in. */
  get bucket(): string {
    const { settings } = this.#options;
    return settings.kind === 's3' ? settings.name : settings.bucket;
  }

  /** The bytes of what the catalog knows, wherever they are. */
  openBlobs(storage: SourceStorage): SourcedBlobs {
    const { config, source, clock, metrics, log } = this.#options;
    const { store, catalog, garbage, remake } = storage;
    this.#storage = storage;
    this.#blobs = new SourcedBlobs({
      ...{ store, source, remake, clock, metrics, log },
      locate: (sha256) => catalog.sourced.locate(sha256),
      elsewhere: async (ref) => this.#peers?.read(ref),
      held: async (ref) => this.#peers?.readSmall(ref).catch(() => undefined),
      isPinned: (sha256) => garbage.isPinned(sha256),
      onGone: (key, isOther) => void this.#lookAfresh(key, isOther),
      onWrong: (sha256) => storage.forgetRanges(sha256),
      maxBytes: config.ORIGIN_CACHE_BYTES,
    });
    return this.#blobs;
  }

  /** Begins to bring the catalog up to date, where that needs nobody else. */
  start(): void {
    const { config, source, bucketSettings, clock, rng, metrics, log } = this.#options;
    const blobs = this.#blobs as SourcedBlobs;
    const catalog = this.#catalog;
    this.#reflection = new Reflection({
      ...{ source, catalog, clock, rng, metrics, log },
      // Files can be read where they are at any time: of those only what a patch may be made against later is copied.
      ingest: (object, opened) =>
        blobs.ingest(object, opened, { keep: source.kind !== 'directory' || isDeltaCandidate(object.size, object.size) }),
      sayListed: () => (this.order === undefined ? catalog.upstream.setListed() : this.order.sayListed()),
      isLister: () => this.#isLister(),
      uploadDefaults: (key) => bucketSettings(key).uploads,
      rescanMs: config.ORIGIN_SOURCE_RESCAN_SECONDS * 1000,
    });
    if (this.order === undefined) this.#reflection.start();
  }

  /** Whether it is for this origin to list the source. Two that begin together know of each other before either lists. */
  async #isLister(): Promise<boolean> {
    await this.#peers?.greeted;
    return this.isFirst;
  }

  /** The broker is there: what needs other origins begins. `id`: this process among them. */
  connect(bus: Bus, id: string): void {
    const { config, settings, clock, log } = this.#options;
    if (settings.kind !== 's3' || this.order === undefined || this.#stopped) return;
    this.order.start(
      new CatalogLog(new SharedLog(bus, log, { ...CATALOG_LOG, replicas: config.NATS_STREAM_REPLICAS }), contentOf(settings)),
    );
    this.#peers = new OriginPeers({ bus, id, clock });
    let wasFirst = this.isFirst;
    this.#stops.push(
      every(clock, TURN_MS, () => {
        (this.#storage as SourceStorage).wakeVariants();
        // Who was first may be gone: what it left undone is done here, and does not wait for the next listing.
        if (this.isFirst && !wasFirst) this.hintAll();
        wasFirst = this.isFirst;
      }),
    );
    const store = (this.#storage as SourceStorage).store;
    this.#stops.push(bus.serve(originFetch(id), (request) => readHeld(store, request, bus.chunkBytes)));
    this.#takeNotifications(bus, settings);
    this.#reflection?.start();
  }

  #takeNotifications(bus: Bus, { notifications: subject, bucket, name, prefix }: S3Settings): void {
    if (subject === undefined) return;
    const { clock, metrics, log } = this.#options;
    const scope = { bucket, keys: new S3Keys(name, prefix) };
    const onHint = (hint: SourceHint): void => this.#reflection?.hint(hint);
    this.#stops.push(takeS3Notifications({ bus, subject, queue: 'origin', scope, onHint, clock, metrics, log }));
  }

  /**
   * Makes sure that a key which the catalog does not know is one that there is not: before this catalog has what the log has, and before everything at the source was listed, that says
   * nothing. @throws {SluiceError} when it cannot be found out now
   */
  async lookUp(key: string): Promise<void> {
    const catalog = this.#catalog;
    if (catalog.find(key) !== undefined) return;
    await this.order?.caughtUp();
    if (!catalog.upstream.isListed && catalog.find(key) === undefined) await this.#reflecting().lookAt(key);
  }

  async has(key: string): Promise<boolean> {
    await this.lookUp(key);
    return this.#catalog.find(key) !== undefined;
  }

  async announce(key: string, request: RequestOrigin): Promise<AnnouncedAgain> {
    await this.order?.caughtUp();
    const looked = await this.#reflecting().lookAt(key, request);
    // Delivered again, after an origin that had removed the key on its account went away.
    if (looked === 'missing') return this.#catalog.sourced.hasAnswered(request) ? 'repeated' : 'unknown';
    if (looked !== 'unchanged') return 'announced';
    // Nothing new, or nothing that is complete: what there is is announced again.
    const catalog = this.#catalog;
    // It is being written for the first time: the request comes again, and finds it complete.
    if (catalog.find(key) === undefined) throw new RevisionGoneError({ key });
    return (await catalog.announceAgain(key, request)) === undefined ? 'repeated' : 'announced';
  }

  /** Resolves when what the catalog says is worth asking: not before it has had everything that other origins have, once. */
  async caughtUpOnce(): Promise<void> {
    await this.order?.caughtUpOnce();
  }

  /** Resolves when the catalog has come to a version that others know. @throws {CatalogBehindError} */
  async reach(version: number): Promise<void> {
    if (this.order !== undefined && version > this.#catalog.lastVersion) await this.order.catchUp();
  }

  /** A range of a blob that only another origin knows. */
  async readElsewhere(sha256: string, offset: number, length: number): Promise<Uint8Array | undefined> {
    return this.#peers?.readRange(sha256, offset, length);
  }

  /** Whether the feed can be read by who has read so far. @throws {CatalogBehindError} */
  async requireFeed({ since, catalogId }: ChangesRequest): Promise<void> {
    const catalog = this.#catalog;
    // Who has read more than this catalog, or another one, has heard it from another origin: the log may have begun anew.
    if (catalogId === catalog.id) await this.reach(since);
    else if (this.order !== undefined && !this.order.isCaughtUp) await this.order.catchUp();
    // Whoever lists a catalog forgets what is not in it.
    if (!catalog.upstream.isListed) throw new CatalogBehindError('the source was not listed completely yet');
  }

  #reflecting(): Reflection {
    if (this.#reflection === undefined) throw new CatalogBehindError('the origin is starting');
    return this.#reflection;
  }

  /** `isOther`: the state of a key is the one that the catalog has, and its bytes are not: nothing that is known of them holds. */
  async #lookAfresh(key: string, isOther: boolean): Promise<void> {
    try {
      if (isOther) await this.#catalog.sourced.doubt(key);
    } catch (err) {
      this.#options.log.warn({ err, key }, 'what is known of an object could not be given up, it is read again when it changes');
    }
    this.hint(key);
  }

  hint(key: string): void {
    this.#reflection?.hint({ key });
  }
  /** Everything is to be looked at again. */
  hintAll(): void {
    this.#reflection?.hint({ all: true });
  }

  /** What keeps this origin from doing its job. */
  get unready(): string | undefined {
    if (this.order !== undefined && !this.order.isCaughtUp) return this.order.problem ?? 'has not caught up with the log of the catalog';
    return this.#catalog.upstream.isListed ? undefined : 'the source was not listed completely yet';
  }

  /** Whether this origin is the one of those there are that does what has to be done once. */
  get isFirst(): boolean {
    return this.order === undefined || this.#peers?.isFirst === true;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const stop of this.#stops.splice(0)) stop();
    this.#peers?.stop();
    const reflected = this.#reflection?.stop();
    await this.order?.stop();
    await this.#blobs?.stop();
    await reflected;
  }
}

/** Names what a bucket has as content, by whatever endpoint an origin reaches it. */
function contentOf({ bucket, prefix, name }: S3Settings): string {
  return `bucket ${bucket}${prefix === '' ? '' : ` from ${prefix} on`}${name === bucket ? '' : `, called ${name} here`}`;
}

/** A range of what this origin holds itself, for another one: nobody is asked on its behalf, so that origins never ask each other in circles. */
async function readHeld(store: BlobStore, request: HeldRequest, maxBytes: number): Promise<Uint8Array> {
  if (request.op !== 'read') throw new SluiceError('NOT_SUPPORTED', 'other origins read held bytes only');
  const { sha256, offset, length } = request;
  if (length > maxBytes) throw new SluiceError('RANGE_TOO_LONG', `at most ${maxBytes} bytes fit a message`);
  const reader = await store.reader(sha256);
  try {
    return await reader.read(offset, length);
  } finally {
    await reader.close();
  }
}
