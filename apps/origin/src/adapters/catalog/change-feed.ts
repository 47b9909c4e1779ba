import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Change, ChangesReply, ChangesRequest, InvalidationMode, Selector } from '@sluice/contracts';
import { changeFor, type FeedEntry, type FeedState, mustReset } from '../../domain/changes.ts';

/** Entries looked at for one page: bounds its time, whatever part of them concerns the asking region. */
const PAGE_MAX_ENTRIES = 128;
/** Bytes of changes in one page, half of what one message may have. */
const PAGE_MAX_BYTES = 512 * 1024;

export type ChangesPage = Extract<ChangesReply, { ok: true }>;

interface FeedRow {
  version: number;
  kind: 'object' | 'tombstone' | 'invalidation';
  name: string;
  value: string;
  mode: string | null;
  previous: string | null;
  ever: string | null;
}

/** Objects, removals and invalidations as one sequence in the order of their versions. */
export class ChangeFeed {
  readonly #state: () => FeedState;
  readonly #selectAfter: StatementSync;

  constructor(db: DatabaseSync, state: () => FeedState) {
    this.#state = state;
    this.#selectAfter = db.prepare(`
      SELECT version, 'object' AS kind, key AS name, manifest AS value, NULL AS mode, previous, ever_regions AS ever
        FROM objects WHERE version > ?1
      UNION ALL SELECT version, 'tombstone', key, '', NULL, NULL, NULL FROM tombstones WHERE version > ?1
      UNION ALL SELECT version, 'invalidation', kind, value, mode, NULL, NULL FROM invalidations WHERE version > ?1
      ORDER BY version LIMIT ${PAGE_MAX_ENTRIES}`);
  }

  /**
   * One page. A reader that lists everything passes places before the horizon on its way; the horizon that it began with tells it from a reader that comes back to such a place
   * after a long absence.
   */
  page({ region, since, catalogId, listing }: ChangesRequest): ChangesPage {
    const state = this.#state();
    const reset = mustReset(state, since, catalogId, listing);
    const start = reset ? 0 : since;
    const rows = this.#selectAfter.all(start) as unknown as FeedRow[];
    const changes: Change[] = [];
    let next = start;
    let bytes = 0;
    let taken = 0;
    for (const row of rows) {
      const change = changeFor(entryOf(row), region);
      if (change !== undefined) {
        bytes += Buffer.byteLength(JSON.stringify(change)) + 1;
        if (bytes > PAGE_MAX_BYTES && changes.length > 0) break;
        changes.push(change);
      }
      next = row.version;
      taken += 1;
    }
    const done = taken === rows.length && rows.length < PAGE_MAX_ENTRIES;
    if (done) next = state.lastVersion;
    return { ok: true, catalogId: state.catalogId, reset, changes, next, done, horizon: state.horizon };
  }
}

function entryOf(row: FeedRow): FeedEntry {
  switch (row.kind) {
    case 'object':
      return {
        kind: 'object',
        manifest: JSON.parse(row.value),
        previous: row.previous === null ? undefined : JSON.parse(row.previous),
        ever: JSON.parse(row.ever ?? '[]'),
      };
    case 'tombstone':
      return { kind: 'tombstone', key: row.name, version: row.version };
    case 'invalidation':
      return {
        kind: 'invalidation',
        version: row.version,
        selector: (row.name === 'all' ? { all: true } : { [row.name]: row.value }) as Selector,
        mode: row.mode as InvalidationMode,
      };
  }
}
