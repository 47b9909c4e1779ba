/**
 * The truth about every key. Invariants: a version is never minted twice and never goes back; a change, what it replaces and the event that
 * tells of it are committed together or not at all.
 */
import type { DatabaseSync } from 'node:sqlite';
import { type Operate, operate as operatePlainly } from '@sluice/blobs';
import {
  type ChangesRequest,
  CONTENT_INVALIDATED,
  CONTENT_REMOVED,
  CONTENT_UPLOADED,
  encode,
  type InvalidationMode,
  type Manifest,
  type PreviousVersion,
  type Selector,
  uploadedVersion,
  type Variant,
} from '@sluice/contracts';
import type { Clock } from '@sluice/runtime';
import { bucketOf } from '../../domain/bucket-name.ts';
import { namesVariants, wantsVariants } from '../../domain/content-coding.ts';
import { addPlacement } from '../../domain/placement.ts';
import { type UploadFields, uploadFieldsOf } from '../../domain/upload-headers.ts';
import { mintVersion } from '../../domain/version.ts';
import type { WriteGuard } from '../../domain/write-guard.ts';
import { BlobReferences } from './blob-references.ts';
import { BucketTable } from './bucket-table.ts';
import { ChangeFeed, type ChangesPage } from './change-feed.ts';
import { FeedPruner, type PruneLimits } from './feed-pruner.ts';
import { GroupCommit } from './group-commit.ts';
import { HistoryTable, type PastUpload } from './history-table.ts';
import { MultipartUploads } from './multipart-uploads.ts';
import { ObjectListing } from './object-listing.ts';
import { ObjectTable, type StoredObject } from './object-table.ts';
import { Outbox, type OutboxEntry } from './outbox.ts';
import { RequestTable } from './request-table.ts';
import { openCatalogDatabase } from './schema.ts';
import { type UploadDetails, UploadDetailsTable } from './upload-details.ts';
import { VariantTable, type WaitingKey } from './variant-table.ts';
import { VersionListing } from './version-listing.ts';

/** Published events whose removal does not wait for another transaction any more. */
const SETTLED_MAX = 512;
/** Pause after their removal has failed. */
const SETTLE_RETRY_MS = 5_000;

export interface CatalogOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly outboxMaxEntries: number;
  /** Versions of a key that are kept, with the one it has now; at least 1. */
  readonly versionsKept?: (key: string) => number;
  /** Multipart uploads open at once. */
  readonly multipartMaxOpen: number;
  readonly operate?: Operate;
  /** Called with the names of bytes that a change may have left without use. */
  readonly onGarbage?: (checksums: readonly string[]) => void;
  /** Called when an event was put into the outbox. */
  readonly onEvent?: () => void;
  /** Called when a key waits for the variants of its content. */
  readonly onVariantsWanted?: () => void;
  /** Called when published events could not be removed from the outbox; it is tried again. */
  readonly onSettleFailed?: (error: unknown) => void;
  /** Called when an event found the outbox full. */
  readonly onEventDropped?: () => void;
}

/** A body that is in the blob store. */
export interface StoredBody {
  readonly sha256: string;
  readonly size: number;
  /** MD5 in hexadecimal; of a multipart upload, the MD5 of its parts' with `-` and their number behind. */
  readonly etag: string;
}

/** What may come with an upload. */
export interface PutExtras {
  /** What the key has to be; what it throws undoes the upload. */
  readonly guard?: WriteGuard | undefined;
  readonly details?: UploadDetails | undefined;
  /** Runs inside the transaction; what it throws undoes the upload. */
  readonly also?: (announced: Announced) => void;
}

/** A committed change: the event that announces it. */
export interface Announced {
  readonly eventId: string;
  readonly version: number;
}

/** A request to announce something, from a message on the stream. The same `eventId` is answered once. */
export interface RequestOrigin {
  readonly eventId: string;
  /** The request's own id. */
  readonly cause: string;
}

export class Catalog {
  readonly id: string;
  readonly outbox: Outbox;
  readonly references: BlobReferences;
  readonly variants: VariantTable;
  /** To be read. */
  readonly buckets: BucketTable;
  readonly listing: ObjectListing;
  readonly versionListing: VersionListing;
  readonly multipart: MultipartUploads;
  readonly details: UploadDetailsTable;
  readonly #options: CatalogOptions;
  readonly #db: DatabaseSync;
  readonly #commit: GroupCommit;
  readonly #objects: ObjectTable;
  readonly #history: HistoryTable;
  readonly #requests: RequestTable;
  readonly #feed: ChangeFeed;
  readonly #pruner: FeedPruner;
  #settling = false;
  /** The newest version on the disk, and the newest of the transaction under way. */
  #lastVersion: number;
  #minted: number;
  #horizon: number;
  /** Of the transaction under way. */
  #garbage: string[] = [];
  #variantsWanted = false;

  constructor(options: CatalogOptions) {
    this.#options = options;
    this.#db = openCatalogDatabase(options.path, options.clock.nowMs());
    const meta = this.#db.prepare('SELECT catalog_id, last_version, horizon FROM meta').get() as {
      catalog_id: string;
      last_version: number;
      horizon: number;
    };
    this.id = meta.catalog_id;
    this.#lastVersion = this.#minted = meta.last_version;
    this.#horizon = meta.horizon;
    this.outbox = new Outbox(this.#db, options.outboxMaxEntries, () => options.onEventDropped?.());
    this.references = new BlobReferences(this.#db);
    this.variants = new VariantTable(this.#db);
    this.buckets = new BucketTable(this.#db);
    this.listing = new ObjectListing(this.#db);
    this.versionListing = new VersionListing(this.#db);
    this.details = new UploadDetailsTable(this.#db);
    this.multipart = new MultipartUploads({
      db: this.#db,
      write: (change) => this.#commit.write(change),
      release: (checksums) => void this.#garbage.push(...checksums),
      nowMs: () => options.clock.nowMs(),
      maxOpen: options.multipartMaxOpen,
    });
    this.#objects = new ObjectTable(this.#db);
    this.#requests = new RequestTable(this.#db);
    this.#history = new HistoryTable(this.#db);
    this.#pruner = new FeedPruner(this.#db, this.#history);
    this.#feed = new ChangeFeed(this.#db, () => ({ catalogId: this.id, lastVersion: this.#lastVersion, horizon: this.#horizon }));
    const saveVersion = this.#db.prepare('UPDATE meta SET last_version = ?');
    this.#commit = new GroupCommit(this.#db, options.operate ?? operatePlainly, options.clock, {
      begin: () => {
        this.#minted = this.#lastVersion;
        this.#garbage = [];
        this.#variantsWanted = false;
      },
      beforeCommit: () => {
        if (this.#minted !== this.#lastVersion) saveVersion.run(this.#minted);
      },
      afterCommit: () => {
        this.#lastVersion = this.#minted;
        if (this.#garbage.length > 0) options.onGarbage?.(this.#garbage);
        if (this.#variantsWanted) options.onVariantsWanted?.();
      },
    });
  }

  get open(): boolean {
    return this.#db.isOpen;
  }
  /** The newest version that was ever minted; everything up to it is in what this catalog says. */
  get lastVersion(): number {
    return this.#lastVersion;
  }
  get objectCount(): number {
    return this.#objects.count;
  }

  find(key: string): StoredObject | undefined {
    return this.#objects.find(key);
  }
  /** Since when a key that once was is gone; undefined when it is there, or never was as far as is remembered. */
  removedAt(key: string): number | undefined {
    return this.#objects.tombstone(key)?.version;
  }
  changes(request: ChangesRequest): ChangesPage {
    return this.#feed.page(request);
  }

  /** Returns false when the bucket is there already. @throws {S3Error} `InvalidBucketName`, `TooManyBuckets` */
  async createBucket(name: string): Promise<boolean> {
    return this.#commit.write(() => this.buckets.create(name, new Date(this.#options.clock.nowMs()).toISOString()));
  }

  /** Removes a bucket that has no objects. */
  async removeBucket(name: string): Promise<'removed' | 'missing' | 'not-empty'> {
    return this.#commit.write(() => {
      if (!this.buckets.has(name)) return 'missing';
      if (!this.buckets.isEmpty(name)) return 'not-empty';
      this.buckets.remove(name);
      this.#garbage.push(...this.#history.forgetBucket(name));
      return 'removed';
    });
  }

  /**
   * Commits an upload whose bytes are in the blob store. Variants that the content has already are announced with it. A bucket that is not there yet
   * comes to be. @throws {S3Error} of `guard`, and what {@link createBucket} throws; then nothing has happened
   */
  async put(key: string, fields: UploadFields, body: StoredBody, { guard, details, also }: PutExtras = {}): Promise<Announced> {
    return this.#announcing(() => {
      const current = this.#objects.find(key);
      guard?.(current);
      const { eventId, version } = this.#store(key, fields, body, current, details);
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
    return this.#announcing(() => {
      const copied = this.findVersion(source.key, source.version);
      if (copied === undefined) return undefined;
      const fields = plan(copied);
      const current = this.#objects.find(key);
      guard?.(current);
      const { sha256, size } = copied.manifest;
      const details = source.version === undefined ? this.details.of(source.key) : undefined;
      return { ...this.#store(key, fields, { sha256, size, etag: copied.etag }, current, details), etag: copied.etag };
    });
  }

  /** Changes the tags of a key's current content, which is announced. Undefined when there is no such key. */
  async retag(key: string, tags: readonly string[]): Promise<Announced | undefined> {
    return this.#announcing(() => {
      const current = this.#objects.find(key);
      if (current === undefined) return undefined;
      return this.#announceChanged(current, { tags: [...tags] });
    });
  }

  /** What a key was in a version: the upload that had it. `version` undefined: what it is. */
  findVersion(key: string, version: number | undefined): PastUpload | undefined {
    const current = this.#objects.find(key);
    if (version === undefined) return current;
    return current !== undefined && uploadedVersion(current.manifest) === version ? current : this.#history.find(key, version);
  }

  /**
   * Makes an earlier upload of a key current again, as a new version with the bytes and fields of that one: the upload before the current one, or before the removal, or
   * with `to` the newest one up to that version. `current`: it is that already. Undefined: none is kept. `asItWas`: what was removed by `to` does not come back.
   */
  async rollBack(key: string, to?: number, asItWas = false): Promise<Announced | 'current' | undefined> {
    return this.#announcing(() => {
      const current = this.#objects.find(key);
      const removedIn = asItWas ? this.#objects.tombstone(key)?.version : undefined;
      const currentVersion = current === undefined ? removedIn : uploadedVersion(current.manifest);
      if (to !== undefined && currentVersion !== undefined && currentVersion <= to) return 'current';
      const past = this.#history.newestUpTo(key, to ?? Number.MAX_SAFE_INTEGER);
      if (past === undefined) return undefined;
      if (asItWas && to !== undefined && this.#history.wasRemoved(key, to)) return undefined;
      return this.#restore(key, past, current);
    });
  }

  /** Keys that begin with `prefix`, come after `after` and were something else before: those that can be rolled back. */
  keysWithHistory(prefix: string, after = '', limit = 1_000): string[] {
    return this.#history.keys(prefix, after, limit);
  }

  /**
   * Removes one version for good. When it is the current one, upload or removal, the upload before it is current again, as a new version; when there is none, the key is gone. A
   * version that is not there is as good as removed.
   */
  async removeVersion(key: string, version: number): Promise<Announced | undefined> {
    return this.#announcing(() => {
      const released = this.#history.delete(key, version);
      if (released !== undefined) {
        this.#garbage.push(...released);
        return undefined;
      }
      const current = this.#objects.find(key);
      const isCurrent = version === (current === undefined ? this.#objects.tombstone(key)?.version : uploadedVersion(current.manifest));
      if (!isCurrent) return undefined;
      const past = this.#history.newestUpTo(key, Number.MAX_SAFE_INTEGER);
      if (past === undefined && current === undefined) return undefined;
      // First, so that what comes into the history for a moment pushes no older version out of it.
      if (past !== undefined) this.#garbage.push(...(this.#history.delete(key, uploadedVersion(past.manifest)) ?? []));
      const announced = past === undefined ? this.#bury(key, current as StoredObject) : this.#restore(key, past, current);
      this.#garbage.push(...(this.#history.delete(key, version) ?? []));
      return announced;
    });
  }

  /** Notes that a content is about to be coded. False: it is to be left alone. */
  async beginCoding(content: string): Promise<boolean> {
    return this.#commit.write(() => this.variants.begin(content));
  }
  /** Its coding has failed, or was given up. */
  async endCoding(content: string): Promise<void> {
    await this.#commit.write(() => this.variants.end(content));
  }

  /** Remembers what came of making the variants of a content. False when no object has it any more. */
  async recordVariants(content: string, codings: readonly string[], made: readonly Variant[]): Promise<boolean> {
    return this.#commit.write(() => this.variants.record(content, codings, made));
  }

  /**
   * Ends a key's waiting. Where its content has variants that its manifest does not name, they are announced as a new version of the same upload: `previous` stays
   * the content before, and the time of the upload stays too. Undefined when there is nothing to announce.
   */
  async announceVariants({ seq, key }: WaitingKey): Promise<Announced | undefined> {
    return this.#announcing(() => {
      this.variants.settle(seq);
      const current = this.#objects.find(key);
      if (current === undefined || !wantsVariants(current.manifest, current.manifest.size)) return undefined;
      const variants = this.variants.of(current.manifest.sha256) ?? [];
      if (namesVariants(current.manifest.variants, variants)) return undefined;
      return this.#announceChanged(current, naming(variants));
    });
  }

  /** Making the variants for a key failed: it is tried again after the others, a few times. */
  async postponeVariants({ seq }: WaitingKey): Promise<void> {
    await this.#commit.write(() => this.variants.postpone(seq));
  }

  /** Removes a key and leaves a tombstone. Undefined when there is no such key: then nothing happens. @throws {S3Error} of `guard` */
  async remove(key: string, guard?: WriteGuard): Promise<Announced | undefined> {
    return this.#announcing(() => {
      const current = this.#objects.find(key);
      guard?.(current);
      return current === undefined ? undefined : this.#bury(key, current);
    });
  }

  #bury(key: string, current: StoredObject): Announced {
    const nowMs = this.#options.clock.nowMs();
    const version = this.#mint(nowMs);
    const eventId = this.#eventId(version);
    this.#objects.bury(key, version, current.ever);
    this.details.set(key);
    this.#supersede(current);
    this.#trimHistory(key);
    const message = { id: eventId, key, version, at: new Date(nowMs).toISOString() };
    this.outbox.add(eventId, CONTENT_REMOVED.subject, encode(CONTENT_REMOVED.subject, CONTENT_REMOVED.message, message), nowMs);
    return { eventId, version };
  }

  /** Makes an earlier upload current. */
  #restore(key: string, { manifest, etag }: PastUpload, current: StoredObject | undefined): Announced {
    const { sha256, size } = manifest;
    const { eventId, version } = this.#store(key, uploadFieldsOf(manifest), { sha256, size, etag }, current);
    return { eventId, version };
  }

  /** Records an invalidation. Undefined when it names a key that is not there, or when `request` was answered before. */
  async invalidate(selector: Selector, mode: InvalidationMode, request?: RequestOrigin): Promise<Announced | undefined> {
    return this.#announcing(() => {
      if ('key' in selector && this.#objects.find(selector.key) === undefined) return undefined;
      if (request !== undefined && !this.#requests.claim(request.eventId)) return undefined;
      const nowMs = this.#options.clock.nowMs();
      const version = this.#mint(nowMs);
      const eventId = request?.eventId ?? this.#eventId(version);
      this.#objects.invalidate(version, selector, mode);
      const cause = request === undefined ? {} : { cause: request.cause };
      const message = { ...selector, id: eventId, version, mode, ...cause, at: new Date(nowMs).toISOString() };
      this.outbox.add(
        eventId,
        CONTENT_INVALIDATED.subject,
        encode(CONTENT_INVALIDATED.subject, CONTENT_INVALIDATED.message, message),
        nowMs,
      );
      return { eventId, version };
    });
  }

  /** Announces the current version of a key again. Undefined when there is no such key, or when `request` was answered before. */
  async announceAgain(key: string, request: RequestOrigin): Promise<Announced | undefined> {
    return this.#announcing(() => {
      const current = this.#objects.find(key);
      if (current === undefined || !this.#requests.claim(request.eventId)) return undefined;
      return this.#announceUpload(current.manifest, request.eventId, request.cause, this.#options.clock.nowMs());
    });
  }

  /** Remembers what came of making a patch. False when no object needs it any more. */
  async recordPatch(target: string, base: string, made: { sha256: string; size: number } | undefined): Promise<boolean> {
    return this.#commit.write(() => this.references.recordPatch(target, base, made));
  }

  /**
   * The stream has acknowledged these events: they are not offered again, and leave the disk with the next transaction or within a second. One that a
   * crash brings back is published again, and the stream knows its id.
   */
  settle(published: readonly OutboxEntry[]): void {
    this.outbox.acknowledge(published);
    if (!this.#settling) void this.#removeSettled();
    if (this.outbox.acknowledged >= SETTLED_MAX) this.#commit.hurry();
  }

  async #removeSettled(): Promise<void> {
    this.#settling = true;
    const { clock, onSettleFailed } = this.#options;
    try {
      while (this.outbox.acknowledged > 0) {
        const done = await this.#commit.write(() => this.outbox.removeAcknowledged(), 'later');
        done();
      }
    } catch (error) {
      onSettleFailed?.(error);
      // A full disk, most likely. What waits is no more than what was in the outbox.
      clock.after(SETTLE_RETRY_MS, () => void this.#removeSettled());
      return;
    }
    this.#settling = false;
  }

  /** Forgets removals and invalidations beyond `limits`, a bounded number at a time. Returns how many; ask again until 0. */
  async prune(limits: PruneLimits): Promise<number> {
    const { pruned, horizon } = await this.#commit.write(() => {
      const done = this.#pruner.prune(limits, this.#horizon);
      this.#garbage.push(...done.garbage);
      return done;
    });
    this.#horizon = horizon;
    return pruned;
  }

  close(): void {
    this.#commit.flush();
    this.#db.close();
  }

  /** For a change that comes to an event, unless it comes to nothing. */
  async #announcing<Result extends Announced | 'current' | undefined>(change: () => Result): Promise<Result> {
    const result = await this.#commit.write(change);
    if (typeof result === 'object') this.#options.onEvent?.();
    return result;
  }

  /** Inside a transaction: makes `body` the content of `key` in the place of `current`, and announces it. */
  #store(
    key: string,
    fields: UploadFields,
    body: StoredBody,
    current: StoredObject | undefined,
    details?: UploadDetails,
  ): Announced & { manifest: Manifest } {
    const nowMs = this.#options.clock.nowMs();
    const uploadedAt = new Date(nowMs).toISOString();
    this.buckets.create(bucketOf(key), uploadedAt);
    const tombstone = current === undefined ? this.#objects.tombstone(key) : undefined;
    const ever = current?.ever ?? tombstone?.ever ?? [];
    const version = this.#mint(nowMs);
    const { sha256, size } = body;
    const variants = wantsVariants(fields, size) ? this.variants.of(sha256) : [];
    if (variants === undefined) {
      this.variants.await(key);
      this.#variantsWanted = true;
    }
    const manifest: Manifest = { ...fields, key, version, sha256, size, uploadedAt, ...naming(variants ?? []) };
    const previous = current === undefined ? undefined : asPrevious(current.manifest);
    this.#objects.put({ manifest, previous, etag: body.etag, ever: addPlacement(ever, fields.regions) });
    this.details.set(key, details);
    if (current !== undefined) this.#supersede(current);
    if (tombstone !== undefined) this.#history.addRemoval(key, tombstone.version);
    // A key that is new was nothing before.
    if (current !== undefined || tombstone !== undefined) this.#trimHistory(key);
    return { ...this.#announceUpload(manifest, this.#eventId(version), undefined, nowMs), manifest };
  }

  /** Inside a transaction: a new version with the content that `current` has, and its announcement. */
  #announceChanged(current: StoredObject, change: Pick<Manifest, 'variants'> | Pick<Manifest, 'tags'>): Announced {
    const nowMs = this.#options.clock.nowMs();
    const version = this.#mint(nowMs);
    const manifest: Manifest = { ...current.manifest, ...change, version, contentVersion: uploadedVersion(current.manifest) };
    this.#objects.put({ ...current, manifest });
    return this.#announceUpload(manifest, this.#eventId(version), undefined, nowMs);
  }

  #announceUpload(manifest: Manifest, eventId: string, cause: string | undefined, nowMs: number): Announced {
    const { key, version } = manifest;
    const message = { id: eventId, key, version, manifest, ...(cause === undefined ? {} : { cause }), at: new Date(nowMs).toISOString() };
    this.outbox.add(eventId, CONTENT_UPLOADED.subject, encode(CONTENT_UPLOADED.subject, CONTENT_UPLOADED.message, message), nowMs);
    return { eventId, version };
  }

  #mint(nowMs: number): number {
    this.#minted = mintVersion(nowMs, this.#minted);
    return this.#minted;
  }

  /** The catalog's name makes it unique also beside events of an origin that was set up anew. */
  #eventId(version: number): string {
    return `${this.id.slice(0, 8)}-${version}`;
  }

  /** After an object made way for another upload or for its removal. */
  #supersede(replaced: StoredObject): void {
    this.#history.addUpload(uploadedVersion(replaced.manifest), replaced);
    this.#release(replaced);
  }

  #trimHistory(key: string): void {
    const kept = this.#options.versionsKept?.(key) ?? 1;
    this.#garbage.push(...this.#history.trim(key, kept - 1));
  }

  /** After `replaced` made way: its patch, its predecessor, itself and their variants may be garbage. */
  #release({ manifest, previous }: StoredObject): void {
    this.#garbage.push(manifest.sha256, ...this.references.releasePair(manifest.sha256, previous?.sha256 ?? null));
    this.#garbage.push(...this.variants.release(manifest.sha256));
    if (previous !== undefined) this.#garbage.push(previous.sha256, ...this.variants.release(previous.sha256));
  }
}

function naming(variants: readonly Variant[]): Pick<Manifest, 'variants'> {
  return variants.length === 0 ? {} : { variants: [...variants] };
}

function asPrevious({ version, sha256, size, regions }: Manifest): PreviousVersion {
  return { version, sha256, size, regions };
}
