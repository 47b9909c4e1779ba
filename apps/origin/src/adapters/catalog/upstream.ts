import { type Manifest, SluiceError } from '@sluice/contracts';
import type { LogFact } from '../../domain/catalog-change.ts';
import type { CatalogChanges } from './catalog-changes.ts';
import type { CatalogCore } from './catalog-core.ts';

/** Where an entry is in the log of a shared catalog, and the one before it that there is. */
export interface PlaceInLog {
  readonly position: number;
  readonly behind: number;
}

/** Where a log begins: its catalog is another one than before. */
export interface LogBeginning {
  readonly catalogId: string;
  readonly position: number;
  /** All versions in it are greater. */
  readonly version: number;
}

/** What the catalog is a copy of: the source whose content it has, and the log that tells several origins of one source of each other's changes. */
export class Upstream {
  readonly #core: CatalogCore;
  readonly #changes: CatalogChanges;

  constructor(core: CatalogCore, changes: CatalogChanges) {
    this.#core = core;
    this.#changes = changes;
  }

  /** Whose content it is. Said once; undefined before. */
  get source(): string | undefined {
    return this.#core.state.source;
  }
  /** Whether everything at the source was in the catalog once: before, what is missing says nothing. */
  get isListed(): boolean {
    return this.#core.state.isListed;
  }
  /** Up to where the log of a shared catalog is in this one. */
  get position(): number {
    return this.#core.state.position;
  }

  async setSource(source: string): Promise<void> {
    await this.#core.write(() => this.#core.state.begin(source));
  }
  /** Everything at the source is in the catalog. */
  async setListed(): Promise<void> {
    await this.#core.write(() => this.#core.state.setListed(true));
  }

  /** The log of a shared catalog says so at `position`; what this catalog has already is passed over. `announce`: whether a change is news, so that its event is sent. */
  async follow(fact: LogFact, { position, behind }: PlaceInLog, announce: boolean): Promise<void> {
    const { state } = this.#core;
    const isEvent = await this.#core.write(() => {
      const reached = state.position;
      if (position <= reached) return false;
      // The one before could not be taken, on a full disk for example: none may be passed over.
      if (reached < behind)
        throw new SluiceError('CATALOG_GAP', `the catalog has the log up to ${reached}, and not up to ${behind}`, { retryable: true });
      state.setPosition(position);
      switch (fact.kind) {
        case 'listed':
          state.setListed(true);
          return false;
        case 'forgotten':
          this.#core.raiseHorizon(fact.version);
          return false;
      }
      this.#changes.apply(fact, { announce });
      if (fact.kind === 'object') this.#noteVariants(fact.manifest);
      return announce;
    });
    if (isEvent) this.#changes.tellOfEvent();
  }

  /** Another origin may have made them: what they are is known, and they are made again here when somebody asks. */
  #noteVariants({ key, sha256, variants: named = [] }: Manifest): void {
    const { variants } = this.#core;
    if (named.length === 0) return;
    variants.settleKey(key);
    if (variants.of(sha256) !== undefined) return;
    const codings = named.map(({ coding }) => coding);
    variants.record(sha256, codings, named);
  }

  /** Another log than before: the catalog is what that one says behind `position`, with versions greater than `version`. What is known of bytes stays known. */
  async beginAnew({ catalogId, position, version }: LogBeginning): Promise<void> {
    const { sourced, state } = this.#core;
    await this.#core.beginAnew(catalogId, version, () => {
      sourced.unsay();
      state.setListed(false);
      state.setPosition(position);
    });
  }
}
