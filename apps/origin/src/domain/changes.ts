/** The feed of `origin.changes`: what one entry of the catalog means for one region, and where a reader can go on. */
import { type Change, type InvalidationMode, isPlacedIn, type Manifest, type PreviousVersion, type Selector } from '@sluice/contracts';
import { type EverRegions, hasLeft } from './placement.ts';

/** The newest state of one key, or one invalidation, at its place in the order of versions. */
export type FeedEntry =
  | { readonly kind: 'object'; readonly manifest: Manifest; readonly previous: PreviousVersion | undefined; readonly ever: EverRegions }
  | { readonly kind: 'tombstone'; readonly key: string; readonly version: number }
  | { readonly kind: 'invalidation'; readonly version: number; readonly selector: Selector; readonly mode: InvalidationMode };

/** What an entry says to an edge of `region`; undefined when it does not concern it. */
export function changeFor(entry: FeedEntry, region: string): Change | undefined {
  switch (entry.kind) {
    case 'tombstone':
      return { op: 'remove', key: entry.key, version: entry.version, reason: 'deleted' };
    case 'invalidation':
      return { op: 'invalidate', ...entry.selector, version: entry.version, mode: entry.mode };
    case 'object': {
      const { manifest, previous, ever } = entry;
      if (isPlacedIn(manifest.regions, region)) return { op: 'store', manifest, ...(previous === undefined ? {} : { previous }) };
      if (!hasLeft(ever, manifest.regions, region)) return undefined;
      return { op: 'remove', key: manifest.key, version: manifest.version, reason: 'region' };
    }
  }
}

/** Where the catalog stands, for {@link mustReset}. */
export interface FeedState {
  readonly catalogId: string;
  readonly lastVersion: number;
  /** Removals and invalidations up to this version may have been forgotten. */
  readonly horizon: number;
}

/**
 * Whether a reader at `since` has to start over: its place is one of another catalog, is ahead of this one (a restored backup), or lies before
 * something that was forgotten. `listing`: it lists everything since the horizon was there; what was forgotten before does not concern it.
 */
export function mustReset(state: FeedState, since: number, catalogId: string | undefined, listing: number | undefined): boolean {
  if (since === 0) return false;
  if (catalogId !== state.catalogId || since > state.lastVersion) return true;
  return since < state.horizon && (listing === undefined || listing < state.horizon);
}
