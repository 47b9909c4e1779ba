/** Looks at a blob store from the outside, without opening it: opening tidies up. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { sha256Of } from '@sluice/testkit';
import { expect } from 'vitest';

/** What a database answers; it may be in use. */
export function query<Row>(path: string, sql: string): Row[] {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    return db.prepare(sql).all() as Row[];
  } finally {
    db.close();
  }
}

/** The names of the blobs that a store has, by its rows. */
export function heldIn(blobsDir: string): string[] {
  return query<{ sha256: string }>(join(blobsDir, 'blobs.db'), 'SELECT sha256 FROM blobs ORDER BY sha256').map(({ sha256 }) => sha256);
}

/** Every row has the bytes of its name, and there are no other bytes: no file without a row, no body without one, nothing half-come. */
export function checkStoredBlobs(blobsDir: string): void {
  const path = join(blobsDir, 'blobs.db');
  const rows = query<{ sha256: string; size: number; body: number | null; bytes: Uint8Array | null }>(
    path,
    'SELECT sha256, size, body, bytes FROM blobs LEFT JOIN bodies ON id = body',
  );
  for (const { sha256, size, body, bytes } of rows) {
    const content = body === null ? readFileSync(join(blobsDir, 'files', sha256.slice(0, 2), sha256)) : (bytes as Uint8Array);
    expect({ size: content.byteLength, sha256: sha256Of(content) }).toEqual({ size, sha256 });
  }
  const files = readdirSync(join(blobsDir, 'files'), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  expect(files.map(({ name }) => name).sort(), 'files').toEqual(rows.flatMap(({ sha256, body }) => (body === null ? [sha256] : [])).sort());
  const bodies = query<{ id: number }>(path, 'SELECT id FROM bodies WHERE id NOT IN (SELECT body FROM blobs WHERE body IS NOT NULL)');
  expect(bodies, 'bodies without a row').toEqual([]);
  const incoming = join(blobsDir, 'incoming');
  expect(existsSync(incoming) ? readdirSync(incoming) : [], 'half-come files').toEqual([]);
}
