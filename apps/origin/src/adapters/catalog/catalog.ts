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
import { namesVariants, wantsVariants } from '../../domain/content-coding.ts';
import { addPlacement } from '../../domain/placement.ts';
import type { UploadFields } from '../../domain/upload-headers.ts';
import { mintVersion } from '../../domain/version.ts';
import { BlobReferences } from './blob-references.ts';
import { ChangeFeed, type ChangesPage } from './change-feed.ts';
import { FeedPruner, type PruneLimits } from './feed-pruner.ts';
import { GroupCommit } from './group-commit.ts';
import { MultipartUploads } from './multipart-uploads.ts';
import { ObjectTable, type StoredObject } from './object-table.ts';
import { Outbox, type OutboxEntry } from './outbox.ts';
import { RequestTable } from './request-table.ts';
import { openCatalogDatabase } from './schema.ts';
import { type UploadDetails, UploadDetailsTable } from './upload-details.ts';
import { VariantTable, type WaitingKey } from './variant-table.ts';

/** Published events whose removal does not wait for another transaction any more. */
const SETTLED_MAX = 512;
/** Pause after their removal has failed. */
const SETTLE_RETRY_MS = 5_000;

export interface CatalogOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly outboxMaxEntries: number;
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
  readonly details?: UploadDetails;
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
  readonly multipart: MultipartUploads;
  readonly details: UploadDetailsTable;
  readonly #options: CatalogOptions;
  readonly #db: DatabaseSync;
  readonly #commit: GroupCommit;
  readonly #objects: ObjectTable;
  readonly #requests: RequestTable;
  readonly #feed: ChangeFeed;
  readonly #pruner: FeedPruner;
  #settling = false;
  /** The newest version on the disk, and the newest of the transaction under way. */
  #lastVersion: number;
  #minted: number;
  #horizon: number;
  #garbage: string[] = [];

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
    this.#pruner = new FeedPruner(this.#db);
    this.#feed = new ChangeFeed(this.#db, () => ({ catalogId: this.id, lastVersion: this.#lastVersion, horizon: this.#horizon }));
    const saveVersion = this.#db.prepare('UPDATE meta SET last_version = ?');
    this.#commit = new GroupCommit(this.#db, options.operate ?? operatePlainly, options.clock, {
      begin: () => {
        this.#minted = this.#lastVersion;
        this.#garbage = [];
      },
      beforeCommit: () => {
        if (this.#minted !== this.#lastVersion) saveVersion.run(this.#minted);
      },
      afterCommit: () => {
        this.#lastVersion = this.#minted;
        if (this.#garbage.length > 0) options.onGarbage?.(this.#garbage);
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

  /** Commits an upload whose bytes are in the blob store. Variants that the content has already are announced with it. */
  async put(key: string, fields: UploadFields, body: StoredBody, { details, also }: PutExtras = {}): Promise<Announced> {
    let isWaiting = false;
    const announced = await this.#announcing(() => {
      const nowMs = this.#options.clock.nowMs();
      const current = this.#objects.find(key);
      const ever = current?.ever ?? this.#objects.tombstone(key)?.ever ?? [];
      const version = this.#mint(nowMs);
      also?.({ eventId: this.#eventId(version), version });
      const { sha256, size } = body;
      const variants = wantsVariants(fields, size) ? this.variants.of(sha256) : [];
      isWaiting = variants === undefined;
      if (isWaiting) this.variants.await(key);
      const uploadedAt = new Date(nowMs).toISOString();
      const manifest: Manifest = { ...fields, key, version, sha256, size, uploadedAt, ...naming(variants ?? []) };
      const previous = current === undefined ? undefined : asPrevious(current.manifest);
      this.#objects.put({ manifest, previous, etag: body.etag, ever: addPlacement(ever, fields.regions) });
      this.details.set(key, details);
      if (current !== undefined) this.#release(current);
      return this.#announceUpload(manifest, this.#eventId(version), undefined, nowMs);
    });
    if (isWaiting) this.#options.onVariantsWanted?.();
    return announced;
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
      const nowMs = this.#options.clock.nowMs();
      const version = this.#mint(nowMs);
      const manifest: Manifest = { ...current.manifest, version, ...naming(variants), contentVersion: uploadedVersion(current.manifest) };
      this.#objects.put({ ...current, manifest });
      return this.#announceUpload(manifest, this.#eventId(version), undefined, nowMs);
    });
  }

  /** Making the variants for a key failed: it is tried again after the others, a few times. */
  async postponeVariants({ seq }: WaitingKey): Promise<void> {
    await this.#commit.write(() => this.variants.postpone(seq));
  }

  /** Removes a key and leaves a tombstone. Undefined when there is no such key: then nothing happens. */
  async remove(key: string): Promise<Announced | undefined> {
    return this.#announcing(() => {
      const nowMs = this.#options.clock.nowMs();
      const current = this.#objects.find(key);
      if (current === undefined) return undefined;
      const version = this.#mint(nowMs);
      const eventId = this.#eventId(version);
      this.#objects.bury(key, version, current.ever);
      this.details.set(key);
      this.#release(current);
      const message = { id: eventId, key, version, at: new Date(nowMs).toISOString() };
      this.outbox.add(eventId, CONTENT_REMOVED.subject, encode(CONTENT_REMOVED.subject, CONTENT_REMOVED.message, message), nowMs);
      return { eventId, version };
    });
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
    const { pruned, horizon } = await this.#commit.write(() => this.#pruner.prune(limits, this.#horizon));
    this.#horizon = horizon;
    return pruned;
  }

  close(): void {
    this.#commit.flush();
    this.#db.close();
  }

  async #announcing<Result extends Announced | undefined>(change: () => Result): Promise<Result> {
    const result = await this.#commit.write(change);
    if (result !== undefined) this.#options.onEvent?.();
    return result;
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
