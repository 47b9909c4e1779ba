import type { DatabaseSync, StatementSync } from 'node:sqlite';

/** An event that is not yet on the stream. */
export interface OutboxEntry {
  readonly seq: number;
  readonly eventId: string;
  readonly subject: string;
  readonly payload: Uint8Array;
}

/** Events committed together with what they tell of. Written inside the catalog's transactions, drained by the publisher in order. */
export class Outbox {
  readonly #maxEntries: number;
  readonly #insert: StatementSync;
  readonly #oldest: StatementSync;
  readonly #remove: StatementSync;
  readonly #span: StatementSync;
  readonly #oldestAt: StatementSync;
  readonly #onDropped: () => void;
  /** Entries that the stream has, and whose removal is not committed yet. */
  readonly #acknowledged = new Set<number>();

  constructor(db: DatabaseSync, maxEntries: number, onDropped: () => void) {
    this.#maxEntries = maxEntries;
    this.#onDropped = onDropped;
    this.#insert = db.prepare('INSERT INTO outbox (event_id, subject, payload, at_ms) VALUES (?, ?, ?, ?)');
    this.#oldest = db.prepare('SELECT seq, event_id AS eventId, subject, payload FROM outbox ORDER BY seq LIMIT ?');
    this.#remove = db.prepare('DELETE FROM outbox WHERE seq = ?');
    this.#span = db.prepare('SELECT (SELECT max(seq) FROM outbox) - (SELECT min(seq) FROM outbox) + 1 AS span');
    this.#oldestAt = db.prepare('SELECT at_ms AS atMs FROM outbox ORDER BY seq LIMIT 1');
  }

  /** Inside a transaction. When the outbox is full the event is dropped and counted: the edges find the change by catching up. */
  add(eventId: string, subject: string, payload: Uint8Array, nowMs: number): void {
    if (this.length >= this.#maxEntries) this.#onDropped();
    else this.#insert.run(eventId, subject, payload, nowMs);
  }

  /** The stream has these. `false`: their removal is committed, or came to nothing and they are to be published again. */
  setAcknowledged(entries: readonly OutboxEntry[], acknowledged: boolean): void {
    for (const { seq } of entries) {
      if (acknowledged) this.#acknowledged.add(seq);
      else this.#acknowledged.delete(seq);
    }
  }

  /** Inside a transaction: forgets what the stream has acknowledged. */
  remove(entries: readonly OutboxEntry[]): void {
    for (const { seq } of entries) this.#remove.run(seq);
  }

  /** The first `count` in order that the stream has not acknowledged. */
  oldest(count: number): OutboxEntry[] {
    const rows = this.#oldest.all(count + this.#acknowledged.size) as unknown as OutboxEntry[];
    return rows.filter(({ seq }) => !this.#acknowledged.has(seq)).slice(0, count);
  }

  /** Entries between the oldest and the newest: what waits, or slightly more while acknowledgements come out of order or are not committed. */
  get length(): number {
    return (this.#span.get() as { span: number | null }).span ?? 0;
  }

  /** When the oldest entry was committed, undefined when there is none. */
  get oldestAtMs(): number | undefined {
    return (this.#oldestAt.get() as { atMs: number } | undefined)?.atMs;
  }
}
