import type { DatabaseSync, StatementSync } from 'node:sqlite';

/** Requests remembered, so that one that is delivered again is answered once; more than a consumer can have outstanding. */
export const REQUESTS_MAX = 10_000;

/** The announcements made for messages that others put on the stream. */
export class RequestTable {
  readonly #select: StatementSync;
  readonly #insert: StatementSync;
  readonly #forget: StatementSync;

  constructor(db: DatabaseSync) {
    this.#select = db.prepare('SELECT 1 FROM answered_requests WHERE event_id = ?');
    this.#insert = db.prepare('INSERT OR IGNORE INTO answered_requests (event_id) VALUES (?)');
    this.#forget = db.prepare('DELETE FROM answered_requests WHERE seq <= ?');
  }

  has(eventId: string): boolean {
    return this.#select.get(eventId) !== undefined;
  }

  /** Inside a transaction: true the first time. */
  claim(eventId: string): boolean {
    const { changes, lastInsertRowid } = this.#insert.run(eventId);
    if (changes === 0) return false;
    this.#forget.run(Number(lastInsertRowid) - REQUESTS_MAX);
    return true;
  }
}
