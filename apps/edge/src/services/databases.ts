/** The two databases of an edge: both are copies, so one that is damaged is given up and begun anew, while visitors are served. */
import type { Logger } from '@sluice/runtime';
import type { EdgeDatabase } from './serving-messages.ts';

export interface DatabasesParts {
  /** Before anything else: what is served from now on is confirmed at the origin first. */
  readonly doubt: () => void;
  /** Begins one anew. */
  readonly startOver: (database: EdgeDatabase) => Promise<void>;
  /** Tells whoever has one open that it is another one now. */
  readonly replaced: (database: EdgeDatabase, generation: number) => void;
}

export class Databases {
  #parts: DatabasesParts | undefined;
  readonly #log: Logger;
  readonly #generations: Record<EdgeDatabase, number> = { index: 0, blobs: 0 };
  readonly #replacing = new Set<EdgeDatabase>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** From now on they can be begun anew. What turned out damaged when it was opened has been by then. */
  open(parts: DatabasesParts): void {
    this.#parts = parts;
    for (const database of this.#replacing) this.#generations[database] += 1;
    this.#replacing.clear();
  }

  get generations(): Readonly<Record<EdgeDatabase, number>> {
    return { ...this.#generations };
  }
  /** How often one was begun anew. */
  get replacements(): number {
    return this.#generations.index + this.#generations.blobs;
  }

  /** One is damaged. Whoever finds that is in the middle of something, so it is replaced in the next turn. `generation`: of the one that was read, where that may be an earlier one. */
  damaged(database: EdgeDatabase, err: unknown, generation = this.#generations[database]): void {
    if (generation !== this.#generations[database] || this.#replacing.has(database)) return;
    this.#log.error({ err, database }, 'a database is damaged: it is given up, and what was in it is brought from the origin again');
    this.#replacing.add(database);
    const parts = this.#parts;
    // One that is being opened is begun anew by who opens it.
    if (parts === undefined) return;
    parts.doubt();
    setImmediate(() => void this.#replace(database, parts));
  }

  async #replace(database: EdgeDatabase, { startOver, replaced }: DatabasesParts): Promise<void> {
    const done = startOver(database);
    this.#generations[database] += 1;
    replaced(database, this.#generations[database]);
    await done;
    this.#replacing.delete(database);
  }
}
