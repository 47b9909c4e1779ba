/**
 * What the parts of a catalog share: the database with its tables, the transactions, and the versions that are minted in them. A version is never minted twice and never goes
 * back. All but {@link CatalogCore.write} and what is read belongs into a transaction.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { type Operate, operate as operatePlainly } from '@sluice/blobs';
import type { Clock } from '@sluice/runtime';
import type { Durability } from '@sluice/sqlite';
import type { RequestOrigin, Stamp } from '../../domain/catalog-change.ts';
import { mintVersion } from '../../domain/version.ts';
import { BlobReferences } from './blob-references.ts';
import { BucketTable } from './bucket-table.ts';
import { CatalogState } from './catalog-state.ts';
import { GroupCommit } from './group-commit.ts';
import { HistoryTable } from './history-table.ts';
import { ObjectTable } from './object-table.ts';
import { Outbox } from './outbox.ts';
import { RequestTable } from './request-table.ts';
import { openCatalogDatabase } from './schema.ts';
import { SourcedTable } from './sourced-table.ts';
import { UploadDetailsTable } from './upload-details.ts';
import { VariantTable } from './variant-table.ts';

export interface CatalogCoreOptions {
  readonly path: string;
  /** `relaxed`: what a power cut takes away is known elsewhere. */
  readonly durability?: Durability;
  readonly clock: Clock;
  readonly outboxMaxEntries: number;
  readonly operate?: Operate;
  /** Called with the names of bytes that a change may have left without use. */
  readonly onGarbage?: (checksums: readonly string[]) => void;
  /** Called when a key waits for the variants of its content. */
  readonly onVariantsWanted?: () => void;
  /** Called when an event found the outbox full. */
  readonly onEventDropped?: () => void;
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

export class CatalogCore {
  readonly db: DatabaseSync;
  readonly objects: ObjectTable;
  readonly history: HistoryTable;
  readonly buckets: BucketTable;
  readonly details: UploadDetailsTable;
  readonly variants: VariantTable;
  readonly references: BlobReferences;
  readonly sourced: SourcedTable;
  readonly requests: RequestTable;
  readonly outbox: Outbox;
  readonly state: CatalogState;
  readonly #clock: Clock;
  readonly #commit: GroupCommit;
  readonly #saveHorizon: StatementSync;
  #id: string;
  /** The newest version on the disk, and the newest of the transaction under way. */
  #lastVersion: number;
  #minted: number;
  #horizon: number;
  /** Of the transaction under way. */
  #garbage: string[] = [];
  #variantsWanted = false;

  constructor(options: CatalogCoreOptions) {
    const { path, durability, clock, outboxMaxEntries, operate = operatePlainly } = options;
    this.#clock = clock;
    const db = openCatalogDatabase(path, clock.nowMs(), durability);
    const meta = db.prepare('SELECT catalog_id, last_version, horizon FROM meta').get() as {
      catalog_id: string;
      last_version: number;
      horizon: number;
    };
    this.db = db;
    this.#id = meta.catalog_id;
    this.#lastVersion = this.#minted = meta.last_version;
    this.#horizon = meta.horizon;
    this.objects = new ObjectTable(db);
    this.history = new HistoryTable(db);
    this.buckets = new BucketTable(db);
    this.details = new UploadDetailsTable(db);
    this.variants = new VariantTable(db);
    this.references = new BlobReferences(db);
    this.sourced = new SourcedTable(db);
    this.requests = new RequestTable(db);
    this.outbox = new Outbox(db, outboxMaxEntries, () => options.onEventDropped?.());
    this.state = new CatalogState(db);
    this.#saveHorizon = db.prepare('UPDATE meta SET horizon = ?');
    const saveVersion = db.prepare('UPDATE meta SET last_version = ?');
    this.#commit = new GroupCommit(db, operate, clock, {
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

  /** Names the order of versions: another one, and who follows it begins anew. */
  get id(): string {
    return this.#id;
  }
  /** The newest version on the disk. */
  get lastVersion(): number {
    return this.#lastVersion;
  }
  /** The newest version that was minted, also in the transaction under way. */
  get minted(): number {
    return this.#minted;
  }
  /** Removals and invalidations up to this version may be missing here. */
  get horizon(): number {
    return this.#horizon;
  }

  /** Runs `change` inside the next transaction, as {@link GroupCommit.write} does. @throws {DiskFullError} */
  write<Result>(change: () => Result, urgency: 'now' | 'later' = 'now'): Promise<Result> {
    return this.#commit.write(change, urgency);
  }

  /** What waits for a transaction waits no longer. */
  hurry(): void {
    this.#commit.hurry();
  }

  /** What a change gets that is decided now: the next version, and the event of `request` or one of its own. */
  stamp(request?: RequestOrigin): Stamp {
    const atMs = this.#clock.nowMs();
    const version = mintVersion(atMs, this.#minted);
    this.#minted = version;
    return { version, eventId: request?.eventId ?? this.#eventId(version), cause: request?.cause, atMs };
  }

  /** The catalog's name makes it unique also beside events of an origin that was set up anew. */
  #eventId(version: number): string {
    return `${this.#id.slice(0, 8)}-${version}`;
  }

  /** A version was minted, here or by another origin: the next ones are greater. */
  pass(version: number): void {
    this.#minted = Math.max(this.#minted, version);
  }

  /** These bytes may be garbage when the transaction is on the disk. */
  release(checksums: readonly string[]): void {
    this.#garbage.push(...checksums);
  }

  /** A key has begun to wait for the variants of its content. */
  wantVariants(): void {
    this.#variantsWanted = true;
  }

  /** Should the transaction be undone, readers begin anew that need not: better than the reverse. */
  raiseHorizon(version: number): void {
    if (version <= this.#horizon) return;
    this.#saveHorizon.run(version);
    this.#horizon = version;
  }

  /** Another order of versions, greater than `version`: what the one before has made is forgotten, and `also` is done in the same transaction, its own. */
  async beginAnew(catalogId: string, version: number, also: () => void): Promise<void> {
    await this.write(() => {
      for (const table of TABLES_OF_THE_ORDER) this.db.exec(`DELETE FROM ${table}`);
      also();
      this.db.prepare('UPDATE meta SET catalog_id = ?, horizon = 0').run(catalogId);
      this.#minted = version;
    });
    this.#id = catalogId;
    this.#horizon = 0;
  }

  /** Commits what waits, and closes the database. */
  close(): void {
    this.#commit.flush();
    this.db.close();
  }
}
