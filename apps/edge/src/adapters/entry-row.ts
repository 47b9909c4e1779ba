import { crc32 } from 'node:zlib';
import type { Manifest } from '@sluice/contracts';
import { DatabaseDamagedError } from '@sluice/sqlite';
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
  /** SQLite does not notice when a bit of what it keeps flips, so each row says what it has to be. NULL: written before there were checksums. */
  checksum: number | null;
  /** Of `stale_at` and `purged_at`, which one statement may set in a million rows: by arithmetic that SQL has. */
  marks_checksum: number | null;
}

export const SELECT_ENTRY = 'SELECT * FROM entries WHERE key = ?';

/** The row without its checksums. */
export type PlainRow = Omit<EntryRow, 'checksum' | 'marks_checksum'>;

export function checksumOf({ key, version, placement, sha256, confirmed_at, known_at_ms, manifest }: PlainRow): number {
  return crc32(`${key}\n${version}\n${placement}\n${sha256 ?? ''}\n${confirmed_at}\n${known_at_ms}\n${manifest ?? ''}`);
}

const MARKS_MODULUS = 1_000_003;

export function marksChecksumOf({ stale_at, purged_at }: Pick<EntryRow, 'stale_at' | 'purged_at'>): number {
  return ((stale_at % MARKS_MODULUS) * 31 + (purged_at % MARKS_MODULUS) * 17) % MARKS_MODULUS;
}

/** {@link marksChecksumOf} in SQL. A version that is bound comes as a floating-point number, whose products would not be exact: `%` makes it whole first. */
export function marksChecksumSql(staleAt: string, purgedAt: string): string {
  return `(((${staleAt}) % ${MARKS_MODULUS}) * 31 + ((${purgedAt}) % ${MARKS_MODULUS}) * 17) % ${MARKS_MODULUS}`;
}

/** @throws {DatabaseDamagedError} when it is not what was written */
export function fromRow(row: EntryRow): Entry {
  const isRight = row.checksum === null || (row.checksum === checksumOf(row) && row.marks_checksum === marksChecksumOf(row));
  if (!isRight) throw new DatabaseDamagedError('an entry of the index is not what was written');
  return {
    key: row.key,
    version: row.version,
    placement: row.placement,
    manifest: row.manifest === null ? undefined : manifestIn(row.manifest),
    confirmedAt: row.confirmed_at,
    staleAt: row.stale_at,
    purgedAt: row.purged_at,
    knownAtMs: row.known_at_ms,
  };
}

/** @throws {DatabaseDamagedError} */
export function manifestIn(text: string): Manifest {
  return parsed(text) as Manifest;
}

/** JSON that was written here. @throws {DatabaseDamagedError} */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new DatabaseDamagedError('the index has a text that is not what was written', { cause: error });
  }
}
