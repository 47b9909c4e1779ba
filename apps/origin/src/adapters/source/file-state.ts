/** Which state of a file this is, told from its metadata alone. */
import type { BigIntStats } from 'node:fs';

/**
 * Equal ones mean equal bytes, once a file has settled: whatever writes into it changes ctime, which no program can set. Two writes within one tick of the
 * kernel's clock (1 to 10 ms) may leave the same stamp; a state is only told when its stamp is older than that, see {@link isSettled}.
 */
export function stateOf({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].map((part) => part.toString(36)).join('-');
}

/** Whether a file has been left alone for long enough. Its mtime says nothing about that: rsync and tar set it to what it was elsewhere. */
export function isSettled({ ctimeNs }: BigIntStats, nowMs: number, settleMs: number): boolean {
  return nowMs - Number(ctimeNs / 1_000_000n) >= settleMs;
}

/** The directory itself, whatever is in it. */
export function placeOf({ dev, ino }: BigIntStats): string {
  return `${dev}-${ino}`;
}

const LATEST_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** RFC 3339; a stamp that has no such form comes as the nearest that has. */
export function modifiedAt({ mtimeNs }: BigIntStats): string {
  return new Date(Math.min(Math.max(Number(mtimeNs / 1_000_000n), 0), LATEST_MS)).toISOString();
}
