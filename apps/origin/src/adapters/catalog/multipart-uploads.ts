import { randomBytes } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { StoredPart } from '../../domain/multipart.ts';
import type { ChecksumChoice, ObjectChecksums } from '../../domain/object-checksums.ts';
import { S3Error } from '../../domain/s3-error.ts';
import type { UploadFields } from '../../domain/upload-headers.ts';

/** Completed uploads whose answer is remembered, for a client that did not get it and asks again. */
export const COMPLETED_MAX = 10_000;
/** Uploads that expire in one transaction; each may have 10,000 parts. */
const EXPIRED_AT_ONCE = 10;

/** An upload that is open. */
export interface MultipartUpload {
  readonly id: string;
  /** Content key, which begins with the bucket. */
  readonly key: string;
  readonly createdMs: number;
  readonly fields: UploadFields;
  readonly checksum: ChecksumChoice | undefined;
}

/** What came of an upload. */
export interface CompletedUpload {
  readonly eventId: string;
  readonly version: number;
  readonly etag: string;
  readonly checksums: ObjectChecksums | undefined;
}

export interface MultipartOptions {
  readonly db: DatabaseSync;
  /** Runs a change inside of a transaction. */
  readonly write: <Result>(change: () => Result) => Promise<Result>;
  /** Inside a transaction: names bytes that may be garbage after it. */
  readonly release: (checksums: readonly string[]) => void;
  readonly nowMs: () => number;
  /** Uploads open at once. */
  readonly maxOpen: number;
}

interface UploadRow {
  id: string;
  key: string;
  createdMs: number;
  fields: string;
  checksum: string | null;
}

const UPLOAD = 'id, key, created_ms AS createdMs, fields, checksum';

/** The multipart uploads that are open, and their parts. The bytes of parts are blobs, kept as long as a part names them. */
export class MultipartUploads {
  readonly #options: MultipartOptions;
  readonly #count: StatementSync;
  readonly #insert: StatementSync;
  readonly #select: StatementSync;
  readonly #selectAfter: StatementSync;
  readonly #selectIdle: StatementSync;
  readonly #touch: StatementSync;
  readonly #delete: StatementSync;
  readonly #detach: StatementSync;
  readonly #selectPart: StatementSync;
  readonly #selectParts: StatementSync;
  readonly #upsertPart: StatementSync;
  readonly #deleteParts: StatementSync;
  readonly #selectCompleted: StatementSync;
  readonly #insertCompleted: StatementSync;
  readonly #forgetCompleted: StatementSync;

  constructor(options: MultipartOptions) {
    this.#options = options;
    const { db } = options;
    this.#count = db.prepare('SELECT count(*) AS count FROM multipart_uploads');
    this.#insert = db.prepare(
      'INSERT INTO multipart_uploads (id, key, created_ms, active_ms, fields, checksum) VALUES (?1, ?2, ?3, ?3, ?4, ?5)',
    );
    this.#select = db.prepare(`SELECT ${UPLOAD} FROM multipart_uploads WHERE id = ? AND key = ?`);
    this.#selectAfter = db.prepare(`
      SELECT ${UPLOAD} FROM multipart_uploads INDEXED BY multipart_uploads_key
      WHERE key >= ?1 AND (key, id) > (?2, ?3) ORDER BY key, id`);
    this.#selectIdle = db.prepare('SELECT id FROM multipart_uploads WHERE active_ms < ? ORDER BY active_ms LIMIT ?');
    this.#touch = db.prepare('UPDATE multipart_uploads SET active_ms = ? WHERE id = ?');
    this.#delete = db.prepare('DELETE FROM multipart_uploads WHERE id = ?');
    // "0" comes after "/".
    this.#detach = db.prepare("UPDATE multipart_uploads SET key = '', active_ms = -1 WHERE key > ?1 || '/' AND key < ?1 || '0'");
    this.#selectPart = db.prepare('SELECT sha256 FROM multipart_parts WHERE upload_id = ? AND number = ?');
    this.#selectParts = db.prepare(`
      SELECT number, sha256, size, md5, checksums, modified_ms AS modifiedMs FROM multipart_parts
      WHERE upload_id = ? AND number > ? ORDER BY number LIMIT ?`);
    this.#upsertPart = db.prepare(`
      INSERT OR REPLACE INTO multipart_parts (upload_id, number, sha256, size, md5, checksums, modified_ms) VALUES (?, ?, ?, ?, ?, ?, ?)`);
    this.#deleteParts = db.prepare('DELETE FROM multipart_parts WHERE upload_id = ? RETURNING sha256');
    this.#selectCompleted = db.prepare('SELECT answer FROM multipart_completed WHERE id = ? AND key = ?');
    this.#insertCompleted = db.prepare('INSERT INTO multipart_completed (id, key, answer) VALUES (?, ?, ?)');
    this.#forgetCompleted = db.prepare('DELETE FROM multipart_completed WHERE seq <= ?');
  }

  /** Uploads that are open. */
  get openCount(): number {
    return (this.#count.get() as { count: number }).count;
  }

  /** @throws {S3Error} `NoSuchUpload` */
  get(id: string, key: string): MultipartUpload {
    const row = this.#select.get(id, key) as UploadRow | undefined;
    if (row === undefined) {
      throw new S3Error('NoSuchUpload', 'there is no such upload of this key: it was completed, aborted or abandoned; create a new one');
    }
    return asUpload(row);
  }

  /** Up to `limit` parts with a number above `afterNumber`, in order. */
  parts(id: string, afterNumber: number, limit: number): StoredPart[] {
    const rows = this.#selectParts.all(id, afterNumber, limit) as unknown as (Omit<StoredPart, 'checksums'> & { checksums: string })[];
    return rows.map((row) => ({ ...row, checksums: JSON.parse(row.checksums) }));
  }

  /** Open uploads whose key begins with `prefix`, behind an upload of a key, by key and age. An `id` of '' means: behind all uploads of the key. */
  *after(prefix: string, { key, id }: { readonly key: string; readonly id: string }): Generator<MultipartUpload> {
    // Ids are hexadecimal, so "g" comes after each of them.
    for (const row of this.#selectAfter.iterate(prefix, key, id === '' ? 'g' : id) as Iterable<unknown> as Iterable<UploadRow>) {
      if (!row.key.startsWith(prefix)) return;
      yield asUpload(row);
    }
  }

  /** Opens an upload. @throws {S3Error} `SlowDown` when too many are open */
  create(key: string, fields: UploadFields, checksum: ChecksumChoice | undefined): Promise<MultipartUpload> {
    const { write, nowMs, maxOpen } = this.#options;
    return write(() => {
      if (this.openCount >= maxOpen) {
        throw new S3Error('SlowDown', `${maxOpen} multipart uploads are open already; complete or abort some of them`);
      }
      const createdMs = nowMs();
      const upload = { id: newId(createdMs), key, createdMs, fields, checksum };
      this.#insert.run(upload.id, key, createdMs, JSON.stringify(fields), checksum === undefined ? null : JSON.stringify(checksum));
      return upload;
    });
  }

  /** Adds a part whose bytes are in the blob store; one of the same number makes way. @throws {S3Error} `NoSuchUpload` */
  putPart({ id, key }: MultipartUpload, part: Omit<StoredPart, 'modifiedMs'>): Promise<StoredPart> {
    const { write, nowMs, release } = this.#options;
    return write(() => {
      this.get(id, key);
      const modifiedMs = nowMs();
      const before = this.#selectPart.get(id, part.number) as { sha256: string } | undefined;
      this.#upsertPart.run(id, part.number, part.sha256, part.size, part.md5, JSON.stringify(part.checksums), modifiedMs);
      this.#touch.run(modifiedMs, id);
      if (before !== undefined) release([before.sha256]);
      return { ...part, modifiedMs };
    });
  }

  /** Ends an upload; its parts are garbage. @throws {S3Error} `NoSuchUpload` */
  abort(id: string, key: string): Promise<void> {
    return this.#options.write(() => {
      this.get(id, key);
      this.#end(id);
    });
  }

  /** Inside a transaction: the open uploads of a bucket are not to be found any more. They end with {@link expire}, whatever time it is given, since all their parts at once would take long. */
  detach(bucket: string): void {
    this.#detach.run(bucket);
  }

  /** Ends some uploads of which nothing has come since a time. Returns how many; ask again until 0. */
  expire(untilMs: number): Promise<number> {
    return this.#options.write(() => {
      const idle = this.#selectIdle.all(untilMs, EXPIRED_AT_ONCE) as unknown as { id: string }[];
      for (const { id } of idle) this.#end(id);
      return idle.length;
    });
  }

  /** Inside the transaction that makes its object: ends an upload and remembers the answer. @throws {S3Error} `NoSuchUpload` */
  complete({ id, key }: MultipartUpload, answer: CompletedUpload): void {
    this.get(id, key);
    this.#end(id);
    const { lastInsertRowid } = this.#insertCompleted.run(id, key, JSON.stringify(answer));
    this.#forgetCompleted.run(Number(lastInsertRowid) - COMPLETED_MAX);
  }

  /** The answer to an upload that was completed, while it is remembered. */
  completed(id: string, key: string): CompletedUpload | undefined {
    const row = this.#selectCompleted.get(id, key) as { answer: string } | undefined;
    return row === undefined ? undefined : JSON.parse(row.answer);
  }

  #end(id: string): void {
    const parts = this.#deleteParts.all(id) as unknown as { sha256: string }[];
    this.#delete.run(id);
    this.#options.release(parts.map(({ sha256 }) => sha256));
  }
}

function asUpload({ fields, checksum, ...row }: UploadRow): MultipartUpload {
  return { ...row, fields: JSON.parse(fields), checksum: checksum === null ? undefined : JSON.parse(checksum) };
}

/** Sorts by time and cannot be guessed. */
function newId(nowMs: number): string {
  return nowMs.toString(16).padStart(12, '0') + randomBytes(16).toString('hex');
}
