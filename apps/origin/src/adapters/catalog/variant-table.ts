import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Variant } from '@sluice/contracts';

/** A key whose content has no variants yet. */
export interface WaitingKey {
  /** Its place among those that wait; each upload gives a new one. */
  readonly seq: number;
  readonly key: string;
}

/** After so many failures a key is left alone until the next start; content over which the process ended as many times is left alone for good. */
export const ATTEMPTS_MAX = 3;

/**
 * The variants of contents, each made once whatever keys and versions have the content, and the keys that wait for theirs. A key waits from the transaction
 * of its upload on, so that no crash and no full queue forgets it. Writes belong into a transaction.
 */
export class VariantTable {
  readonly #select: StatementSync;
  readonly #insert: StatementSync;
  readonly #selectOrigin: StatementSync;
  readonly #delete: StatementSync;
  readonly #selectObject: StatementSync;
  readonly #selectContent: StatementSync;
  readonly #insertWaiting: StatementSync;
  readonly #selectWaiting: StatementSync;
  readonly #deleteWaiting: StatementSync;
  readonly #deleteKey: StatementSync;
  readonly #countWaiting: StatementSync;
  readonly #insertBegun: StatementSync;
  readonly #deleteBegun: StatementSync;

  constructor(db: DatabaseSync) {
    this.#select = db.prepare(
      'SELECT coding, variant_sha256 AS sha256, variant_size AS size FROM variants WHERE content = ? ORDER BY size',
    );
    this.#selectOrigin = db.prepare('SELECT content, coding FROM variants WHERE variant_sha256 = ? LIMIT 1');
    this.#insert = db.prepare('INSERT OR REPLACE INTO variants (content, coding, variant_sha256, variant_size) VALUES (?, ?, ?, ?)');
    this.#delete = db.prepare('DELETE FROM variants WHERE content = ? RETURNING variant_sha256 AS sha256');
    this.#selectObject = db.prepare('SELECT 1 FROM objects WHERE sha256 = ? LIMIT 1');
    this.#selectContent = db.prepare(`
      SELECT EXISTS (SELECT 1 FROM objects WHERE sha256 = ?1) OR EXISTS (SELECT 1 FROM objects WHERE previous_sha256 = ?1) AS held`);
    this.#insertWaiting = db.prepare('INSERT OR REPLACE INTO variant_work (key, attempts) VALUES (?, ?)');
    this.#selectWaiting = db.prepare(`SELECT seq, key FROM variant_work WHERE seq > ? AND attempts < ${ATTEMPTS_MAX} ORDER BY seq LIMIT ?`);
    this.#deleteWaiting = db.prepare('DELETE FROM variant_work WHERE seq = ? RETURNING key, attempts');
    this.#deleteKey = db.prepare('DELETE FROM variant_work WHERE key = ?');
    this.#countWaiting = db.prepare('SELECT count(*) AS count FROM variant_work');
    this.#insertBegun = db.prepare(`
      INSERT INTO coding_begun (content, times) VALUES (?, 1)
      ON CONFLICT DO UPDATE SET times = times + 1 WHERE times < ${ATTEMPTS_MAX} RETURNING times`);
    this.#deleteBegun = db.prepare('DELETE FROM coding_begun WHERE content = ?');
  }

  /** The variants of a content, smallest first; undefined when none were tried. */
  of(content: string): Variant[] | undefined {
    const rows = this.#select.all(content) as { coding: string; sha256: string | null; size: number | null }[];
    if (rows.length === 0) return undefined;
    return rows.flatMap(({ coding, sha256, size }) => (sha256 === null || size === null ? [] : [{ coding, sha256, size }]));
  }

  /** What a variant was made of, and with which coding; undefined when these bytes are no variant. */
  originOf(variant: string): { readonly content: string; readonly coding: string } | undefined {
    return this.#selectOrigin.get(variant) as { content: string; coding: string } | undefined;
  }

  /** Before a content is coded, because that may end the process. False: it has too often; leave the content as it is. */
  begin(content: string): boolean {
    return this.#insertBegun.get(content) !== undefined;
  }

  /** The process has outlived the coding of a content. */
  end(content: string): void {
    this.#deleteBegun.run(content);
  }

  /** Remembers the outcome of each coding tried, unless no object has the content any more. Returns whether it did. */
  record(content: string, codings: readonly string[], made: readonly Variant[]): boolean {
    this.end(content);
    if (this.#selectObject.get(content) === undefined) return false;
    for (const coding of codings) {
      const variant = made.find((candidate) => candidate.coding === coding);
      this.#insert.run(content, coding, variant?.sha256 ?? null, variant?.size ?? null);
    }
    return true;
  }

  /** After an object has left a content: forgets its variants if no object has it now or before. Returns bytes that may be garbage. */
  release(content: string): string[] {
    if ((this.#selectContent.get(content) as { held: number }).held === 1) return [];
    this.end(content);
    const rows = this.#delete.all(content) as { sha256: string | null }[];
    return rows.flatMap(({ sha256 }) => (sha256 === null ? [] : [sha256]));
  }

  /** Puts a key at the end of those that wait. */
  await(key: string): void {
    this.#insertWaiting.run(key, 0);
  }

  /** The first `limit` after a place. */
  waiting(afterSeq: number, limit: number): WaitingKey[] {
    return this.#selectWaiting.all(afterSeq, limit) as unknown as WaitingKey[];
  }

  /** It waits no longer, unless it was uploaded again since it had this place. */
  settle(seq: number): void {
    this.#deleteWaiting.run(seq);
  }

  /** It has another content, is gone, or another origin has made its variants: it waits no longer. */
  settleKey(key: string): void {
    this.#deleteKey.run(key);
  }

  /** It failed: to the end of those that wait. */
  postpone(seq: number): void {
    const row = this.#deleteWaiting.get(seq) as { key: string; attempts: number } | undefined;
    if (row !== undefined) this.#insertWaiting.run(row.key, row.attempts + 1);
  }

  /** Keys that wait. */
  get waitingCount(): number {
    return (this.#countWaiting.get() as { count: number }).count;
  }
}
