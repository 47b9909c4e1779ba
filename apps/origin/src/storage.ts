/** What the origin keeps: bytes, catalog, and what tidies up behind both. */
import { join, resolve } from 'node:path';
import { BlobStore, type Operate, Scrubber } from '@sluice/blobs';
import { type Clock, ConfigError, gauge, type Lifecycle, type Logger, type Registry, type Rng } from '@sluice/runtime';
import { isDatabaseDamaged, lockDataDir, startCheckpointer } from '@sluice/sqlite';
import { BlockDigestMaker } from './adapters/blobs/block-digest-maker.ts';
import { CodingThreads } from './adapters/blobs/coding-threads.ts';
import { GarbageCollector } from './adapters/blobs/garbage-collector.ts';
import { OpenBlobs } from './adapters/blobs/open-blobs.ts';
import { PatchMaker } from './adapters/blobs/patch-maker.ts';
import { RangeCache } from './adapters/blobs/range-cache.ts';
import { VariantMaker } from './adapters/blobs/variant-maker.ts';
import { Catalog } from './adapters/catalog/catalog.ts';
import { maintainFeed } from './adapters/catalog/feed-maintenance.ts';
import type { ForgetElsewhere } from './adapters/catalog/feed-pruner.ts';
import { expireUploads } from './adapters/catalog/multipart-maintenance.ts';
import type { OriginMetrics } from './adapters/metrics.ts';
import type { OriginConfig } from './config.ts';
import type { BucketSettings } from './domain/bucket-settings.ts';
import { DamagedContent } from './services/damaged-content.ts';
import type { OriginBlobs } from './services/origin-blobs.ts';
import type { SourceSide } from './source-side.ts';

/** How often the logs of the databases are brought into them. */
const CHECKPOINT_MS = 1_000;
/** Whose content it is that was uploaded here. */
const STORE = 'store';
const DAY_MS = 24 * 3600 * 1000;

export interface StorageOptions {
  readonly config: OriginConfig;
  readonly bucketSettings: (key: string) => BucketSettings;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly metrics: OriginMetrics;
  readonly log: Logger;
  readonly lifecycle: Lifecycle;
  readonly operate: Operate;
  /** An event was put into the outbox. */
  readonly onEvent: () => void;
  /** Of an origin whose content stands at a source. */
  readonly sourceSide?: SourceSide | undefined;
}

export interface Storage {
  /** What is on this disk: the content itself, or a part of what is at a source. */
  readonly store: BlobStore;
  /** All bytes that the catalog knows. */
  readonly blobs: OriginBlobs;
  readonly catalog: Catalog;
  readonly garbage: GarbageCollector;
  readonly patches: PatchMaker;
  readonly blocks: BlockDigestMaker;
  /** Where all reading on behalf of edges goes through. */
  readonly ranges: RangeCache;
  readonly damaged: DamagedContent;
  readonly scrubber: Scrubber;
}

/** Opens the store and the catalog in the data directory and begins to remove what an earlier run left. @throws {ConfigError} when the directory has the content of another source, or a database that is damaged */
export async function openStorage({
  config,
  bucketSettings,
  clock,
  rng,
  metrics,
  log,
  lifecycle,
  operate,
  onEvent,
  sourceSide,
}: StorageOptions): Promise<Storage> {
  const dir = resolve(config.ORIGIN_DATA_DIR);
  const lock = lockDataDir(dir, 'origin');
  lifecycle.onStop('data directory', () => lock.release());
  const isCache = sourceSide !== undefined;
  const store = await unlessDamaged(join(dir, 'blobs', 'blobs.db'), isCache, () =>
    BlobStore.open({
      ...{ dir: join(dir, 'blobs'), durability: isCache ? 'relaxed' : 'full', operate },
      onDamaged: (sha256) => void damaged.look(sha256),
    }),
  );
  lifecycle.onStop('blobs', () => store.close());
  const catalog = await unlessDamaged(
    join(dir, 'catalog.db'),
    isCache,
    () =>
      new Catalog({
        path: join(dir, 'catalog.db'),
        // What a shared catalog has is in its log as well.
        durability: sourceSide?.order === undefined ? 'full' : 'relaxed',
        ...(sourceSide?.order === undefined ? {} : { order: sourceSide.order }),
        clock,
        operate,
        onEvent,
        onSettleFailed: (err) => log.warn({ err }, 'published events could not be removed from the outbox, trying again'),
        onEventDropped: () => metrics.dropped.inc(),
        onVariantsWanted: () => variants.wake(),
        outboxMaxEntries: config.ORIGIN_OUTBOX_MAX,
        versionsKept: (key) => bucketSettings(key).versionsKept,
        multipartMaxOpen: config.ORIGIN_MULTIPART_UPLOADS_MAX,
        onGarbage: (checksums) => garbage.offer(checksums),
      }),
  );
  lifecycle.onStop('catalog', () => catalog.close());
  await claim(catalog, sourceSide?.title ?? STORE, dir);
  // It is there whatever is in it.
  if (sourceSide !== undefined) await catalog.createBucket(sourceSide.bucket);
  const databases = [store.databasePath, join(dir, 'catalog.db')];
  const checkpointer = startCheckpointer(databases, CHECKPOINT_MS, (err) => log.error({ err }, 'checkpoint failed'));
  lifecycle.onStop('checkpointer', () => checkpointer.stop());
  const garbage = new GarbageCollector({ blobs: store, isReferenced: (sha256) => catalog.references.isReferenced(sha256), metrics, log });
  lifecycle.onStop('garbage collector', () => garbage.stop());
  const remake = (sha256: string): Promise<boolean> => variants.remake(sha256);
  const forgetRanges = (sha256: string): void => ranges.forget(sha256);
  const wakeVariants = (): void => variants.wake();
  const blobs: OriginBlobs = sourceSide?.openBlobs({ store, catalog, garbage, remake, forgetRanges, wakeVariants }) ?? store;
  garbage.sweep();
  const retentionMs = config.ORIGIN_FEED_RETENTION_DAYS * DAY_MS;
  const order = sourceSide?.order;
  const elsewhere: ForgetElsewhere | undefined = order && ((batch, position) => order.forget(batch, position));
  const maxRows = config.ORIGIN_FEED_MAX_ROWS;
  lifecycle.onStop('feed maintenance', maintainFeed({ catalog, clock, log, retentionMs, maxRows, elsewhere }));
  const expiryMs = config.ORIGIN_MULTIPART_EXPIRY_DAYS * DAY_MS;
  const onExpired = (uploads: number): void => metrics.multipart.inc({ outcome: 'expired' }, uploads);
  lifecycle.onStop('multipart expiry', expireUploads({ multipart: catalog.multipart, clock, log, expiryMs, onExpired }));
  const patches = new PatchMaker({ catalog, blobs, garbage, clock, metrics, log });
  lifecycle.onStop('patch maker', () => patches.stop());
  const concurrency = config.ORIGIN_CODING_THREADS;
  const isTurn = (): boolean => sourceSide?.isFirst ?? true;
  const variants = new VariantMaker({ isTurn, catalog, blobs, garbage, threads: new CodingThreads(), concurrency, clock, metrics, log });
  lifecycle.onStop('variant maker', () => variants.stop());
  variants.wake();
  const blocks = new BlockDigestMaker({ blobs, clock, metrics, log });
  lifecycle.onStop('block digest maker', () => blocks.stop());
  const openBlobs = new OpenBlobs(blobs, clock);
  lifecycle.onStop('open blobs', () => openBlobs.close());
  const ranges = new RangeCache((sha256, offset, length) => openBlobs.read(sha256, offset, length));
  const damaged: DamagedContent = new DamagedContent({
    ...{ store, isCache, references: catalog.references, forgetRanges, log },
    variants: {
      of: (content) => catalog.variants.of(content),
      contentOf: (variant) => catalog.variants.originOf(variant)?.content,
      remake,
    },
    onOutcome: (outcome) => metrics.scrubMismatches.inc({ outcome }),
  });
  const scrubber = new Scrubber({
    ...{ store, bytesPerSecond: config.ORIGIN_SCRUB_BYTES_PER_SECOND, clock, rng },
    onScrubbed: (bytes) => metrics.scrubbedBytes.inc(bytes),
    onDamaged: (sha256, verdict) => damaged.repair(sha256, verdict),
    onRight: (sha256) => damaged.right(sha256),
    onFailed: (err) => log.error({ err }, 'scrubbing was interrupted, it begins again'),
  });
  lifecycle.onStop('scrubber', () => scrubber.stop());
  scrubber.start();
  return { store, blobs, catalog, garbage, patches, blocks, ranges, damaged, scrubber };
}

/** An origin whose database cannot be read does not begin with an empty one: edges would forget what that does not name. @throws {ConfigError} */
async function unlessDamaged<Opened>(path: string, isCache: boolean, open: () => Opened | Promise<Opened>): Promise<Opened> {
  try {
    return await open();
  } catch (error) {
    if (!isDatabaseDamaged(error)) throw error;
    const otherwise = isCache ? '; or, as its content stands at a source, remove the directory: everything is read there again' : '';
    const problem = `${path} is damaged (${(error as Error).message}): restore the whole directory from a backup${otherwise}`;
    throw new ConfigError([problem], 'the data directory');
  }
}

/** A directory belongs to one source: what another one does not have would be taken for removed. */
async function claim(catalog: Catalog, source: string, dir: string): Promise<void> {
  const owner = catalog.upstream.source ?? (catalog.objectCount > 0 ? STORE : undefined);
  if (owner !== undefined && owner !== source) {
    throw new ConfigError(
      [`${dir} has the content of another source (${owner}, and this is ${source}): set ORIGIN_DATA_DIR to another directory`],
      'the data directory',
    );
  }
  // An origin with a store of its own starts on a full disk too.
  if (catalog.upstream.source === undefined && source !== STORE) await catalog.upstream.setSource(source);
}

/** Gauges over what is kept. */
export function watchStorage(registry: Registry, { store, catalog, scrubber }: Storage, clock: Clock): void {
  gauge(registry, 'sluice_origin_damaged_blobs', 'Blobs that are damaged and cannot be repaired', () => store.damaged.size);
  gauge(registry, 'sluice_origin_scrub_age_seconds', 'Seconds since everything held was last read again; -1 before the first time', () =>
    scrubber.passedAtMs === undefined ? -1 : (clock.nowMs() - scrubber.passedAtMs) / 1000,
  );
  gauge(registry, 'sluice_origin_objects', 'Objects in the catalog', () => catalog.objectCount);
  gauge(registry, 'sluice_origin_multipart_uploads', 'Multipart uploads that are open', () => catalog.multipart.openCount);
  gauge(
    registry,
    'sluice_origin_blobs',
    'Blobs held: objects, versions before, patches, variants, parts of open uploads',
    () => store.totals.count,
  );
  gauge(registry, 'sluice_origin_blob_bytes', 'Bytes of those blobs', () => store.totals.bytes);
  gauge(
    registry,
    'sluice_origin_variants_waiting',
    'Keys that wait for the variants of their content',
    () => catalog.variants.waitingCount,
  );
  gauge(registry, 'sluice_origin_outbox_events', 'Events that wait for the broker', () => catalog.outbox.length);
  gauge(registry, 'sluice_origin_outbox_oldest_age_seconds', 'Age of the oldest of them', () => {
    const atMs = catalog.outbox.oldestAtMs;
    return atMs === undefined ? 0 : Math.max(0, (clock.nowMs() - atMs) / 1000);
  });
}
