/** Range requests: RFC 9110 §14. */
import { listMembers } from './fields.ts';

/** First and last byte, both included. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** Ranges that one request may name. More are no reader's need but an attempt to be sent small pieces at great expense (§14.2, §17.15). */
export const RANGES_MAX = 32;
/** A gap between two ranges that costs less to send than the head of another part (§15.3.7.2). */
const GAP_MAX_BYTES = 128;

const BYTES_UNIT = /^\s*bytes\s*=/i;
const RANGE_SPEC = /^(?:(\d+)-(\d*)|-(\d+))$/;

/**
 * The parts of a representation of `sizeBytes` that a Range field selects, in its order, ranges that overlap or nearly touch made one.
 * - undefined: the field is malformed, of another unit or names too many ranges; it is ignored and the whole is sent (§14.2).
 * - 'unsatisfiable': no range overlaps the representation: 416.
 */
export function selectRanges(field: string, sizeBytes: number): readonly ByteRange[] | 'unsatisfiable' | undefined {
  if (!BYTES_UNIT.test(field)) return undefined;
  const specs = listMembers(field.slice(field.indexOf('=') + 1));
  if (specs.length === 0 || specs.length > RANGES_MAX) return undefined;
  const selected: ByteRange[] = [];
  for (const spec of specs) {
    const range = parseRange(spec, sizeBytes);
    if (range === undefined) return undefined;
    if (range.start < sizeBytes && range.start <= range.end) selected.push(range);
  }
  return selected.length === 0 ? 'unsatisfiable' : coalesced(selected);
}

/** The bytes that a range-spec names, cut at the end of the representation; undefined when it is none. */
function parseRange(spec: string, sizeBytes: number): ByteRange | undefined {
  const [matched, first, last, suffix] = RANGE_SPEC.exec(spec) ?? [];
  if (matched === undefined) return undefined;
  const final = sizeBytes - 1;
  if (suffix !== undefined) return { start: Number(suffix) === 0 ? sizeBytes : Math.max(0, sizeBytes - Number(suffix)), end: final };
  if (last === '' || last === undefined) return { start: Number(first), end: final };
  // §14.1.1: an int-range whose last position is less than its first is invalid, and with it the whole field.
  return Number(last) < Number(first) ? undefined : { start: Number(first), end: Math.min(Number(last), final) };
}

/** Each range at the place of its first part. */
function coalesced(ranges: readonly ByteRange[]): ByteRange[] {
  const merged: { start: number; end: number; place: number }[] = [];
  const inOrder = ranges.map((range, place) => ({ ...range, place })).sort((a, b) => a.start - b.start);
  for (const range of inOrder) {
    const last = merged.at(-1);
    if (last === undefined || range.start > last.end + 1 + GAP_MAX_BYTES) merged.push(range);
    else {
      last.end = Math.max(last.end, range.end);
      last.place = Math.min(last.place, range.place);
    }
  }
  return merged.sort((a, b) => a.place - b.place).map(({ start, end }) => ({ start, end }));
}
