/** Which blocks of a blob hold which bytes, and whether an answer is of the whole of it. */
import type { ByteRange } from '@sluice/http-semantics';

/** Where block number `index` is; like those of a range, `end` is its last byte. */
export function blockRange(index: number, blockBytes: number, sizeBytes: number): ByteRange {
  return { start: index * blockBytes, end: Math.min((index + 1) * blockBytes, sizeBytes) - 1 };
}

/** Whether an answer of these ranges begins at the first byte and ends at the last. */
export function isWhole([first, another]: readonly ByteRange[], sizeBytes: number): boolean {
  return first !== undefined && another === undefined && first.start === 0 && first.end === sizeBytes - 1;
}

/** Whether any of the ranges has bytes of `of`. */
export function overlaps(ranges: readonly ByteRange[], of: ByteRange): boolean {
  return ranges.some(({ start, end }) => start <= of.end && end >= of.start);
}
