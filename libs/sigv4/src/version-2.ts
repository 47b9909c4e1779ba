/** Signature Version 2, as links for reading an object have it. https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html */
import { createHmac } from 'node:crypto';

export interface SignedPartsV2 {
  readonly method: string;
  /** With the bucket in it, whatever host was asked, and encoded as it was sent: other than in Version 4, `%c3` and `%C3` are signed as two things. */
  readonly path: string;
  /** Decoded, in any order, each at most once. Those that are not signed are left out. */
  readonly query: Iterable<readonly [name: string, value: string]>;
  /** All lines of the fields, by name in lower case; a character is a byte. */
  readonly headers: Readonly<Record<string, readonly string[] | undefined>>;
  /** As in the link. */
  readonly expires: string;
}

/** What of the query is signed when an object is read. Of the other subresources that are, none reads one. */
export const SIGNED_PARAMETERS_V2: ReadonlySet<string> = new Set([
  'partNumber',
  'versionId',
  'response-cache-control',
  'response-content-disposition',
  'response-content-encoding',
  'response-content-language',
  'response-content-type',
  'response-expires',
]);

const SIGNED_NAMES = [...SIGNED_PARAMETERS_V2].join('|');
const FURTHER_PARAMETER = new RegExp(`&(?:${SIGNED_NAMES})(?:[=&]|$)`);

/** A character of it is a byte, as in the canonical request of Version 4. */
export function stringToSignV2({ method, path, query, headers, expires }: SignedPartsV2): string {
  const fields = Object.keys(headers).filter((name) => name.startsWith('x-amz-'));
  const lines = fields.sort().map((name) => `${name}:${joined(headers[name])}\n`);
  const resource = lines.join('') + path + canonicalQuery(query);
  return [method, joined(headers['content-md5']), joined(headers['content-type']), expires, resource].join('\n');
}

/** In base64. `text`: a character is a byte. */
export function signatureV2(secret: string, text: string): string {
  return createHmac('sha1', secret).update(text, 'latin1').digest('base64');
}

/** Whether a value is signed in the same way as another one and a further parameter are: values are not encoded in what is signed. */
export function isAmbiguousV2(value: string): boolean {
  return FURTHER_PARAMETER.test(value);
}

function canonicalQuery(query: SignedPartsV2['query']): string {
  const signed = [...query].filter(([name]) => SIGNED_PARAMETERS_V2.has(name)).sort(([a], [b]) => (a < b ? -1 : 1));
  if (signed.length === 0) return '';
  const text = signed.map(([name, value]) => (value === '' ? name : `${name}=${value}`)).join('&');
  return `?${Buffer.from(text).toString('latin1')}`;
}

function joined(lines: readonly string[] = []): string {
  return lines.map((line) => line.replace(/^[\t ]+|[\t ]+$/g, '')).join(',');
}
