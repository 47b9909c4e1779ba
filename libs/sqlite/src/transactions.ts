import type { DatabaseSync } from 'node:sqlite';

/** Runs work in transactions of one database, with the statements around it prepared once. */
export class Transactions {
  readonly #db: DatabaseSync;
  readonly #begin;
  readonly #commit;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#begin = db.prepare('BEGIN IMMEDIATE');
    this.#commit = db.prepare('COMMIT');
  }

  /** Commits what `work` did, or undoes all of it when it throws. Not to be nested. */
  run<Result>(work: () => Result): Result {
    this.#begin.run();
    try {
      const result = work();
      this.#commit.run();
      return result;
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }
}
