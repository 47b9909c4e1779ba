import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { InvalidationMode, Selector } from '@sluice/contracts';
import type { HistoryTable } from './history-table.ts';

export interface PruneLimits {
  /** Removals and invalidations up to this version are forgotten. */
  readonly untilVersion: number;
  /** Of each kind, the newest so many are kept at most. */
  readonly maxRows: number;
}

/** What is to be forgotten next: so many rows at most, of each kind the oldest. */
export interface PruneBatch {
  readonly rows: number;
  /** The newest version in it. */
  readonly horizon: number;
  /** Keys whose removals go. */
  readonly removed: readonly string[];
  readonly invalidations: readonly { readonly selector: Selector; readonly mode: InvalidationMode }[];
  /** By table, the newest version that goes; undefined: nothing. */
  readonly upTo: readonly (number | undefined)[];
}

/** Forgets a batch in a log too. `position`: up to where that was in the catalog when the batch was read. */
export type ForgetElsewhere = (batch: PruneBatch, position: number) => Promise<void>;

/** Rows forgotten in one transaction: bounds how long it takes. */
const BATCH_ROWS = 1000;
const TABLES = ['tombstones', 'invalidations'] as const;

/** Forgets old removals and invalidations. The horizon says up to where, so that a reader from before it starts over. */
export class FeedPruner {
  readonly #selects: readonly StatementSync[];
  readonly #selectRemoved: StatementSync;
  readonly #selectInvalidations: StatementSync;
  readonly #deletes: readonly StatementSync[];
  readonly #history: HistoryTable;

  constructor(db: DatabaseSync, history: HistoryTable) {
    this.#history = history;
    this.#selects = TABLES.map((table) =>
      db.prepare(`
        SELECT max(version) AS version, count(*) AS count FROM (
          SELECT version FROM ${table}
          WHERE version <= max(?1, coalesce((SELECT version FROM ${table} ORDER BY version DESC LIMIT 1 OFFSET ?2), 0))
          ORDER BY version LIMIT ${BATCH_ROWS})`),
    );
    this.#selectRemoved = db.prepare('SELECT key FROM tombstones WHERE version <= ?');
    this.#selectInvalidations = db.prepare('SELECT kind, value, mode FROM invalidations WHERE version <= ?');
    this.#deletes = TABLES.map((table) => db.prepare(`DELETE FROM ${table} WHERE version <= ?`));
  }

  /** What `limits` leave no room for, a batch of each kind. */
  batch({ untilVersion, maxRows }: PruneLimits): PruneBatch {
    const found = this.#selects.map((select) => select.get(untilVersion, maxRows) as { version: number | null; count: number });
    const upTo = found.map(({ version }) => version ?? undefined);
    const [removedUpTo = 0, invalidatedUpTo = 0] = upTo;
    return {
      rows: found.reduce((sum, { count }) => sum + count, 0),
      horizon: Math.max(removedUpTo, invalidatedUpTo),
      removed: (this.#selectRemoved.all(removedUpTo) as { key: string }[]).map(({ key }) => key),
      invalidations: (this.#selectInvalidations.all(invalidatedUpTo) as unknown as InvalidationRow[]).map(({ kind, value, mode }) => ({
        selector: (kind === 'all' ? { all: true } : { [kind]: value }) as Selector,
        mode,
      })),
      upTo,
    };
  }

  /** Inside a transaction. With a removal goes what the key was before: returns bytes that may be garbage. */
  forget({ upTo }: PruneBatch): string[] {
    const garbage: string[] = [];
    for (const [index, version] of upTo.entries()) {
      if (version === undefined) continue;
      if (TABLES[index] === 'tombstones') garbage.push(...this.#history.forgetRemoved(version));
      this.#deletes[index]?.run(version);
    }
    return garbage;
  }
}

interface InvalidationRow {
  readonly kind: string;
  readonly value: string;
  readonly mode: InvalidationMode;
}
