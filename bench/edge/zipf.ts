/** What visitors ask for: few objects often, most of them rarely (Breslau et al., Web caching and Zipf-like distributions, INFOCOM 1999). */

/** Numbers from 0 up to 1, the same ones for the same seed (mulberry32, https://gist.github.com/tommyettinger/46a874533244883189143505d203312c). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Draws ranks from 0 on, below `objects`; rank r comes with a frequency of `1 / (r + 1) ** exponent`. */
export function zipfRanks(objects: number, exponent: number, random: () => number): () => number {
  const cumulative = new Float64Array(objects);
  let total = 0;
  for (let rank = 0; rank < objects; rank += 1) {
    total += 1 / (rank + 1) ** exponent;
    cumulative[rank] = total;
  }
  return () => {
    const at = random() * total;
    let [low, high] = [0, objects - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((cumulative[middle] as number) <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}
