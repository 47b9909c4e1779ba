import type { Manifest } from '@sluice/contracts';
import type { Entry } from '../domain/entry.ts';

/** An entry as it is in the index. */
export interface EntryRow {
  key: string;
  version: number;
  placement: Entry['placement'];
  manifest: string | null;
  sha256: string | null;
  confirmed_at: number;
  stale_at: number;
  purged_at: number;
  known_at_ms: number;
}

export const SELECT_ENTRY = 'SELECT * FROM entries WHERE key = ?';

export function fromRow(row: EntryRow): Entry {
  return {
    key: row.key,
    version: row.version,
    placement: row.placement,
    manifest: row.manifest === null ? undefined : (JSON.parse(row.manifest) as Manifest),
    confirmedAt: row.confirmed_at,
    staleAt: row.stale_at,
    purgedAt: row.purged_at,
    knownAtMs: row.known_at_ms,
  };
}
