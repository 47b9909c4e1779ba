import type { RequestOrigin } from '../../domain/catalog-change.ts';
import type { ContentSource } from '../../services/source-port.ts';
import type { Catalog } from '../catalog/catalog.ts';

/** What came of a request to announce a key. */
export type AnnouncedAgain = 'announced' | 'repeated' | 'unknown';

/** Looks at a key where its content comes from, and announces it. */
export interface Announcer {
  /** `repeated`: the request was answered before. `unknown`: there is no such key. @throws {SluiceError} when that cannot be found out now */
  announce(key: string, request: RequestOrigin): Promise<AnnouncedAgain>;
  /** Whether there is such a key. @throws {SluiceError} when that cannot be found out now */
  has(key: string): Promise<boolean>;
}

/** Of an origin that keeps its content itself: the catalog is up to date. */
export class StoreAnnouncer implements Announcer {
  readonly #source: Pick<ContentSource, 'find'>;
  readonly #catalog: Pick<Catalog, 'announceAgain'>;

  constructor(source: Pick<ContentSource, 'find'>, catalog: Pick<Catalog, 'announceAgain'>) {
    this.#source = source;
    this.#catalog = catalog;
  }

  async announce(key: string, request: RequestOrigin): Promise<AnnouncedAgain> {
    if ((await this.#source.find(key)) === undefined) return 'unknown';
    return (await this.#catalog.announceAgain(key, request)) === undefined ? 'repeated' : 'announced';
  }

  async has(key: string): Promise<boolean> {
    return (await this.#source.find(key)) !== undefined;
  }
}
