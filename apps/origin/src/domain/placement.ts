import { isPlacedIn } from '@sluice/contracts';

/** Every region in which a key has been since the feed knows it; `*` is everywhere. Tells who must be told that it is no longer there. */
export type EverRegions = readonly string[] | '*';

/** More regions than this are remembered as "everywhere": a superfluous removal harms nobody. */
export const EVER_REGIONS_MAX = 256;

/** `ever` after one more placement (`regions`; empty = everywhere). */
export function addPlacement(ever: EverRegions, regions: readonly string[]): EverRegions {
  if (ever === '*' || regions.length === 0) return '*';
  const union = [...new Set([...ever, ...regions])].sort();
  return union.length > EVER_REGIONS_MAX ? '*' : union;
}

/** Whether an edge of `region` may hold a key that is not placed there any more. */
export function hasLeft(ever: EverRegions, regions: readonly string[], region: string): boolean {
  return !isPlacedIn(regions, region) && (ever === '*' || ever.includes(region));
}
