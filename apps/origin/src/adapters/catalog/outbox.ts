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
  readonly #after: StatementSync;
  readonly #remove: StatementSync;
  readonly #span: StatementSync;
  readonly #oldestAt: StatementSync;
  readonly #onDropped: () => void;
  /** Entries that the stream has and that are still on the disk. Everything up to `#floor` is one of them or gone. */
  readonly #acknowledged = new Set<number>();
  #floor = 0;
  /** What was last handed out, in order, from the first that is not acknowledged on. */
  #offered: number[] = [];

  constructor(db: DatabaseSync, maxEntries: number, onDropped: () => void) {
    this.#maxEntries = maxEntries;
    this.#onDropped = onDropped;
    this.#insert = db.prepare('INSERT INTO outbox (event_id, subject, payload, at_ms) VALUES (?, ?, ?, ?)');
    this.#after = db.prepare('SELECT seq, event_id AS eventId, subject, payload FROM outbox WHERE seq > ? ORDER BY seq');
    this.#remove = db.prepare('DELETE FROM outbox WHERE seq = ?');
    this.#span = db.prepare('SELECT (SELECT max(seq) FROM outbox) - (SELECT min(seq) FROM outbox) + 1 AS span');
    this.#oldestAt = db.prepare('SELECT at_ms AS atMs FROM outbox ORDER BY seq LIMIT 1');
  }

  /** Inside a transaction. When the outbox is full the event is dropped and counted: the edges find the change by catching up. */
  add(eventId: string, subject: string, payload: Uint8Array, nowMs: number): void {
    if (this.length >= this.#maxEntries) this.#onDropped();
    else this.#insert.run(eventId, subject, payload, nowMs);
  }

  /** The stream has these: they are not handed out again, and wait for {@link removeAcknowledged}. */
  acknowledge(entries: readonly OutboxEntry[]): void {
    for (const { seq } of entries) this.#acknowledged.add(seq);
    for (let next = this.#offered[0]; next !== undefined && this.#acknowledged.has(next); next = this.#offered[0]) {
      this.#floor = next;
      this.#offered.shift();
    }
  }

  /** Acknowledged entries that are still on the disk. */
  get acknowledged(): number {
    return this.#acknowledged.size;
  }

  /** Inside a transaction: removes what the stream has acknowledged. Call the result when that is committed. */
  removeAcknowledged(): () => void {
    const removed = [...this.#acknowledged];
    for (const seq of removed) this.#remove.run(seq);
    return () => {
      for (const seq of removed) this.#acknowledged.delete(seq);
    };
  }

  /** The first `count` in order that the stream has not acknowledged. */
  oldest(count: number): OutboxEntry[] {
    const entries: OutboxEntry[] = [];
    for (const entry of this.#after.iterate(this.#floor) as Iterable<unknown> as Iterable<OutboxEntry>) {
      if (!this.#acknowledged.has(entry.seq)) entries.push(entry);
      if (entries.length === count) break;
    }
    this.#offered = entries.map(({ seq }) => seq);
    return entries;
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
