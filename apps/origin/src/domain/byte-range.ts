import parseRange from 'range-parser';

/** A part of a representation: first and last byte, both included. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * The one range that a Range header (RFC 9110 §14.2) asks for. Undefined when the header is malformed, of another unit or asks for several
 * ranges: a server may then send the whole.
 */
export function selectRange(header: string, sizeBytes: number): ByteRange | 'unsatisfiable' | undefined {
  const ranges = parseRange(sizeBytes, header);
  if (ranges === -1) return 'unsatisfiable';
  if (ranges === -2 || ranges.type !== 'bytes' || ranges.length !== 1) return undefined;
  return ranges[0];
}
