import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { checkNewBucket } from '../../domain/bucket-name.ts';
import { S3Error } from '../../domain/s3-error.ts';

/** As many as S3 gives an account. */
export const BUCKETS_MAX = 10_000;

export interface Bucket {
  readonly name: string;
  /** RFC 3339. */
  readonly createdAt: string;
}

/** The buckets. Writes belong into a transaction. */
export class BucketTable {
  readonly #db: DatabaseSync;
  /** Some of those that are there for certain, because every upload asks: in a transaction they may still be undone. At most all of them. */
  readonly #known = new Set<string>();
  readonly #select: StatementSync;
  readonly #insert: StatementSync;
  readonly #delete: StatementSync;
  readonly #count: StatementSync;
  readonly #page: StatementSync;
  readonly #selectKey: StatementSync;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#select = db.prepare('SELECT 1 FROM buckets WHERE name = ?');
    this.#insert = db.prepare('INSERT INTO buckets (name, created_at, since) VALUES (?, ?, ?)');
    this.#delete = db.prepare('DELETE FROM buckets WHERE name = ?');
    this.#count = db.prepare('SELECT count(*) AS count FROM buckets');
    this.#page = db.prepare(`
      SELECT name, created_at AS createdAt FROM buckets WHERE name > ?1 AND substr(name, 1, length(?2)) = ?2 ORDER BY name`);
    // "0" comes after "/".
    this.#selectKey = db.prepare("SELECT 1 FROM listed_objects WHERE key > ?1 || '/' AND key < ?1 || '0' LIMIT 1");
  }

  has(name: string): boolean {
    if (this.#known.has(name)) return true;
    const there = this.#select.get(name) !== undefined;
    if (there && !this.#db.isTransaction) this.#known.add(name);
    return there;
  }

  /** Whether no object is in it. */
  isEmpty(name: string): boolean {
    return this.#selectKey.get(name) === undefined;
  }

  /** `since`: the newest version there is; what was removed before belongs to a bucket that was. Returns false when it is there already. @throws {S3Error} `InvalidBucketName`, `TooManyBuckets` */
  create(name: string, createdAt: string, since: number): boolean {
    if (this.has(name)) return false;
    checkNewBucket(name);
    if ((this.#count.get() as { count: number }).count >= BUCKETS_MAX) {
      throw new S3Error('TooManyBuckets', `there are ${BUCKETS_MAX} buckets, which is the most; delete one first`);
    }
    this.#insert.run(name, createdAt, since);
    return true;
  }

  remove(name: string): void {
    this.#known.delete(name);
    this.#delete.run(name);
  }

  /** The first `limit` after a name, of those that begin with `prefix` and are wanted, in order. */
  page(after: string, prefix: string, limit: number, isWanted: (name: string) => boolean = () => true): Bucket[] {
    const rows = this.#page.iterate(after, prefix) as Iterable<unknown> as IteratorObject<Bucket>;
    return rows
      .filter(({ name }) => isWanted(name))
      .take(limit)
      .toArray();
  }
}
