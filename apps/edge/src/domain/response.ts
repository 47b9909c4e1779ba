/** The status and fields of a response for a manifest: validators, conditions, ranges. Pure; the bytes are another matter. */
import type { Manifest } from '@sluice/contracts';
import fresh from 'fresh';
import parseRange from 'range-parser';

/** Request fields that decide about a response, by lower-case name. */
export type RequestFields = Readonly<Record<string, string | string[] | undefined>>;

export interface ResponsePlan {
  readonly status: 200 | 206 | 304 | 412 | 416;
  /** Name, value, name, value … as `writeHead` takes them. */
  readonly fields: string[];
  /** First and last byte of the body, both included. Absent: no body. */
  readonly body: { readonly start: number; readonly end: number } | undefined;
}

/** The strong validator of a version's bytes (RFC 9110 §8.8.3): its checksum. */
export function entityTag(manifest: Manifest): string {
  return `"${manifest.sha256}"`;
}

/** `Last-Modified` in IMF-fixdate (RFC 9110 §5.6.7); the resolution is a second. */
export function lastModified(manifest: Manifest): string {
  return new Date(manifest.uploadedAt).toUTCString();
}

/**
 * Plans the response to GET or HEAD: preconditions in the order of RFC 9110 §13.2.2, then a single byte range (§14.2). A range set with
 * several ranges is answered whole, which §14.2 allows.
 */
export function planResponse(manifest: Manifest, request: RequestFields, extraFields: readonly string[], method = 'GET'): ResponsePlan {
  const validators = ['ETag', entityTag(manifest), 'Last-Modified', lastModified(manifest)];
  const caching = [
    ...validators,
    ...optional('Cache-Control', manifest.cacheControl),
    ...optional('Expires', manifest.expires),
    ...extraFields,
  ];
  if (!preconditionHolds(manifest, request))
    return { status: 412, fields: [...validators, ...extraFields, 'Content-Length', '0'], body: undefined };
  if (isNotModified(manifest, request)) return { status: 304, fields: caching, body: undefined };

  const representation = [
    ...caching,
    'Content-Type',
    manifest.contentType,
    ...optional('Content-Encoding', manifest.contentEncoding),
    ...optional('Content-Language', manifest.contentLanguage),
    ...optional('Content-Disposition', manifest.contentDisposition),
    ...Object.entries(manifest.meta).flatMap(([name, value]) => [`x-amz-meta-${name}`, value]),
    'Accept-Ranges',
    'bytes',
  ];
  // RFC 9110 §14.2: Range is defined for GET only.
  const range = method === 'GET' ? selectRange(manifest, request) : undefined;
  if (range === 'unsatisfiable') {
    return { status: 416, fields: [...caching, 'Content-Range', `bytes */${manifest.size}`, 'Content-Length', '0'], body: undefined };
  }
  if (range !== undefined) {
    const { start, end } = range;
    const fields = [
      ...representation,
      'Content-Range',
      `bytes ${start}-${end}/${manifest.size}`,
      'Content-Length',
      String(end - start + 1),
    ];
    return { status: 206, fields, body: range };
  }
  const body = manifest.size === 0 ? undefined : { start: 0, end: manifest.size - 1 };
  return { status: 200, fields: [...representation, 'Content-Length', String(manifest.size)], body };
}

function optional(name: string, value: string | undefined): string[] {
  return value === undefined ? [] : [name, value];
}

function field(request: RequestFields, name: string): string | undefined {
  const value = request[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

/** `If-Match` (strong comparison) and, without it, `If-Unmodified-Since`: RFC 9110 §13.1.1, §13.1.4. */
function preconditionHolds(manifest: Manifest, request: RequestFields): boolean {
  const ifMatch = field(request, 'if-match');
  if (ifMatch !== undefined) return ifMatch.trim() === '*' || entityTags(ifMatch).includes(entityTag(manifest));
  const since = parseDate(field(request, 'if-unmodified-since'));
  return since === undefined || modifiedAtMs(manifest) <= since;
}

/** `If-None-Match` and, without it, `If-Modified-Since`: RFC 9110 §13.1.2, §13.1.3. Whether the client's copy is current. */
function isNotModified(manifest: Manifest, request: RequestFields): boolean {
  const ifNoneMatch = field(request, 'if-none-match');
  const ifModifiedSince = field(request, 'if-modified-since');
  if (ifNoneMatch === undefined && ifModifiedSince === undefined) return false;
  // An edge does not forward a client's Cache-Control: what it holds is confirmed by the origin itself.
  return fresh(
    { ...(ifNoneMatch === undefined ? { 'if-modified-since': ifModifiedSince } : { 'if-none-match': ifNoneMatch }) },
    { etag: entityTag(manifest), 'last-modified': lastModified(manifest) },
  );
}

/** The one range to send, undefined for all of it. `If-Range` takes only a strong match (RFC 9110 §13.1.5). */
function selectRange(manifest: Manifest, request: RequestFields): { start: number; end: number } | 'unsatisfiable' | undefined {
  const header = field(request, 'range');
  if (header === undefined || !/^bytes\s*=/i.test(header)) return undefined;
  const ifRange = field(request, 'if-range');
  if (ifRange !== undefined && ifRange !== entityTag(manifest) && ifRange !== lastModified(manifest)) return undefined;
  const ranges = parseRange(manifest.size, header);
  if (ranges === -2) return undefined;
  if (ranges === -1) return 'unsatisfiable';
  const [range] = ranges;
  return ranges.length === 1 && range !== undefined ? { start: range.start, end: range.end } : undefined;
}

/** The members of an entity-tag list, weak ones left out: they never match strongly. */
function entityTags(list: string): string[] {
  return [...list.matchAll(/(W\/)?("[^"]*")/g)].flatMap(([, weak, tag]) => (weak === undefined && tag !== undefined ? [tag] : []));
}

function parseDate(value: string | undefined): number | undefined {
  const parsed = value === undefined ? Number.NaN : Date.parse(value);
  return Number.isNaN(parsed) ? undefined : parsed;
}

function modifiedAtMs(manifest: Manifest): number {
  return Math.floor(Date.parse(manifest.uploadedAt) / 1000) * 1000;
}
