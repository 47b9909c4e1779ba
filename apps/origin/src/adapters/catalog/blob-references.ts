import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { PatchOffer } from '@sluice/contracts';

/** Which bytes the catalog still needs, and the patches made between them. */
export class BlobReferences {
  readonly #selectReference: StatementSync;
  readonly #selectOtherKey: StatementSync;
  readonly #selectPair: StatementSync;
  readonly #selectPatch: StatementSync;
  readonly #selectDerived: StatementSync;
  readonly #selectContent: StatementSync;
  readonly #selectKeys: StatementSync;
  readonly #insertPatch: StatementSync;
  readonly #deletePatch: StatementSync;

  constructor(db: DatabaseSync) {
    this.#selectReference = db.prepare(`
      SELECT EXISTS (SELECT 1 FROM objects WHERE sha256 = ?1)
          OR EXISTS (SELECT 1 FROM objects WHERE previous_sha256 = ?1)
          OR EXISTS (SELECT 1 FROM history WHERE sha256 = ?1)
          OR EXISTS (SELECT 1 FROM patches WHERE patch_sha256 = ?1)
          OR EXISTS (SELECT 1 FROM variants WHERE variant_sha256 = ?1)
          OR EXISTS (SELECT 1 FROM multipart_parts WHERE sha256 = ?1) AS referenced`);
    this.#selectContent = db.prepare(`
      SELECT EXISTS (SELECT 1 FROM objects WHERE sha256 = ?1)
          OR EXISTS (SELECT 1 FROM history WHERE sha256 = ?1)
          OR EXISTS (SELECT 1 FROM multipart_parts WHERE sha256 = ?1) AS uploaded`);
    this.#selectKeys = db.prepare(
      'SELECT key FROM (SELECT key FROM objects WHERE sha256 = ?1 UNION SELECT key FROM history WHERE sha256 = ?1) LIMIT ?2',
    );
    this.#selectOtherKey = db.prepare('SELECT 1 FROM objects WHERE sha256 = ? AND key <> ? LIMIT 1');
    this.#selectPair = db.prepare('SELECT 1 FROM objects WHERE sha256 = ? AND previous_sha256 = ? LIMIT 1');
    this.#selectPatch = db.prepare('SELECT patch_sha256 AS sha256, patch_size AS size FROM patches WHERE target = ? AND base = ?');
    this.#selectDerived = db.prepare(`
      SELECT coalesce((SELECT variant_size FROM variants WHERE variant_sha256 = ?1 LIMIT 1), (SELECT patch_size FROM patches WHERE patch_sha256 = ?1 LIMIT 1),
        (SELECT json_extract(previous, '$.size') FROM objects WHERE previous_sha256 = ?1 LIMIT 1)) AS size`);
    this.#insertPatch = db.prepare('INSERT OR REPLACE INTO patches (target, base, patch_sha256, patch_size) VALUES (?, ?, ?, ?)');
    this.#deletePatch = db.prepare('DELETE FROM patches WHERE target = ? AND base = ? RETURNING patch_sha256 AS sha256');
  }

  /** Whether an object, a version before it, a patch, a variant or a part of an open upload has these bytes. */
  isReferenced(sha256: string): boolean {
    return (this.#selectReference.get(sha256) as { referenced: number }).referenced === 1;
  }

  /** Whether somebody uploaded these bytes and may ask for them: an object has them, an earlier version that can be read, or a part of an open upload. Others were made, or only help to make. */
  isUploaded(sha256: string): boolean {
    return (this.#selectContent.get(sha256) as { uploaded: number }).uploaded === 1;
  }

  /** Keys that have these bytes, now or in an earlier version; some of them. */
  keysOf(sha256: string, limit: number): string[] {
    return (this.#selectKeys.all(sha256, limit) as { key: string }[]).map(({ key }) => key);
  }

  /** Bytes of what is not the content of an object now: a variant, a patch, the version before. Undefined when it is none of these. */
  derivedSize(sha256: string): number | undefined {
    return (this.#selectDerived.get(sha256) as { size: number | null }).size ?? undefined;
  }

  /** Whether an object under another key than `key` has these bytes. */
  isShared(sha256: string, key: string): boolean {
    return this.#selectOtherKey.get(sha256, key) !== undefined;
  }

  /** The patch from `base` to `target`, `none` when it was tried and is not worthwhile, undefined when it was not tried. */
  patch(target: string, base: string): PatchOffer | 'none' | undefined {
    const row = this.#selectPatch.get(target, base) as { sha256: string | null; size: number } | undefined;
    if (row === undefined) return undefined;
    return row.sha256 === null ? 'none' : { base, sha256: row.sha256, size: row.size };
  }

  /** Inside a transaction: remembers the outcome of making a patch, unless no object needs it any more. Returns whether it did. */
  recordPatch(target: string, base: string, made: { readonly sha256: string; readonly size: number } | undefined): boolean {
    if (this.#selectPair.get(target, base) === undefined) return false;
    this.#insertPatch.run(target, base, made?.sha256 ?? null, made?.size ?? null);
    return true;
  }

  /** Inside a transaction, after an object left this pair of versions: forgets the patch if no other object has it. Returns bytes that may be garbage. */
  releasePair(target: string, base: string | null): string[] {
    if (base === null || this.#selectPair.get(target, base) !== undefined) return [];
    const row = this.#deletePatch.get(target, base) as { sha256: string | null } | undefined;
    return row?.sha256 == null ? [] : [row.sha256];
  }
}
