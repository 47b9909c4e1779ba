/** The truth about every key: one core, the changes of uploads and requests, and parts for what only some need. */
import type { ChangesRequest, InvalidationMode, Selector } from '@sluice/contracts';
import type { Clock } from '@sluice/runtime';
import {
  type Announced,
  announcing,
  type RequestOrigin,
  removing,
  type StoredBody,
  type StoredObject,
} from '../../domain/catalog-change.ts';
import type { UploadFields } from '../../domain/upload-headers.ts';
import type { WriteGuard } from '../../domain/write-guard.ts';
import type { BlobReferences } from './blob-references.ts';
import type { BucketTable } from './bucket-table.ts';
import { CatalogChanges, type CatalogChangesOptions } from './catalog-changes.ts';
import { CatalogCore, type CatalogCoreOptions } from './catalog-core.ts';
import { ChangeFeed, type ChangesPage } from './change-feed.ts';
import { FeedPruner, type ForgetElsewhere, type PruneLimits } from './feed-pruner.ts';
import type { PastUpload } from './history-table.ts';
import { MultipartUploads } from './multipart-uploads.ts';
import { ObjectListing } from './object-listing.ts';
import { ObjectVersions } from './object-versions.ts';
import type { Outbox, OutboxEntry } from './outbox.ts';
import { OutboxSettling, type OutboxSettlingOptions } from './outbox-settling.ts';
import { SourcedObjects } from './sourced-objects.ts';
import type { UploadDetails, UploadDetailsTable } from './upload-details.ts';
import { Upstream } from './upstream.ts';
import { VariantCoding } from './variant-coding.ts';
import type { VariantTable } from './variant-table.ts';
import { VersionListing } from './version-listing.ts';

export interface CatalogOptions extends CatalogCoreOptions, CatalogChangesOptions, OutboxSettlingOptions {
  /** Multipart uploads open at once. */
  readonly multipartMaxOpen: number;
}

/** What may come with an upload. */
export interface PutExtras {
  /** What the key has to be; what it throws undoes the upload. */
  readonly guard?: WriteGuard | undefined;
  readonly details?: UploadDetails | undefined;
  /** Runs inside the transaction; what it throws undoes the upload. */
  readonly also?: (announced: Announced) => void;
}

export class Catalog {
  /** Tables, to be read. */
  readonly buckets: BucketTable;
  readonly details: UploadDetailsTable;
  readonly outbox: Outbox;
  readonly references: BlobReferences;
  readonly variants: VariantTable;
  readonly listing: ObjectListing;
  readonly versionListing: VersionListing;
  readonly multipart: MultipartUploads;
  readonly versions: ObjectVersions;
  /** Of an origin whose content stands at a source, with {@link upstream}. */
  readonly sourced: SourcedObjects;
  readonly upstream: Upstream;
  readonly coding: VariantCoding;
  readonly #core: CatalogCore;
  readonly #changes: CatalogChanges;
  readonly #settling: OutboxSettling;
  readonly #feed: ChangeFeed;
  readonly #pruner: FeedPruner;
  readonly #clock: Clock;

  constructor(options: CatalogOptions) {
    this.#clock = options.clock;
    const core = new CatalogCore(options);
    const changes = new CatalogChanges(core, options);
    this.#core = core;
    this.#changes = changes;
    this.buckets = core.buckets;
    this.details = core.details;
    this.outbox = core.outbox;
    this.references = core.references;
    this.variants = core.variants;
    this.listing = new ObjectListing(core.db);
    this.versionListing = new VersionListing(core.db);
    this.multipart = new MultipartUploads({
      db: core.db,
      write: (change) => core.write(change),
      release: (checksums) => core.release(checksums),
      nowMs: () => options.clock.nowMs(),
      maxOpen: options.multipartMaxOpen,
    });
    this.versions = new ObjectVersions(core, changes);
    this.sourced = new SourcedObjects(core, changes);
    this.upstream = new Upstream(core, changes);
    this.coding = new VariantCoding(core, changes);
    this.#settling = new OutboxSettling(core, options);
    this.#pruner = new FeedPruner(core.db, core.history);
    this.#feed = new ChangeFeed(core.db, () => ({ catalogId: core.id, lastVersion: core.lastVersion, horizon: core.horizon }));
  }

  get open(): boolean {
    return this.#core.db.isOpen;
  }
  /** Names the order of versions: another one, and who follows it begins anew. */
  get id(): string {
    return this.#core.id;
  }
  /** The newest version that was ever minted; everything up to it is in what this catalog says. */
  get lastVersion(): number {
    return this.#core.lastVersion;
  }
  /** Removals and invalidations up to this version may be missing here. */
  get horizon(): number {
    return this.#core.horizon;
  }
  get objectCount(): number {
    return this.#core.objects.count;
  }

  find(key: string): StoredObject | undefined {
    return this.#core.objects.find(key);
  }
  /** The first `limit` objects after a key of those that begin with `prefix`, in the order of their bytes. */
  page(prefix: string, after: string, limit: number): StoredObject[] {
    return this.#core.objects.page(prefix, after, limit);
  }
  /** Since when a key that once was is gone; undefined when it is there, or never was as far as is remembered. */
  removedAt(key: string): number | undefined {
    return this.#core.objects.tombstone(key)?.version;
  }
  changes(request: ChangesRequest): ChangesPage {
    return this.#feed.page(request);
  }

  /** Returns false when the bucket is there already. @throws {S3Error} `InvalidBucketName`, `TooManyBuckets` */
  async createBucket(name: string): Promise<boolean> {
    return this.#core.write(() => this.buckets.create(name, new Date(this.#clock.nowMs()).toISOString(), this.#core.minted));
  }

  /** Removes a bucket that has no objects. Uploads that are open in it are not found any more; ending them is left to {@link MultipartUploads.expire}. */
  async removeBucket(name: string): Promise<'removed' | 'missing' | 'not-empty'> {
    return this.#core.write(() => {
      if (!this.buckets.has(name)) return 'missing';
      if (!this.buckets.isEmpty(name)) return 'not-empty';
      this.buckets.remove(name);
      this.multipart.detach(name);
      this.#core.release(this.#core.history.forgetBucket(name));
      return 'removed';
    });
  }

  /**
   * Commits an upload whose bytes are in the blob store. Variants that the content has already are announced with it. A bucket that is not there yet
   * comes to be. @throws {S3Error} of `guard`, and what {@link createBucket} throws; then nothing has happened
   */
  async put(key: string, fields: UploadFields, body: StoredBody, { guard, details, also }: PutExtras = {}): Promise<Announced> {
    return this.#changes.announcing(() => {
      const current = this.find(key);
      guard?.(current);
      const { eventId, version } = this.#changes.store(key, fields, body, current, details);
      also?.({ eventId, version });
      return { eventId, version };
    });
  }

  /** Commits the content of `source` under `key`, with the fields that `plan` makes of it. Undefined when there is no source. @throws as {@link put}, and of `plan` */
  async copy(
    source: { readonly key: string; readonly version: number | undefined },
    key: string,
    plan: (source: PastUpload) => UploadFields,
    guard?: WriteGuard,
  ): Promise<(Announced & Pick<StoredObject, 'manifest' | 'etag'>) | undefined> {
    return this.#changes.announcing(() => {
      const copied = this.versions.find(source.key, source.version);
      if (copied === undefined) return undefined;
      const fields = plan(copied);
      const current = this.find(key);
      guard?.(current);
      const { sha256, size } = copied.manifest;
      return { ...this.#changes.store(key, fields, { sha256, size, etag: copied.etag }, current, copied.details), etag: copied.etag };
    });
  }

  /** Changes the tags of a key's current content, which is announced. Undefined when there is no such key. */
  async retag(key: string, tags: readonly string[]): Promise<Announced | undefined> {
    return this.#changes.announcing(() => {
      const current = this.find(key);
      if (current === undefined) return undefined;
      return this.#changes.apply(announcing(current, { tags: [...tags] }, this.#core.stamp()));
    });
  }

  /** Removes a key and leaves a tombstone. Undefined when there is no such key: then nothing happens. @throws {S3Error} of `guard` */
  async remove(key: string, guard?: WriteGuard): Promise<Announced | undefined> {
    return this.#changes.announcing(() => {
      const current = this.find(key);
      guard?.(current);
      return current === undefined ? undefined : this.#changes.apply(removing(key, current.ever, this.#core.stamp()));
    });
  }

  /** Records an invalidation. Undefined when it names a key that is not there, or when `request` was answered before. */
  async invalidate(selector: Selector, mode: InvalidationMode, request?: RequestOrigin): Promise<Announced | undefined> {
    return this.#changes.ordered(() => {
      if ('key' in selector && this.find(selector.key) === undefined) return undefined;
      if (request !== undefined && this.#core.requests.has(request.eventId)) return undefined;
      return { kind: 'invalidation', stamp: this.#core.stamp(request), selector, mode };
    });
  }

  /** Announces the current version of a key again. Undefined when there is no such key, or when `request` was answered before. */
  async announceAgain(key: string, request: RequestOrigin): Promise<Announced | undefined> {
    return this.#changes.announcing(() => {
      const current = this.find(key);
      if (current === undefined || !this.#core.requests.claim(request.eventId)) return undefined;
      return this.#changes.announceUpload(current.manifest, request);
    });
  }

  /** Remembers what came of making a patch. False when no object needs it any more. */
  async recordPatch(target: string, base: string, made: { sha256: string; size: number } | undefined): Promise<boolean> {
    return this.#core.write(() => this.references.recordPatch(target, base, made));
  }

  /** The stream has these events: see {@link OutboxSettling.settle}. */
  settle(published: readonly OutboxEntry[]): void {
    this.#settling.settle(published);
  }

  /**
   * Forgets removals and invalidations beyond `limits`, a bounded number at a time. `elsewhere`: forgets them in the log of a shared catalog, before, as far as that is in
   * this one now. Returns how many; ask again until 0.
   * @throws what `elsewhere` throws; then nothing is forgotten here
   */
  async prune(limits: PruneLimits, elsewhere: ForgetElsewhere = async () => {}): Promise<number> {
    const batch = this.#pruner.batch(limits);
    if (batch.rows === 0) return 0;
    await elsewhere(batch, this.upstream.position);
    await this.#core.write(() => {
      this.#core.release(this.#pruner.forget(batch));
      this.#core.raiseHorizon(batch.horizon);
    });
    return batch.rows;
  }

  close(): void {
    this.#core.close();
  }
}
