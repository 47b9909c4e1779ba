/** `multipart/byteranges`: RFC 9110 §14.6. */
import type { ByteRange } from './byte-ranges.ts';

/** A body of several ranges: what goes before each of them, and what goes after the last. */
export interface MultipartRanges {
  readonly contentType: string;
  readonly parts: readonly { readonly head: string; readonly range: ByteRange }[];
  readonly tail: string;
  /** Bytes of the whole body. */
  readonly contentLength: number;
}

/** Lays out the body for ranges of a representation. `boundary` must not occur in the content; a random one does not (RFC 2046 §5.1.1). */
export function layOutRanges(ranges: readonly ByteRange[], sizeBytes: number, contentType: string, boundary: string): MultipartRanges {
  const parts = ranges.map((range, index) => ({
    head: `${index === 0 ? '' : '\r\n'}--${boundary}\r\nContent-Type: ${contentType}\r\nContent-Range: ${contentRange(range, sizeBytes)}\r\n\r\n`,
    range,
  }));
  const tail = `\r\n--${boundary}--\r\n`;
  // A head is ASCII or Latin-1, as fields are: one byte for each character.
  const contentLength = parts.reduce((sum, { head, range }) => sum + head.length + range.end - range.start + 1, tail.length);
  return { contentType: `multipart/byteranges; boundary=${boundary}`, parts, tail, contentLength };
}

/** `bytes 0-499/1234`: RFC 9110 §14.4. */
export function contentRange({ start, end }: ByteRange, sizeBytes: number): string {
  return `bytes ${start}-${end}/${sizeBytes}`;
}

/** `bytes *\/1234`, for a 416 (RFC 9110 §15.5.17). */
export function unsatisfiedRange(sizeBytes: number): string {
  return `bytes */${sizeBytes}`;
}
