/**
 * The edge's copy of its region's catalog in SQLite. The rules are those of `domain/entry.ts`; this file only keeps entries and finds
 * them. Writes asked for in the same turn of the event loop share one transaction.
 *
 * A commit survives the death of the process at once and a power cut after the next checkpoint. What a power cut takes is a whole tail of
 * transactions, the watermark with them, so catch-up brings it back; until then {@link CatalogIndex.isDoubtful} says so.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { crc32 } from 'node:zlib';
import { fromDiskError, type Operate, operate as operatePlainly, readBootId } from '@sluice/blobs';
import { describeSelector, type Manifest, type Selector } from '@sluice/contracts';
import { DatabaseDamagedError, isDatabaseDamaged, openDatabase, removeDatabase, Transactions } from '@sluice/sqlite';
import { LRUCache } from 'lru-cache';
import { type Content, contentsOf } from '../domain/content-coding.ts';
import { afterRemove, afterStore, type Entry, type Invalidation, type Knowledge, type Provenance } from '../domain/entry.ts';
import { freshnessPolicy } from '../domain/freshness.ts';
import {
  checksumOf,
  type EntryRow,
  fromRow,
  manifestIn,
  marksChecksumOf,
  marksChecksumSql,
  type PlainRow,
  parsed,
  SELECT_ENTRY,
} from './entry-row.ts';
import { IndexStamps } from './index-stamps.ts';

/** Entries kept parsed in memory. */
const CACHE_MAX_ENTRIES = 10_000;
/** Invalidations newer than the watermark that are kept apart; beyond, they are merged into one that covers everything. */
export const INVALIDATIONS_MAX = 10_000;

/** What an invalidation makes of the marks of an entry. */
const STALE_AT = 'max(stale_at, :version)';
const PURGED_AT = "CASE :mode WHEN 'purge' THEN max(purged_at, :version) ELSE purged_at END";

/** In the place of a boot: everything was lost, whatever the boot. */
const LOST = 'lost';

/** A change to the index, as pushes, the feed and pulls bring it. */
export type IndexChange =
  | { readonly op: 'store'; readonly manifest: Manifest; readonly provenance: Provenance }
  | { readonly op: 'remove'; readonly key: string; readonly version: number; readonly reason: 'deleted' | 'region' }
  | { readonly op: 'invalidate'; readonly invalidation: Invalidation };

/** What a change did: the entry before and after (`after` undefined when nothing changed), and for a purge the checksums it covers. */
export interface IndexEffect {
  readonly before: Entry | undefined;
  readonly after: Entry | undefined;
  readonly purged: readonly string[];
}

interface Pending {
  readonly change: IndexChange;
  readonly resolve: (effect: IndexEffect) => void;
  readonly reject: (error: unknown) => void;
}

export interface CatalogIndexOptions {
  readonly dir: string;
  readonly region: string;
  readonly nowMs: () => number;
  readonly operate?: Operate;
  /** Told of each change, for readers in other threads. */
  readonly stamps?: IndexStamps;
  /** @default INVALIDATIONS_MAX */
  readonly invalidationsMax?: number;
  /** @default the machine's */
  readonly readBootId?: () => string;
  /** The index is not what was written. One that cannot be opened is begun anew after that; of one that is open whoever hears it calls {@link CatalogIndex.startOver}, in a later turn. */
  readonly onDamaged?: (error: unknown) => void;
}

export class CatalogIndex {
  readonly #options: CatalogIndexOptions;
  readonly #operate: Operate;
  readonly #bootId: string;
  #db!: DatabaseSync;
  #transactions!: Transactions;
  #select!: StatementSync;
  #upsert!: StatementSync;
  #setMeta!: StatementSync;
  #insertInvalidation!: StatementSync;
  #selectNeeding!: StatementSync;
  #insertTag!: StatementSync;
  #selectTag!: StatementSync;
  #deleteTags!: StatementSync;
  #insertVariant!: StatementSync;
  #deleteVariants!: StatementSync;
  #insertListed!: StatementSync;
  readonly #markings = new Map<string, StatementSync>();
  readonly #stamps: IndexStamps;
  /** What the transaction under way has changed. */
  #changed: Set<string> | 'all' = new Set();
  readonly #cache = new LRUCache<string, Entry>({ max: CACHE_MAX_ENTRIES });
  #pending: Pending[] = [];
  #invalidations = new Map<string, Invalidation>();
  #watermark = 0;
  #catalogId: string | undefined;
  #objects = 0;
  /** As the database has it. */
  #keptObjects: number | undefined;
  #doubtful = false;
  #generation = 0;
  #heardOf = 0;

  constructor(options: CatalogIndexOptions) {
    this.#options = options;
    this.#operate = options.operate ?? operatePlainly;
    this.#stamps = options.stamps ?? new IndexStamps();
    this.#bootId = (options.readBootId ?? readBootId)();
    mkdirSync(options.dir, { recursive: true });
    try {
      this.#open();
    } catch (error) {
      if (!isDatabaseDamaged(error)) throw error;
      options.onDamaged?.(error);
      this.startOver();
    }
  }

  /** @throws what {@link isDatabaseDamaged} knows */
  #open(): void {
    this.#db = openDatabase(this.databasePath, 'relaxed');
    this.#transactions = new Transactions(this.#db);
    this.#db.exec(`
      CREATE TABLE IF NOT EXISTS entries (
        key TEXT PRIMARY KEY,
        version INTEGER NOT NULL,
        placement TEXT NOT NULL,
        sha256 TEXT,                       -- NULL: no manifest, or one whose content may not be kept
        confirmed_at INTEGER NOT NULL,
        stale_at INTEGER NOT NULL,
        purged_at INTEGER NOT NULL,
        known_at_ms INTEGER NOT NULL,
        manifest TEXT,
        checksum INTEGER,                  -- of the rest of the row but for what the next one is of
        marks_checksum INTEGER             -- of stale_at and purged_at
      ) WITHOUT ROWID;
      CREATE INDEX IF NOT EXISTS entries_sha256 ON entries (sha256) WHERE sha256 IS NOT NULL;
      CREATE INDEX IF NOT EXISTS entries_version ON entries (version);
      CREATE TABLE IF NOT EXISTS entry_tags (tag TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (tag, key)) WITHOUT ROWID;
      CREATE INDEX IF NOT EXISTS entry_tags_key ON entry_tags (key);
      CREATE TABLE IF NOT EXISTS entry_variants (sha256 TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (sha256, key)) WITHOUT ROWID;
      CREATE INDEX IF NOT EXISTS entry_variants_key ON entry_variants (key);
      CREATE TABLE IF NOT EXISTS invalidations (
        selector TEXT NOT NULL, mode TEXT NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (selector, mode)
      ) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
      CREATE TEMP TABLE listed (key TEXT PRIMARY KEY) WITHOUT ROWID;
    `);
    this.#addChecksums();
    this.#select = this.#db.prepare(SELECT_ENTRY);
    this.#upsert = this.#db.prepare('INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)');
    this.#setMeta = this.#db.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)');
    this.#insertInvalidation = this.#db.prepare(
      'INSERT INTO invalidations VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET version = max(version, excluded.version)',
    );
    this.#selectNeeding = this.#db.prepare(`
      SELECT manifest FROM entries WHERE sha256 = ?1 AND purged_at <= confirmed_at
      UNION ALL SELECT manifest FROM entry_variants JOIN entries USING (key) WHERE entry_variants.sha256 = ?1 AND purged_at <= confirmed_at LIMIT 1`);
    this.#insertVariant = this.#db.prepare('INSERT OR IGNORE INTO entry_variants VALUES (?, ?)');
    this.#deleteVariants = this.#db.prepare('DELETE FROM entry_variants WHERE key = ?');
    this.#insertTag = this.#db.prepare('INSERT OR IGNORE INTO entry_tags VALUES (?, ?)');
    this.#selectTag = this.#db.prepare('SELECT 1 FROM entry_tags WHERE tag = ? AND key = ?');
    this.#deleteTags = this.#db.prepare('DELETE FROM entry_tags WHERE key = ?');
    this.#insertListed = this.#db.prepare('INSERT OR IGNORE INTO listed VALUES (?)');
    this.#forgetOtherRegion();
    this.#load();
    this.#doubtful = this.#startedAnew();
  }

  /** For an index that was made before rows had checksums: they get them when they are written next. */
  #addChecksums(): void {
    const has = this.#db.prepare("SELECT 1 FROM pragma_table_info('entries') WHERE name = 'checksum'").get() !== undefined;
    if (!has) this.#db.exec('ALTER TABLE entries ADD COLUMN checksum INTEGER; ALTER TABLE entries ADD COLUMN marks_checksum INTEGER');
  }

  /**
   * Gives up a damaged index, as if its disk had been lost, and begins with an empty one. It is in doubt until it has caught up, so that what is still under way with an older version is not
   * served before the origin was asked.
   */
  startOver(): void {
    const settle = this.#stamps.change('all');
    try {
      if (this.#isOpen) this.#db.close();
    } catch {
      // What cannot be closed is left to the end of the process.
    }
    removeDatabase(this.databasePath);
    this.#generation += 1;
    this.#heardOf = Math.max(this.#heardOf, this.#watermark);
    this.#cache.clear();
    this.#markings.clear();
    this.#open();
    this.#setMeta.run('boot', LOST);
    this.#doubtful = true;
    settle();
  }

  get #isOpen(): boolean {
    return this.#db?.isOpen === true;
  }

  /** Tells whoever can help of damage; the error goes on. */
  #guarded<Result>(work: () => Result): Result {
    try {
      return work();
    } catch (error) {
      if (isDatabaseDamaged(error)) this.#options.onDamaged?.(error);
      throw error;
    }
  }

  /** Whether the machine was started anew since this index last caught up, so that what was confirmed after that may be missing. */
  #startedAnew(): boolean {
    const { value = this.#bootId } =
      (this.#db.prepare("SELECT value FROM meta WHERE name = 'boot'").get() as { value: string } | undefined) ?? {};
    this.#operate('INDEX_OPEN:BOOT', () => this.#setMeta.run('boot', value));
    return value !== this.#bootId;
  }

  /** An edge that was moved to another region knows nothing of that region's catalog; the bytes may still be of use. */
  #forgetOtherRegion(): void {
    const last = this.#db.prepare("SELECT value FROM meta WHERE name = 'region'").get() as { value: string } | undefined;
    if (last?.value === this.#options.region) return;
    // As a whole: entries that are gone below a watermark that is not would never come back.
    this.#operate('INDEX_OPEN:REGION', () =>
      this.#transactions.run(() => {
        if (last !== undefined) {
          for (const table of ['entries', 'entry_tags', 'entry_variants', 'invalidations', 'meta']) this.#db.exec(`DELETE FROM ${table}`);
        }
        this.#setMeta.run('region', this.#options.region);
      }),
    );
  }

  #load(): void {
    const meta = Object.fromEntries(
      (this.#db.prepare('SELECT name, value FROM meta').all() as { name: string; value: string }[]).map((row) => [row.name, row.value]),
    );
    if (meta.feedChecksum !== undefined && meta.feedChecksum !== feedChecksum(meta.watermark, meta.catalogId)) {
      throw new DatabaseDamagedError('the place in the feed is not what was written');
    }
    this.#watermark = Number(meta.watermark ?? 0);
    this.#catalogId = meta.catalogId;
    this.#objects = meta.objects === undefined ? this.#countObjects() : Number(meta.objects);
    this.#keptObjects = meta.objects === undefined ? undefined : this.#objects;
    const rows = this.#db.prepare('SELECT selector, mode, version FROM invalidations').all() as {
      selector: string;
      mode: 'stale' | 'purge';
      version: number;
    }[];
    this.#invalidations = new Map(
      rows.map(({ selector, mode, version }) => {
        const invalidation = { selector: parsed(selector) as Selector, mode, version };
        return [nameOf(invalidation), invalidation];
      }),
    );
  }

  /** Reads an index of all entries: only for a database in which the number is not kept yet. */
  #countObjects(): number {
    return (this.#db.prepare('SELECT count(*) AS count FROM entries WHERE sha256 IS NOT NULL').get() as { count: number }).count;
  }

  /** Inside of each transaction that may change it: a start that had to count would take seconds longer for a million entries. */
  #keepObjects(): void {
    if (this.#keptObjects === this.#objects) return;
    this.#setMeta.run('objects', String(this.#objects));
    this.#keptObjects = this.#objects;
  }

  /** Where the database is, for a checkpointer. */
  get databasePath(): string {
    return join(this.#options.dir, 'index.db');
  }

  /** Everything up to this version has been applied. 0: nothing yet. */
  get watermark(): number {
    return this.#watermark;
  }
  /** A power cut may have taken what was last confirmed here: the origin is asked before serving until catch-up has brought it back. */
  get isDoubtful(): boolean {
    return this.#doubtful;
  }
  /** Another number after each {@link startOver}: what is known of the one before does not hold. */
  get generation(): number {
    return this.#generation;
  }
  /** A version up to which everything was known once, also to an index that was given up since. */
  get heardOf(): number {
    return Math.max(this.#heardOf, this.#watermark);
  }
  /** The catalog that the watermark belongs to. */
  get catalogId(): string | undefined {
    return this.#catalogId;
  }
  /** Keys with a manifest. */
  get objects(): number {
    return this.#objects;
  }
  /** Invalidations kept apart, for the metrics and the test of their bound. */
  get openInvalidations(): number {
    return this.#invalidations.size;
  }

  get(key: string): Entry | undefined {
    const cached = this.#cache.get(key);
    if (cached !== undefined) return cached;
    const entry = this.#guarded(() => {
      const row = this.#select.get(key) as EntryRow | undefined;
      return row && fromRow(row);
    });
    if (entry === undefined) return undefined;
    this.#cache.set(key, entry);
    return entry;
  }

  /** Whether some entry may be served from these bytes, as they are or as a variant. */
  needs(sha256: string): boolean {
    return this.#guarded(() => this.#selectNeeding.get(sha256)) !== undefined;
  }

  /** A content or variant with this checksum that some entry may be served from. */
  contentNamed(sha256: string): Content | undefined {
    return this.#guarded(() => {
      const row = this.#selectNeeding.get(sha256) as { manifest: string } | undefined;
      return row && contentsOf(manifestIn(row.manifest)).find((content) => content.sha256 === sha256);
    });
  }

  /** Applies a change and resolves when it is durable. @throws {DiskFullError} */
  apply(change: IndexChange): Promise<IndexEffect> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ change, resolve, reject });
      if (this.#pending.length === 1) setImmediate(() => this.#flush());
    });
  }

  /** Applies a page of the feed in one transaction. `listing` also notes its keys for {@link forgetUnlisted}. */
  applyPage(changes: readonly IndexChange[], listing: boolean): IndexEffect[] {
    return this.#transaction('INDEX_APPLY:PAGE', () =>
      changes.map((change) => {
        const effect = this.#applyNow(change);
        if (listing && change.op !== 'invalidate') {
          this.#insertListed.run(change.op === 'store' ? change.manifest.key : change.key);
        }
        return effect;
      }),
    );
  }

  #flush(): void {
    const batch = this.#pending;
    this.#pending = [];
    let effects: IndexEffect[];
    try {
      effects = this.#transaction('INDEX_APPLY:PUSH', () => batch.map(({ change }) => this.#applyNow(change)));
    } catch (error) {
      for (const { reject } of batch) reject(fromDiskError(error));
      return;
    }
    batch.forEach(({ resolve }, position) => {
      resolve(effects[position] as IndexEffect);
    });
  }

  #transaction<Result>(label: string, work: () => Result): Result {
    return this.#guarded(() => this.#transact(label, work));
  }

  #transact<Result>(label: string, work: () => Result): Result {
    return this.#operate(label, () => {
      let settle = (): void => {};
      this.#changed = new Set();
      try {
        return this.#transactions.run(() => {
          const result = work();
          this.#keepObjects();
          settle = this.#stamps.change(this.#changed);
          return result;
        });
      } catch (error) {
        // What the failed transaction left in memory is not what the disk holds.
        this.#cache.clear();
        this.#load();
        throw error;
      } finally {
        settle();
      }
    });
  }

  #noteChanged(key: string): void {
    if (this.#changed !== 'all') this.#changed.add(key);
  }

  #applyNow(change: IndexChange): IndexEffect {
    if (change.op === 'invalidate') return this.#applyInvalidation(change.invalidation);
    const before = this.get(change.op === 'store' ? change.manifest.key : change.key);
    const knowledge = this.#knowledge();
    const after =
      change.op === 'store' ? afterStore(before, change.manifest, change.provenance, knowledge) : afterRemove(before, change, knowledge);
    if (after !== undefined) this.#write(before, after);
    return { before, after, purged: [] };
  }

  #knowledge(): Knowledge {
    return {
      region: this.#options.region,
      watermark: this.#watermark,
      invalidations: this.#invalidations.values(),
      nowMs: this.#options.nowMs(),
    };
  }

  #write(before: Entry | undefined, after: Entry): void {
    const { key, manifest } = after;
    const kept = manifest === undefined || !freshnessPolicy(manifest).storable ? undefined : manifest;
    const text = manifest === undefined ? null : JSON.stringify(manifest);
    const row: PlainRow = {
      ...{ key, version: after.version, placement: after.placement, sha256: kept?.sha256 ?? null, manifest: text },
      ...{ confirmed_at: after.confirmedAt, stale_at: after.staleAt, purged_at: after.purgedAt, known_at_ms: after.knownAtMs },
    };
    this.#upsert.run(
      ...[key, row.version, row.placement, row.sha256, row.confirmed_at, row.stale_at, row.purged_at, row.known_at_ms, text],
      ...[checksumOf(row), marksChecksumOf(row)],
    );
    const [oldTags, newTags] = [before?.manifest?.tags ?? [], manifest?.tags ?? []];
    if (oldTags.length > 0) this.#deleteTags.run(key);
    for (const tag of newTags) this.#insertTag.run(tag, key);
    if (before?.manifest?.variants !== undefined) this.#deleteVariants.run(key);
    for (const { sha256 } of kept?.variants ?? []) this.#insertVariant.run(sha256, key);
    this.#objects += (manifest === undefined ? 0 : 1) - (before?.manifest === undefined ? 0 : 1);
    this.#cache.set(key, after);
    this.#noteChanged(key);
  }

  /** `afterInvalidation` for all entries at once; the conformance test holds the two together. */
  #applyInvalidation(invalidation: Invalidation): IndexEffect {
    this.#remember(invalidation);
    const { selector, version, mode } = invalidation;
    const { where, value } = coverage(selector);
    const changed = this.#marking(where).all({ version, mode, ...value }) as { sha256: string | null }[];
    if ('key' in selector) {
      this.#cache.delete(selector.key);
      this.#noteChanged(selector.key);
    } else if (changed.length > 0) {
      this.#cache.clear();
      this.#changed = 'all';
    }
    if (mode === 'stale') return { before: undefined, after: undefined, purged: [] };
    const variants = this.#purgedVariants(where, { version, ...value });
    return { before: undefined, after: undefined, purged: [...changed, ...variants].flatMap(({ sha256 }) => sha256 ?? []) };
  }

  /** The variants of what an invalidation has just purged. */
  #purgedVariants(where: string, parameters: Record<string, number | string | Buffer>): { sha256: string }[] {
    const purged = `SELECT key FROM entries WHERE ${where} AND purged_at = :version`;
    const variants = `SELECT DISTINCT sha256 FROM entry_variants WHERE key IN (${purged})`;
    return this.#db.prepare(variants).all(parameters) as { sha256: string }[];
  }

  /** Marks the entries of one of the four forms of coverage. */
  #marking(where: string): StatementSync {
    let statement = this.#markings.get(where);
    if (statement === undefined) {
      statement = this.#db.prepare(
        `UPDATE entries SET stale_at = ${STALE_AT}, purged_at = ${PURGED_AT}, marks_checksum = ${marksChecksumSql(STALE_AT, PURGED_AT)}
         WHERE ${where} AND manifest IS NOT NULL AND version <= :version
         AND (stale_at < :version OR (:mode = 'purge' AND purged_at < :version)) RETURNING sha256`,
      );
      this.#markings.set(where, statement);
    }
    return statement;
  }

  /** Keeps an invalidation for versions that arrive later, unless catch-up has already brought all of those. */
  #remember(invalidation: Invalidation): void {
    if (invalidation.version <= this.#watermark) return;
    const name = nameOf(invalidation);
    if ((this.#invalidations.get(name)?.version ?? 0) >= invalidation.version) return;
    this.#invalidations.set(name, invalidation);
    this.#insertInvalidation.run(JSON.stringify(invalidation.selector), invalidation.mode, invalidation.version);
    if (this.#invalidations.size > (this.#options.invalidationsMax ?? INVALIDATIONS_MAX)) this.#mergeInvalidations();
  }

  /** Too many to keep apart: one that covers everything up to the newest is never wrong, only asks the origin more often. */
  #mergeInvalidations(): void {
    const open = [...this.#invalidations.values()];
    this.#db.exec('DELETE FROM invalidations');
    this.#invalidations.clear();
    for (const mode of ['stale', 'purge'] as const) {
      const version = open.reduce((newest, each) => (each.mode === mode ? Math.max(newest, each.version) : newest), 0);
      if (version > 0) this.#applyInvalidation({ selector: { all: true }, mode, version });
    }
  }

  /**
   * Notes that everything up to `version` of `catalogId` has been applied; what only late messages needed is dropped. `complete`: the feed had no
   * more, so a doubt after a power cut is over.
   */
  advanceWatermark(version: number, catalogId: string, complete = true): void {
    this.#transaction('INDEX_CATCH_UP:WATERMARK', () => {
      this.#setMeta.run('watermark', String(version));
      this.#setMeta.run('catalogId', catalogId);
      this.#setMeta.run('feedChecksum', feedChecksum(String(version), catalogId));
      if (complete) this.#setMeta.run('boot', this.#bootId);
      this.#db.prepare('DELETE FROM invalidations WHERE version <= ?').run(version);
      const forgotten = this.#db.prepare('DELETE FROM entries WHERE manifest IS NULL AND version <= ? RETURNING key').all(version) as {
        key: string;
      }[];
      for (const { key } of forgotten) {
        this.#cache.delete(key);
        this.#noteChanged(key);
      }
      this.#watermark = version;
      this.#catalogId = catalogId;
      if (complete) this.#doubtful = false;
      for (const [name, invalidation] of this.#invalidations) if (invalidation.version <= version) this.#invalidations.delete(name);
    });
  }

  /** Begins a listing of the whole catalog. */
  beginListing(): void {
    this.#guarded(() => this.#db.exec('DELETE FROM listed'));
  }

  /** Drops the placed entries up to `version` that the listing did not name. Returns the checksums of what they held. */
  forgetUnlisted(version: number): string[] {
    return this.#transaction('INDEX_CATCH_UP:FORGET', () => {
      const gone = this.#db
        .prepare("SELECT * FROM entries WHERE version <= ? AND placement = 'placed' AND key NOT IN (SELECT key FROM listed)")
        .all(version) as unknown as EntryRow[];
      for (const { key, manifest } of gone) {
        this.#db.prepare('DELETE FROM entries WHERE key = ?').run(key);
        this.#deleteTags.run(key);
        this.#deleteVariants.run(key);
        this.#cache.delete(key);
        this.#noteChanged(key);
        if (manifest !== null) this.#objects -= 1;
      }
      this.#db.exec('DELETE FROM listed');
      return gone.flatMap(({ manifest }) => (manifest === null ? [] : contentsOf(manifestIn(manifest)).map(({ sha256 }) => sha256)));
    });
  }

  /** A page of placed, fresh manifests, newest first; ask again below the last version. */
  placedBelow(version: number, limit: number): Manifest[] {
    return this.#guarded(() => {
      const rows = this.#db
        .prepare(
          "SELECT * FROM entries WHERE version < ? AND placement = 'placed' AND stale_at <= confirmed_at ORDER BY version DESC LIMIT ?",
        )
        .all(version, limit) as unknown as EntryRow[];
      return rows.map((row) => fromRow(row).manifest as Manifest);
    });
  }

  /**
   * Compares the entries after a key with their checksums and with the table of tags, by which invalidations find them. Returns the last key, undefined when there was none.
   * @throws {DatabaseDamagedError} and tells of it
   */
  check(afterKey: string, limit: number): string | undefined {
    return this.#guarded(() => {
      const rows = this.#db
        .prepare('SELECT * FROM entries WHERE key > ? ORDER BY key LIMIT ?')
        .all(afterKey, limit) as unknown as EntryRow[];
      for (const row of rows) {
        const { key, manifest } = fromRow(row);
        for (const tag of manifest?.tags ?? []) {
          if (this.#selectTag.get(tag, key) === undefined) throw new DatabaseDamagedError('an entry of the index is without its tags');
        }
      }
      return rows.at(-1)?.key;
    });
  }

  close(): void {
    if (this.#pending.length > 0) this.#flush();
    this.#db.close();
  }
}

/** By which a start notices that the place in the feed is another than was written: one that is too far on would leave out changes. */
function feedChecksum(watermark: string | undefined, catalogId: string | undefined): string {
  return String(crc32(`${watermark} ${catalogId}`));
}

/** One per selector and mode: of those only the newest matters. */
function nameOf({ mode, selector }: Invalidation): string {
  return `${mode} ${describeSelector(selector)}`;
}

/** The SQL condition for what a selector covers, with its parameter. */
function coverage(selector: Selector): { where: string; value: Record<string, string | Buffer> } {
  if ('key' in selector) return { where: 'key = :key', value: { key: selector.key } };
  // Text is compared by its UTF-8 bytes, and no byte of UTF-8 is FF: all that begins with the prefix lies below prefix + FF.
  if ('prefix' in selector) {
    const above = Buffer.concat([Buffer.from(selector.prefix), Buffer.of(0xff)]);
    return { where: 'key >= :prefix AND key < CAST(:above AS TEXT)', value: { prefix: selector.prefix, above } };
  }
  if ('tag' in selector) return { where: 'key IN (SELECT key FROM entry_tags WHERE tag = :tag)', value: { tag: selector.tag } };
  return { where: 'TRUE', value: {} };
}
