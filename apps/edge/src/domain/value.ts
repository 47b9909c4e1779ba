/**
 * Which bytes are worth their place on the disk: GreedyDual-Size with Frequency, Cherkasova, "Improving WWW Proxies Performance with
 * Greedy-Dual-Size-Frequency Caching Policy", HPL-98-69R1, 1998. A blob's rank is `inflation + uses × cost / size`; the lowest rank goes
 * first, and the inflation rises to the rank of what went last, so that old popularity fades.
 */

/** Bytes that one request to the origin brings. */
const REQUEST_BYTES = 1024 * 1024;

/** What bringing a blob back costs: one request to resolve, and one for each range. */
export function refetchCost(sizeBytes: number): number {
  return 1 + Math.max(1, Math.ceil(sizeBytes / REQUEST_BYTES));
}

/** The rank of a blob used `uses` times, at the time when `inflation` is the rank of the last one that went. */
export function rank(inflation: number, uses: number, sizeBytes: number): number {
  return inflation + (uses * refetchCost(sizeBytes)) / Math.max(sizeBytes, 1);
}

/**
 * Whether a rank has grown enough to be written again: by half of what its uses are worth by now. So among blobs the order is right to within a factor of two of
 * their uses, and one that is used over and over is written each time its uses have doubled, or the inflation has overtaken half of them, instead of each time it is used.
 */
export function isOutdated(written: number, now: number, inflation: number): boolean {
  return now - written >= (now - inflation) / 2;
}

/** The rank of bytes that no manifest needs any more: they go before all others. */
export const UNNEEDED_RANK = -1;
