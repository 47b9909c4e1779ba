import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { HistoryTable } from './history-table.ts';

export interface PruneLimits {
  /** Removals and invalidations up to this version are forgotten. */
  readonly untilVersion: number;
  /** Of each kind, the newest so many are kept at most. */
  readonly maxRows: number;
}

export interface Pruned {
  readonly pruned: number;
  readonly horizon: number;
  readonly garbage: readonly string[];
}

/** Rows forgotten in one transaction: bounds how long it takes. */
const BATCH_ROWS = 1000;
const TABLES = ['tombstones', 'invalidations'] as const;

/** Forgets old removals and invalidations. The horizon says up to where, so that a reader from before it starts over. */
export class FeedPruner {
  readonly #selects: readonly StatementSync[];
  readonly #deletes: readonly StatementSync[];
  readonly #saveHorizon: StatementSync;
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
    this.#deletes = TABLES.map((table) => db.prepare(`DELETE FROM ${table} WHERE version <= ?`));
    this.#saveHorizon = db.prepare('UPDATE meta SET horizon = ?');
  }

  /** Inside a transaction: one batch of each kind. With a removal goes what the key was before. Returns how many rows went, the horizon after that, and bytes that may be garbage. */
  prune({ untilVersion, maxRows }: PruneLimits, horizon: number): Pruned {
    let pruned = 0;
    let raised = horizon;
    const garbage: string[] = [];
    for (const [index, select] of this.#selects.entries()) {
      const { version, count } = select.get(untilVersion, maxRows) as { version: number | null; count: number };
      if (version === null) continue;
      if (TABLES[index] === 'tombstones') garbage.push(...this.#history.forgetRemoved(version));
      this.#deletes[index]?.run(version);
      pruned += count;
      raised = Math.max(raised, version);
    }
    if (raised !== horizon) this.#saveHorizon.run(raised);
    return { pruned, horizon: raised, garbage };
  }
}
