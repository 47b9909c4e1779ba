/**
 * The canonical form of a request, of which the signature is made. S3's variant: the path is encoded once and not normalised.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html#canonical-request
 */

/** `x-amz-content-sha256` of a request whose body is not signed. */
export const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';
/** Lower-case hexadecimal SHA-256 of no bytes. */
export const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

export interface SignedParts {
  readonly method: string;
  /** Decoded, with the slash at its beginning. */
  readonly path: string;
  /** Decoded, in any order. The parameter of the signature itself is not part of it. */
  readonly query: Iterable<readonly [name: string, value: string]>;
  /** All lines of the fields, by name in lower case; a character is a byte. */
  readonly headers: Readonly<Record<string, readonly string[] | undefined>>;
  /** The names that are signed, in lower case, as the signer ordered them. */
  readonly signedHeaders: readonly string[];
  /** As in `x-amz-content-sha256`. */
  readonly payloadHash: string;
}

/** A character of it is a byte: header fields may have other bytes than ASCII. */
export function canonicalRequest({ method, path, query, headers, signedHeaders, payloadHash }: SignedParts): string {
  const fields = signedHeaders.map((name) => `${name}:${canonicalValue(headers[name] ?? [])}\n`).join('');
  return [method, uriEncode(path).replaceAll('%2F', '/'), canonicalQuery(query), fields, signedHeaders.join(';'), payloadHash].join('\n');
}

/** Percent-encodes everything but the unreserved characters (RFC 3986 §2.3). */
export function uriEncode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

function canonicalQuery(query: SignedParts['query']): string {
  const encoded = [...query].map(([name, value]) => [uriEncode(name), uriEncode(value)] as const);
  encoded.sort(([nameA, valueA], [nameB, valueB]) => compare(nameA, nameB) || compare(valueA, valueB));
  return encoded.map(([name, value]) => `${name}=${value}`).join('&');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

/** White space is that of HTTP alone: other bytes may be parts of a character. */
function canonicalValue(lines: readonly string[]): string {
  return lines.map((line) => line.replace(/[\t ]+/g, ' ').replace(/^ | $/g, '')).join(',');
}
