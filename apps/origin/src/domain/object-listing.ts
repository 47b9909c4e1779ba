/**
 * What a listing of a bucket contains and in what order: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html. Its entries are the
 * keys that begin with the prefix, and in place of all keys that go on with the same text up to the delimiter one common prefix. They are in the order
 * of their UTF-8 bytes; a listing after some text has the entries that are greater than that text, common prefixes as a whole.
 */

/** Keys and prefixes of a listing are without the bucket. */
export interface ListingScope {
  readonly bucket: string;
  readonly prefix: string;
  /** Of any length. */
  readonly delimiter?: string | undefined;
}

export interface ListedObject {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** MD5 in hexadecimal. */
  readonly etag: string;
  /** RFC 3339. */
  readonly uploadedAt: string;
}

export type ListingEntry =
  | { readonly kind: 'object'; readonly object: ListedObject }
  | { readonly kind: 'prefix'; readonly prefix: string };

/** The place of an entry in its listing. */
export function nameOf(entry: ListingEntry): string {
  return entry.kind === 'object' ? entry.object.key : entry.prefix;
}

/** The common prefix under which a listing has `key`; undefined when it has the key itself. `key` begins with the scope's prefix. */
export function commonPrefix({ prefix, delimiter }: Pick<ListingScope, 'prefix' | 'delimiter'>, key: string): string | undefined {
  const at = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length);
  return delimiter === undefined || at === -1 ? undefined : key.slice(0, at + delimiter.length);
}

/** Greater than every byte of UTF-8. */
const BEYOND = 0xff;
/** Less than every byte of a key. */
const NOTHING = 0x00;

/** Texts as UTF-8 bytes: from `from` on, and before `to`. */
export interface TextRange {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
}

/** All texts that begin with `prefix`. */
export function prefixRange(prefix: string): TextRange {
  const from = utf8(prefix);
  return { from, to: followed(from, BEYOND) };
}

/** The content keys among which the entries after `after` are. */
export function listingRange(scope: ListingScope, after: string | undefined): TextRange {
  const { bucket, prefix } = scope;
  const { from: whole, to } = prefixRange(`${bucket}/${prefix}`);
  if (after === undefined) return { from: whole, to };
  const passed = after.startsWith(prefix) ? commonPrefix(scope, after) : undefined;
  const from = passed === undefined ? followed(utf8(`${bucket}/${after}`), NOTHING) : followed(utf8(`${bucket}/${passed}`), BEYOND);
  return { from: compareBytes(from, whole) > 0 ? from : whole, to };
}

const encoder = new TextEncoder();

function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

function followed(bytes: Uint8Array, byte: number): Uint8Array {
  const longer = new Uint8Array(bytes.byteLength + 1);
  longer.set(bytes);
  longer[bytes.byteLength] = byte;
  return longer;
}

/** Negative, 0 or positive, as of the first byte in which they differ. */
function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.byteLength, b.byteLength);
  for (let at = 0; at < length; at += 1) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.byteLength - b.byteLength;
}
