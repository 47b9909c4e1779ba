import { fnv1a } from '../../apps/edge/src/domain/fnv.ts';
import { seededRandom } from '../../bench/edge/zipf.ts';

/** Chance that a seed decides: the same seed gives the same numbers on every machine. */
export interface Random {
  /** From 0 up to 1, exclusive. */
  fraction(): number;
  /** A whole number from `min` to `max`, inclusive. */
  integer(min: number, max: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  /** One of a list that is not empty. */
  pick<Item>(items: readonly Item[]): Item;
  /** A name, the heavier the likelier: `weighted({ often: 5, seldom: 1 })`. */
  weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name;
  /** Chance of its own, which this name and the seed decide: what one part draws changes nothing for another. */
  fork(name: string): Random;
}

/** 32 bits of state, from a hash of the seed, are plenty for a plan. */
export function randomOf(seed: string | number): Random {
  const name = String(seed);
  const fraction = seededRandom(fnv1a(name));
  const integer = (min: number, max: number): number => min + Math.floor(fraction() * (max - min + 1));
  return {
    fraction,
    integer,
    chance: (probability) => fraction() < probability,
    pick: (items) => items[integer(0, items.length - 1)] as (typeof items)[number],
    weighted<Name extends string>(weights: Readonly<Record<Name, number>>): Name {
      const entries = Object.entries(weights) as [Name, number][];
      let left = fraction() * entries.reduce((sum, [, weight]) => sum + weight, 0);
      const found = entries.find(([, weight]) => {
        left -= weight;
        return left < 0;
      });
      return (found ?? (entries.at(-1) as [Name, number]))[0];
    },
    fork: (child) => randomOf(`${name}/${child}`),
  };
}
