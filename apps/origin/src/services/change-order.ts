import type { CatalogChange } from '../domain/catalog-change.ts';

/** Gives the changes of a catalog that several origins share their places, one after the other. */
export interface ChangeOrder {
  /**
   * `decide` looks at the catalog as it is and says what is to become of it; undefined: nothing. When another change got the place first, it decides again. Resolves when this
   * origin's catalog has the change. @throws what `decide` throws, and {@link SluiceError} when the order cannot be reached: then nothing has happened, or it happens later
   */
  place(decide: () => CatalogChange | undefined): Promise<CatalogChange | undefined>;
}
