/**
 * The next version: the clock in µs, or one more than the last where the clock stands still or went back. So versions only grow, and
 * need no memory but the last one (DESIGN §2).
 */
export function mintVersion(nowMs: number, lastVersion: number): number {
  return Math.max(Math.floor(nowMs) * 1000, lastVersion + 1);
}
