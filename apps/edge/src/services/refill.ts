/** Brings, in the background, the bytes and variants of manifests that came without them: after catch-up, after a lost disk. Newest first, while there is room. */
import type { BlobStore } from '@sluice/blobs';
import type { Logger } from '@sluice/runtime';
import type { CatalogIndex } from '../adapters/catalog-index.ts';
import { type Content, contentsOf } from '../domain/content-coding.ts';
import { freshnessPolicy } from '../domain/freshness.ts';
import type { DiskBudget } from './disk-budget.ts';
import type { Transfers } from './transfers.ts';

const PAGE = 500;
/** Few, so that pushes and visitors go first. */
const CONCURRENCY = 4;

export class Refill {
  readonly #parts: { index: CatalogIndex; blobs: BlobStore; budget: DiskBudget; transfers: Transfers; log: Logger };
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = false;

  constructor(parts: { index: CatalogIndex; blobs: BlobStore; budget: DiskBudget; transfers: Transfers; log: Logger }) {
    this.#parts = parts;
  }

  /** Looks through the index for missing bytes; when that is under way, once more after it. */
  start(): void {
    if (this.#stopped) return;
    if (this.#running !== undefined) {
      this.#again = true;
      return;
    }
    this.#running = this.#run()
      .catch((err) => this.#parts.log.warn({ err }, 'refill interrupted'))
      .finally(() => {
        this.#running = undefined;
        if (!this.#again) return;
        this.#again = false;
        this.start();
      });
  }

  async #run(): Promise<void> {
    const { index, blobs } = this.#parts;
    let below = Number.MAX_SAFE_INTEGER;
    for (;;) {
      const page = index.placedBelow(below, PAGE);
      const last = page.at(-1);
      if (last === undefined || this.#stopped) return;
      below = last.version;
      const storable = page.filter((manifest) => freshnessPolicy(manifest).storable).map(contentsOf);
      // What everybody can be served from goes before what spares some of them bytes.
      const contents = [...storable.flatMap(([content]) => content ?? []), ...storable.flatMap(([, ...variants]) => variants)];
      const missing = contents.filter(({ sha256 }) => !blobs.has(sha256));
      const workers = Array.from({ length: CONCURRENCY }, () => this.#fill(missing));
      await Promise.all(workers);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async #fill(missing: Content[]): Promise<void> {
    const { budget, blobs, transfers, index, log } = this.#parts;
    for (let content = missing.shift(); content !== undefined && !this.#stopped; content = missing.shift()) {
      if (!budget.hasRoomToRefill(content.size) || !index.needs(content.sha256)) continue;
      try {
        await transfers.ensure(content, { bases: [] });
        // Purged, or overtaken by another version, while it came.
        if (!index.needs(content.sha256)) blobs.delete(content.sha256);
      } catch (err) {
        log.debug({ key: content.key, err }, 'refill of an object failed');
      }
    }
  }

  stop(): void {
    this.#stopped = true;
  }
}
