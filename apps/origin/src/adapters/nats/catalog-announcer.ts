import type { Catalog, RequestOrigin } from '../catalog/catalog.ts';

/** What came of a request to announce a key. */
export type AnnouncedAgain = 'announced' | 'repeated' | 'unknown';

/** Looks at a key where its content comes from, and announces it. */
export interface Announcer {
  /** `repeated`: the request was answered before. `unknown`: there is no such key. @throws {SluiceError} when that cannot be found out now */
  announce(key: string, request: RequestOrigin): Promise<AnnouncedAgain>;
}

/** Of an origin that keeps its content itself: the catalog is where it comes from. */
export class CatalogAnnouncer implements Announcer {
  readonly #catalog: Pick<Catalog, 'find' | 'announceAgain'>;

  constructor(catalog: Pick<Catalog, 'find' | 'announceAgain'>) {
    this.#catalog = catalog;
  }

  async announce(key: string, request: RequestOrigin): Promise<AnnouncedAgain> {
    if (this.#catalog.find(key) === undefined) return 'unknown';
    return (await this.#catalog.announceAgain(key, request)) === undefined ? 'repeated' : 'announced';
  }
}
