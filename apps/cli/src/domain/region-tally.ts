/** How far the edges of each region are, over one event or many. */
import { isConfirmed } from '@sluice/contracts';
import type { DistributionState } from './distribution-state.ts';

export interface RegionCount {
  /** Edges that are to answer, once per event. */
  readonly targets: number;
  /** Those that hold it now. */
  readonly confirmed: number;
  /** Those that were given up. */
  readonly missed: number;
}

type Counts = Map<string, RegionCount>;

/** Sums what is known of each event; a newer state of the same event replaces the older. Holds one small entry per event. */
export class RegionTally {
  readonly #byEvent = new Map<string, Counts>();
  readonly #sums: Counts = new Map();

  update(state: DistributionState): void {
    const counts = countRegions(state);
    for (const [region, count] of this.#byEvent.get(state.id) ?? []) this.#add(region, count, -1);
    for (const [region, count] of counts) this.#add(region, count, 1);
    this.#byEvent.set(state.id, counts);
  }

  #add(region: string, count: RegionCount, sign: 1 | -1): void {
    const sum = this.#sums.get(region) ?? { targets: 0, confirmed: 0, missed: 0 };
    this.#sums.set(region, {
      targets: sum.targets + sign * count.targets,
      confirmed: sum.confirmed + sign * count.confirmed,
      missed: sum.missed + sign * count.missed,
    });
  }

  /** By region, in alphabetical order. */
  get regions(): readonly (readonly [string, RegionCount])[] {
    return [...this.#sums].sort(([a], [b]) => (a < b ? -1 : 1));
  }
}

function countRegions({ edges, pending }: DistributionState): Counts {
  const counts: Counts = new Map();
  const count = (region: string, confirmed: number, missed: number): void => {
    const old = counts.get(region) ?? { targets: 0, confirmed: 0, missed: 0 };
    counts.set(region, { targets: old.targets + 1, confirmed: old.confirmed + confirmed, missed: old.missed + missed });
  };
  for (const { region } of pending) count(region, 0, 0);
  for (const { region, outcome } of edges) count(region, isConfirmed(outcome) ? 1 : 0, isConfirmed(outcome) ? 0 : 1);
  return counts;
}
