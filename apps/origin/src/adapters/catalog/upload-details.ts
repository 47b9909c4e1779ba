import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { ObjectChecksums } from '../../domain/object-checksums.ts';

/** How an object's content was uploaded, as far as clients ask for it. */
export interface UploadDetails {
  readonly checksums?: ObjectChecksums | undefined;
  /** Bytes of each part of a multipart upload. */
  readonly partSizes?: readonly number[] | undefined;
}

/** The details of the uploads that have any. Beside the objects, because few have them and fewer readers want them. */
export class UploadDetailsTable {
  readonly #select: StatementSync;
  readonly #upsert: StatementSync;
  readonly #delete: StatementSync;

  constructor(db: DatabaseSync) {
    this.#select = db.prepare('SELECT checksums, part_sizes AS partSizes FROM upload_details WHERE key = ?');
    this.#upsert = db.prepare('INSERT OR REPLACE INTO upload_details (key, checksums, part_sizes) VALUES (?, ?, ?)');
    this.#delete = db.prepare('DELETE FROM upload_details WHERE key = ?');
  }

  /** Of the object that the key names now: read it in the same turn of the event loop as that. */
  of(key: string): UploadDetails {
    const row = this.#select.get(key) as { checksums: string | null; partSizes: string | null } | undefined;
    return { checksums: parsed(row?.checksums), partSizes: parsed(row?.partSizes) };
  }

  /** Inside a transaction: what the key's new content has to tell. */
  set(key: string, { checksums, partSizes }: UploadDetails = {}): void {
    if (checksums === undefined && partSizes === undefined) this.#delete.run(key);
    else this.#upsert.run(key, serialized(checksums), serialized(partSizes));
  }
}

function parsed<Value>(text: string | null | undefined): Value | undefined {
  return text == null ? undefined : JSON.parse(text);
}

function serialized(value: object | undefined): string | null {
  return value === undefined ? null : JSON.stringify(value);
}
