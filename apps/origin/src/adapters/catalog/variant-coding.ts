import type { Variant } from '@sluice/contracts';
import { type Announced, announcing, naming } from '../../domain/catalog-change.ts';
import { namesVariants, wantsVariants } from '../../domain/content-coding.ts';
import type { CatalogChanges } from './catalog-changes.ts';
import type { CatalogCore } from './catalog-core.ts';
import type { WaitingKey } from './variant-table.ts';

/** What the maker of variants tells the catalog. */
export class VariantCoding {
  readonly #core: CatalogCore;
  readonly #changes: CatalogChanges;

  constructor(core: CatalogCore, changes: CatalogChanges) {
    this.#core = core;
    this.#changes = changes;
  }

  /** Notes that a content is about to be coded. False: it is to be left alone. */
  async begin(content: string): Promise<boolean> {
    return this.#core.write(() => this.#core.variants.begin(content));
  }
  /** Its coding has failed, or was given up. */
  async end(content: string): Promise<void> {
    await this.#core.write(() => this.#core.variants.end(content));
  }

  /** Remembers what came of making the variants of a content. False when no object has it any more. */
  async record(content: string, codings: readonly string[], made: readonly Variant[]): Promise<boolean> {
    return this.#core.write(() => this.#core.variants.record(content, codings, made));
  }

  /**
   * Ends a key's waiting. Where its content has variants that its manifest does not name, they are announced as a new version of the same upload: `previous` stays
   * the content before, and the time of the upload stays too. Undefined when there is nothing to announce.
   */
  async announce({ seq, key }: WaitingKey): Promise<Announced | undefined> {
    const { objects, variants, sourced } = this.#core;
    const { isShared } = this.#changes;
    const announced = await this.#changes.ordered(() => {
      // One transaction for both. Where others give the place, this is decided before there is one, and may be decided again.
      if (!isShared) variants.settle(seq);
      const current = objects.find(key);
      if (current === undefined || !wantsVariants(current.manifest, current.manifest.size)) return undefined;
      const made = variants.of(current.manifest.sha256) ?? [];
      if (namesVariants(current.manifest.variants, made)) return undefined;
      // Another origin has made some: whose are announced matters less than that they stay.
      if (isShared && current.manifest.variants !== undefined) return undefined;
      return announcing(current, naming(made), this.#core.stamp(), sourced.find(key));
    });
    if (isShared) await this.#core.write(() => variants.settle(seq));
    return announced;
  }

  /** Making the variants for a key failed: it is tried again after the others, a few times. */
  async postpone({ seq }: WaitingKey): Promise<void> {
    await this.#core.write(() => this.#core.variants.postpone(seq));
  }
}
