import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { fromDiskError, type Operate } from '@sluice/blobs';
import type { Clock } from '@sluice/runtime';
import { Transactions } from '@sluice/sqlite';

/** How long a change that is not urgent may wait for a transaction that others need. */
const LATER_MS = 1_000;

/** What runs around each transaction. */
export interface CommitHooks {
  begin(): void;
  beforeCommit(): void;
  afterCommit(): void;
}

interface Waiting {
  readonly change: () => unknown;
  readonly resolve: (result: never) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Writes to one database: what is asked for in the same turn of the event loop shares one transaction, so one sync serves many. A change
 * that throws is undone alone; when the commit fails, all of it is undone and each asker learns it.
 */
export class GroupCommit {
  readonly #db: DatabaseSync;
  readonly #transactions: Transactions;
  readonly #operate: Operate;
  readonly #hooks: CommitHooks;
  readonly #savepoint: StatementSync;
  readonly #release: StatementSync;
  readonly #rollback: StatementSync;
  readonly #clock: Clock;
  #waiting: Waiting[] = [];
  #scheduled = false;
  #cancelTimer: (() => void) | undefined;

  constructor(db: DatabaseSync, operate: Operate, clock: Clock, hooks: CommitHooks) {
    this.#db = db;
    this.#clock = clock;
    this.#transactions = new Transactions(db);
    this.#operate = operate;
    this.#hooks = hooks;
    this.#savepoint = db.prepare('SAVEPOINT change');
    this.#release = db.prepare('RELEASE change');
    this.#rollback = db.prepare('ROLLBACK TO change');
  }

  /**
   * Runs `change` inside the next transaction; resolves with its result when that is on the disk. `later`: what is no loss when it is lost waits a second
   * for a transaction that is made anyway. @throws {DiskFullError}
   */
  write<Result>(change: () => Result, urgency: 'now' | 'later' = 'now'): Promise<Result> {
    const written = this.#add(change);
    if (urgency === 'now') this.#schedule();
    else this.#cancelTimer ??= this.#clock.after(LATER_MS, () => this.flush());
    return written;
  }

  /** What waits for a transaction waits no longer. */
  hurry(): void {
    if (this.#waiting.length > 0) this.#schedule();
  }

  #add<Result>(change: () => Result): Promise<Result> {
    return new Promise<Result>((resolve, reject) => {
      this.#waiting.push({ change, resolve, reject });
    });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.flush());
  }

  /** Commits what waits, now. */
  flush(): void {
    this.#scheduled = false;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    const settle: (() => void)[] = [];
    try {
      this.#operate('CATALOG_COMMIT:TRANSACTION', () => this.#transact(waiting, settle));
    } catch (error) {
      const failure = fromDiskError(error);
      for (const { reject } of waiting) reject(failure);
      return;
    }
    this.#hooks.afterCommit();
    for (const done of settle) done();
  }

  #transact(waiting: readonly Waiting[], settle: (() => void)[]): void {
    this.#transactions.run(() => {
      this.#hooks.begin();
      for (const entry of waiting) settle.push(this.#attempt(entry));
      this.#hooks.beforeCommit();
    });
  }

  #attempt({ change, resolve, reject }: Waiting): () => void {
    this.#savepoint.run();
    try {
      const result = change();
      this.#release.run();
      return () => resolve(result as never);
    } catch (error) {
      // A full disk makes SQLite end the whole transaction: then nobody's change is there.
      if (!this.#db.isTransaction) throw error;
      this.#rollback.run();
      this.#release.run();
      return () => reject(fromDiskError(error));
    }
  }
}
