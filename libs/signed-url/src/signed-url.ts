/**
 * A signature in the query of a URL: HMAC-SHA-256 (RFC 2104) over what it grants, under one of a site's secrets. It names the site, so that a link of one site opens no
 * other, and either one path or all paths below a directory.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

export interface SigningKey {
  /** Shown in the URL, so that keys can be exchanged while links of the old one are still in use. */
  readonly id: string;
  readonly secret: Uint8Array;
}

/** What a signature grants: one path, or every path that begins with a directory. Decoded, with the slash at the beginning. */
export type Scope = { readonly kind: 'path'; readonly path: string } | { readonly kind: 'prefix'; readonly prefix: string };

/** As long as what HMAC-SHA-256 makes of it: shorter secrets weaken it (RFC 2104 §3). */
export const SECRET_MIN_BYTES = 32;
/** Keys of one site at a time: the current one, and the one before while its links last. */
export const KEYS_MAX = 2;

const PARAMETERS = { expires: 'sluice-expires', key: 'sluice-key', prefix: 'sluice-prefix', signature: 'sluice-signature' } as const;
/** Of which nobody else may see the values, in lower case: ours, those of presigned URLs of S3 (Signature Version 4 and 2), which also come to an edge by mistake, and RFC 6750 §2.3. */
const SECRET_PARAMETERS: ReadonlySet<string> = new Set([
  PARAMETERS.signature,
  ...['x-amz-signature', 'x-amz-security-token', 'signature', 'access_token'],
]);
/** True of every query with such a parameter, and of some others: by the name as it is, or by a character that may be a part of it in percent-encoding. */
const MAY_HAVE_SECRET = /signature|token|%/i;
/** Before the host of an absolute URL (RFC 3986 §3.2.1). */
const USER_INFORMATION = /^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i;
const BASE64URL_OF_32_BYTES = /^[A-Za-z0-9_-]{43}$/;

/**
 * The query that opens `scope` of `site` until `expiresAtSeconds` (since the epoch), without its question mark.
 * @throws {RangeError} when the secret is too short, or a prefix is no directory
 */
export function signedQuery(site: string, scope: Scope, expiresAtSeconds: number, key: SigningKey): string {
  if (key.secret.byteLength < SECRET_MIN_BYTES) throw new RangeError(`a secret has at least ${SECRET_MIN_BYTES} bytes`);
  if (scope.kind === 'prefix' && !scope.prefix.endsWith('/')) throw new RangeError('a prefix ends with a slash');
  const query = new URLSearchParams({ [PARAMETERS.expires]: String(expiresAtSeconds), [PARAMETERS.key]: key.id });
  if (scope.kind === 'prefix') query.set(PARAMETERS.prefix, scope.prefix);
  query.set(PARAMETERS.signature, signatureOf(site, scope, expiresAtSeconds, key).toString('base64url'));
  return query.toString();
}

/** Whether a request may be answered, and else why not. */
export type Admission = 'granted' | 'unsigned' | 'expired' | 'refused';

/**
 * Checks the query of a request for `path` of `site` (decoded, with the slash at its beginning). The comparison takes the same time wherever a signature
 * begins to be wrong.
 */
export function checkSignedUrl(site: string, path: string, query: string, keys: readonly SigningKey[], nowSeconds: number): Admission {
  const parameters = new URLSearchParams(query);
  if (!parameters.has(PARAMETERS.signature)) return 'unsigned';
  const [expires, keyId, signature] = [PARAMETERS.expires, PARAMETERS.key, PARAMETERS.signature].map((name) => onlyValue(parameters, name));
  const key = keys.find(({ id }) => id === keyId);
  const scope = scopeOf(parameters, path);
  if (key === undefined || scope === undefined || !/^\d{1,15}$/.test(expires ?? '') || !BASE64URL_OF_32_BYTES.test(signature ?? ''))
    return 'refused';
  const expected = signatureOf(site, scope, Number(expires), key);
  // 43 characters of base64url are at most 33 bytes, of which the last can only be padding bits.
  const given = Buffer.from(signature ?? '', 'base64url');
  if (given.byteLength !== expected.byteLength || !timingSafeEqual(given, expected)) return 'refused';
  return nowSeconds < Number(expires) ? 'granted' : 'expired';
}

/**
 * A URL, or the target of a request, as it may be shown to whoever must not be able to use it: the value of each signature and token in its query is `redacted`, and it names no user. Names are read
 * as {@link checkSignedUrl} reads them, so that one with percent-encoding is found too.
 */
export function redactSignature(url: string): string {
  const bare = url.startsWith('/') ? url : url.replace(USER_INFORMATION, '$1');
  const queryAt = bare.indexOf('?') + 1;
  if (queryAt === 0 || !MAY_HAVE_SECRET.test(bare)) return bare;
  const shown = bare
    .slice(queryAt)
    .split('&')
    .map((parameter) => {
      const [name = ''] = parameter.split('=', 1);
      const [read = ''] = new URLSearchParams(name).keys();
      return SECRET_PARAMETERS.has(read.toLowerCase()) ? `${name}=redacted` : parameter;
    });
  return bare.slice(0, queryAt) + shown.join('&');
}

/** The scope that a request claims; undefined when it does not cover the path it is for. */
function scopeOf(parameters: URLSearchParams, path: string): Scope | undefined {
  if (!parameters.has(PARAMETERS.prefix)) return { kind: 'path', path };
  const prefix = onlyValue(parameters, PARAMETERS.prefix);
  return prefix?.endsWith('/') && path.startsWith(prefix) ? { kind: 'prefix', prefix } : undefined;
}

/** A parameter that comes twice is none: two readers could each take another one. */
function onlyValue(parameters: URLSearchParams, name: string): string | undefined {
  const values = parameters.getAll(name);
  return values.length === 1 ? values[0] : undefined;
}

/** Each field on a line of its own. None of them can have a line break: a site's name and a path are checked before, the rest are numbers and fixed words. */
function signatureOf(site: string, scope: Scope, expiresAtSeconds: number, { secret }: SigningKey): Buffer {
  const covered = scope.kind === 'path' ? scope.path : scope.prefix;
  return createHmac('sha256', secret).update(['sluice-url-1', site, scope.kind, covered, expiresAtSeconds].join('\n')).digest();
}
