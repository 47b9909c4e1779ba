import type { DatabaseSync, StatementSync } from 'node:sqlite';

export const CATALOG_STATE_SCHEMA = `
  CREATE TABLE IF NOT EXISTS catalog_state (
    source TEXT NOT NULL,              -- whose content this is: another source needs another data directory
    listed INTEGER NOT NULL,           -- 1: everything at the source was in the catalog once
    position INTEGER NOT NULL          -- up to where the log of a shared catalog is in it
  );
`;

/** What a catalog has to know about itself beside its versions. Writes belong into a transaction. */
export class CatalogState {
  readonly #select: StatementSync;
  readonly #insert: StatementSync;
  readonly #saveListed: StatementSync;
  readonly #savePosition: StatementSync;

  constructor(db: DatabaseSync) {
    this.#select = db.prepare('SELECT source, listed, position FROM catalog_state');
    this.#insert = db.prepare('INSERT INTO catalog_state (source, listed, position) VALUES (?, 0, 0)');
    this.#saveListed = db.prepare('UPDATE catalog_state SET listed = ?');
    this.#savePosition = db.prepare('UPDATE catalog_state SET position = ?');
  }

  /** Whose content it is; undefined before that was said. */
  get source(): string | undefined {
    return this.#row?.source;
  }
  get isListed(): boolean {
    return this.#row?.listed === 1;
  }
  get position(): number {
    return this.#row?.position ?? 0;
  }

  get #row(): { source: string; listed: number; position: number } | undefined {
    return this.#select.get() as { source: string; listed: number; position: number } | undefined;
  }

  /** Says whose content it is, once. */
  begin(source: string): void {
    this.#insert.run(source);
  }
  setListed(listed: boolean): void {
    this.#saveListed.run(listed ? 1 : 0);
  }
  setPosition(position: number): void {
    this.#savePosition.run(position);
  }
}
