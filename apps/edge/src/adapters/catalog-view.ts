/** The index for reading from a thread that serves. What it remembers is what the last commit left, see {@link IndexStamps}. */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { isDatabaseDamaged, openForReading } from '@sluice/sqlite';
import { LRUCache } from 'lru-cache';
import { Doorkeeper } from '../domain/doorkeeper.ts';
import type { Entry } from '../domain/entry.ts';
import { type EntryRow, fromRow, SELECT_ENTRY } from './entry-row.ts';
import type { IndexStamps, Stamp } from './index-stamps.ts';

/** Entries kept parsed in memory, also those of keys that there are none of. */
const REMEMBERED_MAX = 10_000;
/** Keys among which one that is asked for again is told from one that is not. */
const ASKED_MAX = 65_536;

interface Remembered {
  readonly entry: Entry | undefined;
  readonly stamp: Stamp;
}

export class CatalogView {
  readonly #stamps: IndexStamps;
  readonly #path: string;
  readonly #onDamaged: (error: unknown) => void;
  #db: DatabaseSync | undefined;
  /** Undefined: there is no index to read now; there will be another one. */
  #select: StatementSync | undefined;
  #problem: unknown;
  readonly #asked = new Doorkeeper(ASKED_MAX);
  readonly #remembered = new LRUCache<string, Remembered>({ max: REMEMBERED_MAX });

  /** `onDamaged`: told when the index is not what was written. */
  constructor(databasePath: string, stamps: IndexStamps, onDamaged: (error: unknown) => void = () => {}) {
    this.#stamps = stamps;
    this.#path = databasePath;
    this.#onDamaged = onDamaged;
    this.#open();
  }

  /** There is another index under the same name. */
  reopen(): void {
    this.#db?.close();
    this.#remembered.clear();
    this.#open();
  }

  /** One that the replica is beginning anew has no table yet, or no file: it says so when it is there. What is damaged it is told by who asks for something. */
  #open(): void {
    this.#db = undefined;
    this.#select = undefined;
    try {
      this.#db = openForReading(this.#path);
      this.#select = this.#db.prepare(SELECT_ENTRY);
    } catch (error) {
      this.#problem = error;
    }
  }

  get(key: string): Entry | undefined {
    const remembered = this.#remembered.get(key);
    if (remembered !== undefined && this.#stamps.holds(remembered.stamp)) return remembered.entry;
    if (this.#select === undefined) {
      this.#onDamaged(this.#problem);
      return undefined;
    }
    const stamp = this.#stamps.stamp(key);
    let entry: Entry | undefined;
    try {
      const row = this.#select.get(key) as EntryRow | undefined;
      entry = row && fromRow(row);
    } catch (error) {
      if (!isDatabaseDamaged(error)) throw error;
      // As if nothing were known of the key: the origin is asked.
      this.#onDamaged(error);
      return undefined;
    }
    if (stamp !== undefined && this.#asked.passes(key)) this.#remembered.set(key, { entry, stamp });
    else if (remembered !== undefined) this.#remembered.delete(key);
    return entry;
  }

  /** Moves with every change of the key; undefined while one is under way. */
  stamp(key: string): Stamp | undefined {
    return this.#stamps.stamp(key);
  }
  holds(stamp: Stamp): boolean {
    return this.#stamps.holds(stamp);
  }

  close(): void {
    this.#db?.close();
  }
}
