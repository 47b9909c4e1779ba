/**
 * The truth about every key. Invariants: a version is never minted twice and never goes back; a change, what it replaces and the event that
 * tells of it are committed together or not at all.
 */
import type { DatabaseSync } from 'node:sqlite';
import { type Operate, operate as operatePlainly } from '@sluice/blobs';
import {
  type ChangesRequest,
  CONTENT_UPLOADED,
  encode,
  type InvalidationMode,
  type Manifest,
  type Selector,
  SluiceError,
  uploadedVersion,
  type Variant,
} from '@sluice/contracts';
import type { Clock } from '@sluice/runtime';
import type { Durability } from '@sluice/sqlite';
import { bucketOf } from '../../domain/bucket-name.ts';
import {
  announcing,
  type CatalogChange,
  eventOf,
  isSameContent,
  type LogFact,
  naming,
  type ObjectChange,
  type RemovalChange,
  removing,
  type Stamp,
  type StoredBody,
  type StoredObject,
  storing,
} from '../../domain/catalog-change.ts';
import { namesVariants, wantsVariants } from '../../domain/content-coding.ts';
import type { SourceObject } from '../../domain/source-object.ts';
import { type UploadFields, uploadFieldsOf } from '../../domain/upload-headers.ts';
import { mintVersion } from '../../domain/version.ts';
import type { WriteGuard } from '../../domain/write-guard.ts';
import type { ChangeOrder } from '../../services/change-order.ts';
import { BlobReferences } from './blob-references.ts';
import { BucketTable } from './bucket-table.ts';
import { CatalogState } from './catalog-state.ts';
import { ChangeFeed, type ChangesPage } from './change-feed.ts';
import { FeedPruner, type ForgetElsewhere, type PruneLimits } from './feed-pruner.ts';
import { GroupCommit } from './group-commit.ts';
import { HistoryTable, type PastUpload } from './history-table.ts';
import { MultipartUploads } from './multipart-uploads.ts';
import { ObjectListing } from './object-listing.ts';
import { ObjectTable, type Tombstone } from './object-table.ts';
import { Outbox, type OutboxEntry } from './outbox.ts';
import { RequestTable } from './request-table.ts';
import { openCatalogDatabase } from './schema.ts';
import { SourcedTable } from './sourced-table.ts';
import { type UploadDetails, UploadDetailsTable } from './upload-details.ts';
import { VariantTable, type WaitingKey } from './variant-table.ts';
import { VersionListing } from './version-listing.ts';

/** Published events whose removal does not wait for another transaction any more. */
const SETTLED_MAX = 512;
/** Pause after their removal has failed. */
const SETTLE_RETRY_MS = 5_000;

export interface CatalogOptions {
  readonly path: string;
  /** `relaxed`: what a power cut takes away is known elsewhere. */
  readonly durability?: Durability;
  /** Where the changes get their places when other origins have the same catalog; absent: in its transactions. */
  readonly order?: ChangeOrder;
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

/** Where an entry is in the log of a shared catalog, and the one before it that there is. */
export interface PlaceInLog {
  readonly position: number;
  readonly behind: number;
}

/** An object as it stands at a source, with its bytes read. */
export interface SourcedContent {
  readonly object: SourceObject;
  readonly fields: UploadFields;
  readonly body: StoredBody;
  /** RFC 3339 with milliseconds. */
  readonly uploadedAt: string;
}

/** The catalog has got another state of an object than the one it had when somebody began to look at the source: what was found there may be old. */
export class OvertakenError extends SluiceError {
  constructor(key: string) {
    super('OVERTAKEN', `${key} was brought up to date by somebody else meanwhile; look at it again`, { retryable: true });
    this.name = 'OvertakenError';
  }
}

/** What a key was before a change. */
interface KeyBefore {
  readonly current: StoredObject | undefined;
  readonly tombstone: Tombstone | undefined;
}

interface ApplyOptions {
  readonly before?: KeyBefore;
  readonly details?: UploadDetails | undefined;
  readonly announce?: boolean;
}

/** What the order of versions has made; the rest is about bytes, or about uploads under way. */
const TABLES_OF_THE_ORDER = [
  'objects',
  'listed_objects',
  'tombstones',
  'history',
  'invalidations',
  'outbox',
  'answered_requests',
  'upload_details',
];

export class Catalog {
  readonly outbox: Outbox;
  readonly references: BlobReferences;
  readonly variants: VariantTable;
  /** To be read. */
  readonly buckets: BucketTable;
  readonly listing: ObjectListing;
  readonly versionListing: VersionListing;
  readonly multipart: MultipartUploads;
  readonly details: UploadDetailsTable;
  /** To be read. */
  readonly sourced: SourcedTable;
  readonly #state: CatalogState;
  readonly #options: CatalogOptions;
  readonly #db: DatabaseSync;
  readonly #commit: GroupCommit;
  readonly #objects: ObjectTable;
  readonly #history: HistoryTable;
  readonly #requests: RequestTable;
  readonly #feed: ChangeFeed;
  readonly #pruner: FeedPruner;
  #id: string;
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
    this.#db = openCatalogDatabase(options.path, options.clock.nowMs(), options.durability);
    const meta = this.#db.prepare('SELECT catalog_id, last_version, horizon FROM meta').get() as {
      catalog_id: string;
      last_version: number;
      horizon: number;
    };
    this.#id = meta.catalog_id;
    this.#lastVersion = this.#minted = meta.last_version;
    this.#horizon = meta.horizon;
    this.outbox = new Outbox(this.#db, options.outboxMaxEntries, () => options.onEventDropped?.());
    this.references = new BlobReferences(this.#db);
    this.variants = new VariantTable(this.#db);
    this.buckets = new BucketTable(this.#db);
    this.listing = new ObjectListing(this.#db);
    this.versionListing = new VersionListing(this.#db);
    this.details = new UploadDetailsTable(this.#db);
    this.sourced = new SourcedTable(this.#db);
    this.#state = new CatalogState(this.#db);
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
  /** Names the order of versions: another one, and who follows it begins anew. */
  get id(): string {
    return this.#id;
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
  /** The first `limit` objects after a key of those that begin with `prefix`, in the order of their bytes. */
  page(prefix: string, after: string, limit: number): StoredObject[] {
    return this.#objects.page(prefix, after, limit);
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
    return this.#commit.write(() => this.buckets.create(name, new Date(this.#options.clock.nowMs()).toISOString(), this.#minted));
  }

  /** Removes a bucket that has no objects. Uploads that are open in it are not found any more; ending them is left to {@link MultipartUploads.expire}. */
  async removeBucket(name: string): Promise<'removed' | 'missing' | 'not-empty'> {
    return this.#commit.write(() => {
      if (!this.buckets.has(name)) return 'missing';
      if (!this.buckets.isEmpty(name)) return 'not-empty';
      this.buckets.remove(name);
      this.multipart.detach(name);
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
      return { ...this.#store(key, fields, { sha256, size, etag: copied.etag }, current, copied.details), etag: copied.etag };
    });
  }

  /** Changes the tags of a key's current content, which is announced. Undefined when there is no such key. */
  async retag(key: string, tags: readonly string[]): Promise<Announced | undefined> {
    return this.#announcing(() => {
      const current = this.#objects.find(key);
      if (current === undefined) return undefined;
      return this.#apply(announcing(current, { tags: [...tags] }, this.#stamp()));
    });
  }

  /** What a key was in a version: the upload that had it. `version` undefined: what it is. */
  findVersion(key: string, version: number | undefined): PastUpload | undefined {
    const current = this.#objects.find(key);
    const isCurrent = version === undefined || (current !== undefined && uploadedVersion(current.manifest) === version);
    return isCurrent ? current && { ...current, details: this.details.of(key) } : this.#history.find(key, version);
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
   * Removes one version for good. When it is the current one, upload or removal, what was before it is current again, as a new version: an upload, or a removal, with which the key
   * stays gone. With nothing before it the key is gone and has no versions. A version that is not there is as good as removed.
   */
  async removeVersion(key: string, version: number): Promise<Announced | undefined> {
    return this.#announcing(() => {
      const released = this.#history.delete(key, version);
      if (released !== undefined) {
        this.#garbage.push(...released);
        return undefined;
      }
      const current = this.#objects.find(key);
      const tombstone = this.#objects.tombstone(key);
      const isCurrent =
        current === undefined ? tombstone?.isListed && tombstone.version === version : uploadedVersion(current.manifest) === version;
      if (!isCurrent) return undefined;
      const past = this.#history.last(key);
      if (past === undefined && current === undefined) {
        this.#objects.bury(key, { ...(tombstone as Tombstone), isListed: false });
        return undefined;
      }
      // First, so that what comes into the history for a moment pushes no older version out of it.
      if (past !== undefined) this.#garbage.push(...(this.#history.delete(key, past.version) ?? []));
      const announced =
        past?.upload === undefined
          ? this.#apply(removing(key, (current ?? (tombstone as Tombstone)).ever, this.#stamp(), past !== undefined))
          : this.#restore(key, past.upload, current);
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
    const announced = await this.#ordered(() => {
      const current = this.#objects.find(key);
      if (current === undefined || !wantsVariants(current.manifest, current.manifest.size)) return undefined;
      const variants = this.variants.of(current.manifest.sha256) ?? [];
      if (namesVariants(current.manifest.variants, variants)) return undefined;
      // Another origin has made some: whose are announced matters less than that they stay.
      if (this.#options.order !== undefined && current.manifest.variants !== undefined) return undefined;
      return announcing(current, naming(variants), this.#stamp(), this.sourced.find(key));
    });
    await this.#commit.write(() => this.variants.settle(seq));
    return announced;
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

  /** Makes an earlier upload current. */
  #restore(key: string, { manifest, etag, details }: PastUpload, current: StoredObject | undefined): Announced {
    const { sha256, size } = manifest;
    const { eventId, version } = this.#store(key, uploadFieldsOf(manifest), { sha256, size, etag }, current, details);
    return { eventId, version };
  }

  /** Records an invalidation. Undefined when it names a key that is not there, or when `request` was answered before. */
  async invalidate(selector: Selector, mode: InvalidationMode, request?: RequestOrigin): Promise<Announced | undefined> {
    return this.#ordered(() => {
      if ('key' in selector && this.#objects.find(selector.key) === undefined) return undefined;
      if (request !== undefined && this.#requests.has(request.eventId)) return undefined;
      return { kind: 'invalidation', stamp: this.#stamp(request), selector, mode };
    });
  }

  /**
   * Makes the state of an object at its source that of the catalog. `seen`: the revision that the catalog had when the source was asked. Undefined when nothing that edges are told
   * has changed. @throws {OvertakenError}
   */
  async reflect(
    { object, fields, body, uploadedAt }: SourcedContent,
    seen: string | undefined,
    request?: RequestOrigin,
  ): Promise<Announced | undefined> {
    const { key } = object;
    const current = this.#objects.find(key);
    if (current !== undefined && this.sourced.find(key)?.revision === seen && isSameContent(current, fields, body)) {
      await this.#commit.write(() => {
        // Another origin's change may have come into the same transaction.
        this.#requireSeen(key, seen);
        this.sourced.remember(key, object, body);
      });
      return undefined;
    }
    return this.#ordered(() => {
      this.#requireSeen(key, seen);
      const { current, tombstone } = this.#lookUp(key);
      const variants = wantsVariants(fields, body.size) ? (this.variants.of(body.sha256) ?? []) : [];
      const content = { key, fields, body, variants, uploadedAt, source: object };
      // A request that is delivered again was answered with what there was then: under the same event nobody would hear of this.
      const isAnswered = request !== undefined && this.#requests.has(request.eventId);
      return storing(content, { current, everBefore: tombstone?.ever }, this.#stamp(isAnswered ? undefined : request));
    });
  }

  /** What is known of the bytes of a key at its source does not hold: the next look reads them. */
  async doubt(key: string): Promise<void> {
    await this.#commit.write(() => this.sourced.doubt(key));
  }

  /** Removes what is no longer at its source. @throws {OvertakenError} as {@link reflect} */
  async removeUnsourced(key: string, seen: string | undefined, request?: RequestOrigin): Promise<Announced | undefined> {
    return this.#ordered(() => {
      this.#requireSeen(key, seen);
      const current = this.#objects.find(key);
      return current === undefined ? undefined : removing(key, current.ever, this.#stamp(request));
    });
  }

  /** Whether a change, of whichever origin, was the answer to a request. */
  hasAnswered({ eventId }: RequestOrigin): boolean {
    return this.#requests.has(eventId);
  }

  #requireSeen(key: string, seen: string | undefined): void {
    if (this.sourced.find(key)?.revision !== seen) throw new OvertakenError(key);
  }

  /** Announces the current version of a key again. Undefined when there is no such key, or when `request` was answered before. */
  async announceAgain(key: string, request: RequestOrigin): Promise<Announced | undefined> {
    return this.#announcing(() => {
      const current = this.#objects.find(key);
      if (current === undefined || !this.#requests.claim(request.eventId)) return undefined;
      return this.#announceUpload(current.manifest, request);
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

  /**
   * Forgets removals and invalidations beyond `limits`, a bounded number at a time. `elsewhere`: forgets them in the log of a shared catalog, before, as far as that is in
   * this one now. Returns how many; ask again until 0.
   * @throws what `elsewhere` throws; then nothing is forgotten here
   */
  async prune(limits: PruneLimits, elsewhere: ForgetElsewhere = async () => {}): Promise<number> {
    const batch = this.#pruner.batch(limits);
    if (batch.rows === 0) return 0;
    await elsewhere(batch, this.position);
    await this.#commit.write(() => {
      this.#garbage.push(...this.#pruner.forget(batch));
      this.#raiseHorizon(batch.horizon);
    });
    return batch.rows;
  }

  /** Removals and invalidations up to this version may be missing here. */
  get horizon(): number {
    return this.#horizon;
  }

  /** Inside a transaction. Should that be undone, readers begin anew that need not: better than the reverse. */
  #raiseHorizon(version: number): void {
    if (version <= this.#horizon) return;
    this.#pruner.saveHorizon(version);
    this.#horizon = version;
  }

  close(): void {
    this.#commit.flush();
    this.#db.close();
  }

  /** Where the bytes of a blob are, as far as objects at a source go, and how many; undefined when nothing has them. */
  locate(sha256: string): { readonly object: SourceObject | undefined; readonly size: number } | undefined {
    const object = this.sourced.locate(sha256);
    const size = object?.size ?? this.references.derivedSize(sha256);
    return size === undefined ? undefined : { object, size };
  }

  /** Whose content it is. Said once; undefined before. */
  get source(): string | undefined {
    return this.#state.source;
  }
  /** Whether everything at the source was in the catalog once: before, what is missing says nothing. */
  get isListed(): boolean {
    return this.#state.isListed;
  }
  /** Up to where the log of a shared catalog is in this one. */
  get position(): number {
    return this.#state.position;
  }

  async setSource(source: string): Promise<void> {
    await this.#commit.write(() => this.#state.begin(source));
  }
  /** Everything at the source is in the catalog. */
  async setListed(): Promise<void> {
    await this.#commit.write(() => this.#state.setListed(true));
  }

  /** The log of a shared catalog says so at `position`; what this catalog has already is passed over. `announce`: whether a change is news, so that its event is sent. */
  async follow(fact: LogFact, { position, behind }: PlaceInLog, announce: boolean): Promise<void> {
    const isEvent = await this.#commit.write(() => {
      const reached = this.#state.position;
      if (position <= reached) return false;
      // The one before could not be taken, on a full disk for example: none may be passed over.
      if (reached < behind)
        throw new SluiceError('CATALOG_GAP', `the catalog has the log up to ${reached}, and not up to ${behind}`, { retryable: true });
      this.#state.setPosition(position);
      switch (fact.kind) {
        case 'listed':
          this.#state.setListed(true);
          return false;
        case 'forgotten':
          this.#raiseHorizon(fact.version);
          return false;
      }
      this.#apply(fact, { announce });
      if (fact.kind === 'object') this.#noteVariants(fact.manifest);
      return announce;
    });
    if (isEvent) this.#options.onEvent?.();
  }

  /** Another origin may have made them: what they are is known, and they are made again here when somebody asks. */
  #noteVariants({ key, sha256, variants = [] }: Manifest): void {
    if (variants.length === 0) return;
    this.variants.settleKey(key);
    if (this.variants.of(sha256) !== undefined) return;
    const codings = variants.map(({ coding }) => coding);
    this.variants.record(sha256, codings, variants);
  }

  /** Another log than before: the catalog is what that one says behind `position`, with versions greater than `version`. What is known of bytes stays known. */
  async beginAnew({
    catalogId,
    position,
    version,
  }: {
    readonly catalogId: string;
    readonly position: number;
    readonly version: number;
  }): Promise<void> {
    await this.#commit.write(() => {
      for (const table of TABLES_OF_THE_ORDER) this.#db.exec(`DELETE FROM ${table}`);
      this.sourced.unsay();
      this.#state.setListed(false);
      this.#state.setPosition(position);
      this.#db.prepare('UPDATE meta SET catalog_id = ?, horizon = 0').run(catalogId);
      this.#minted = version;
    });
    this.#id = catalogId;
    this.#horizon = 0;
  }

  /** For a change that others of a shared catalog have to get in the same order. */
  async #ordered(decide: () => CatalogChange | undefined): Promise<Announced | undefined> {
    const { order } = this.#options;
    if (order !== undefined) {
      const placed = await order.place(decide);
      return placed && { eventId: placed.stamp.eventId, version: placed.stamp.version };
    }
    return this.#announcing(() => {
      const change = decide();
      return change && this.#apply(change);
    });
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
    const tombstone = current === undefined ? this.#objects.tombstone(key) : undefined;
    const stamp = this.#stamp();
    const uploadedAt = new Date(stamp.atMs).toISOString();
    const variants = wantsVariants(fields, body.size) ? (this.variants.of(body.sha256) ?? []) : [];
    const change = storing({ key, fields, body, variants, uploadedAt }, { current, everBefore: tombstone?.ever }, stamp);
    return { ...this.#apply(change, { before: { current, tombstone }, details }), manifest: change.manifest };
  }

  #bury(key: string, { ever }: StoredObject): Announced {
    return this.#apply(removing(key, ever, this.#stamp()));
  }

  /** Inside a transaction: makes a change true, and announces it. `before`: what its key was, where that was just looked up. */
  #apply(change: CatalogChange, { before, details, announce = true }: ApplyOptions = {}): Announced {
    const { version, eventId, atMs, cause } = change.stamp;
    this.#minted = Math.max(this.#minted, version);
    if (cause !== undefined) this.#requests.claim(eventId);
    switch (change.kind) {
      case 'object':
        this.#applyObject(change, before ?? this.#lookUp(change.manifest.key), details);
        break;
      case 'removal':
        this.#applyRemoval(change);
        break;
      case 'invalidation':
        this.#objects.invalidate(version, change.selector, change.mode);
    }
    if (announce) {
      const { subject, payload } = eventOf(change);
      this.outbox.add(eventId, subject, payload, atMs);
    }
    return { eventId, version };
  }

  #applyObject(change: ObjectChange, { current, tombstone }: KeyBefore, details: UploadDetails | undefined): void {
    const { manifest, stamp } = change;
    const { key, sha256, size } = manifest;
    const isSameUpload = current !== undefined && uploadedVersion(current.manifest) === uploadedVersion(manifest);
    if (change.source !== undefined) this.sourced.remember(key, change.source, { sha256, size, etag: change.etag });
    if (isSameUpload) {
      this.#objects.put(change);
      return;
    }
    const isNewBucket = this.buckets.create(bucketOf(key), new Date(stamp.atMs).toISOString(), stamp.version - 1);
    if (wantsVariants(manifest, size) && this.variants.of(sha256) === undefined) {
      this.variants.await(key);
      this.#variantsWanted = true;
    }
    this.#objects.put(change);
    // What it was told with goes into the history with it.
    if (current !== undefined) this.#supersede(current);
    this.details.set(key, details);
    // What was removed from a bucket that was deleted is no version of a key in the new one.
    if (tombstone?.isListed && !isNewBucket) this.#history.addRemoval(key, tombstone.version);
    // A key that is new was nothing before.
    if (current !== undefined || tombstone !== undefined) this.#trimHistory(key);
  }

  #applyRemoval({ key, stamp, ever, isListed = true }: RemovalChange): void {
    const current = this.#objects.find(key);
    this.#objects.bury(key, { version: stamp.version, ever, isListed });
    this.sourced.forget(key);
    if (current !== undefined) this.#supersede(current);
    this.details.set(key);
    this.#trimHistory(key);
  }

  #lookUp(key: string): KeyBefore {
    const current = this.#objects.find(key);
    return { current, tombstone: current === undefined ? this.#objects.tombstone(key) : undefined };
  }

  #announceUpload(manifest: Manifest, { eventId, cause }: RequestOrigin): Announced {
    const { key, version } = manifest;
    const atMs = this.#options.clock.nowMs();
    const message = { id: eventId, key, version, manifest, cause, at: new Date(atMs).toISOString() };
    this.outbox.add(eventId, CONTENT_UPLOADED.subject, encode(CONTENT_UPLOADED.subject, CONTENT_UPLOADED.message, message), atMs);
    return { eventId, version };
  }

  #stamp(request?: RequestOrigin): Stamp {
    const atMs = this.#options.clock.nowMs();
    const version = this.#mint(atMs);
    return { version, eventId: request?.eventId ?? this.#eventId(version), cause: request?.cause, atMs };
  }

  #mint(nowMs: number): number {
    this.#minted = mintVersion(nowMs, this.#minted);
    return this.#minted;
  }

  /** The catalog's name makes it unique also beside events of an origin that was set up anew. */
  #eventId(version: number): string {
    return `${this.#id.slice(0, 8)}-${version}`;
  }

  /** After an object made way for another upload or for its removal; before the details of what is there instead are set. */
  #supersede(replaced: StoredObject): void {
    this.#history.addUpload(uploadedVersion(replaced.manifest), { ...replaced, details: this.details.of(replaced.manifest.key) });
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
