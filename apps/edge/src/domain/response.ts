/** The status, fields and body of a response for a manifest: validators, conditions, ranges. Pure; the bytes are another matter. */
import type { Manifest } from '@sluice/contracts';
import {
  type ByteRange,
  contentRange,
  evaluatePreconditions,
  type Fields,
  fieldOf,
  formatHttpDate,
  layOutRanges,
  rangeApplies,
  selectRanges,
  unsatisfiedRange,
  type Validators,
} from '@sluice/http-semantics';
import { isNegotiated } from './content-coding.ts';
import { perManifest } from './per-manifest.ts';

/** What a response is planned for. */
export interface ReadRequest {
  readonly method: 'GET' | 'HEAD';
  readonly fields: Fields;
}

/** A piece of a body: text of the response's own, or bytes of the representation. */
export type BodyPiece = string | ByteRange;

export interface ResponsePlan {
  readonly status: 200 | 206 | 304 | 404 | 412 | 416;
  /** Name, value, name, value … as `writeHead` takes them. */
  readonly fields: string[];
  /** In order; none: the response has no content. */
  readonly body: readonly BodyPiece[];
}

/** The strong validator of a representation's bytes (RFC 9110 §8.8.3): their checksum, so each variant has one of its own. */
export function entityTag(manifest: Manifest): string {
  return `"${manifest.sha256}"`;
}

/** What every response of a manifest has in common. */
interface Representation {
  readonly validators: Validators;
  readonly lastModified: string;
  /** The request fields that selected it (RFC 9110 §12.5.5). */
  readonly vary: readonly string[];
  /** Of the representation, but for type and length, which a multipart body has of its own. */
  readonly fields: readonly string[];
}
const representationOf = perManifest((manifest): Representation => {
  const validators = { etag: entityTag(manifest), lastModifiedMs: Date.parse(manifest.uploadedAt) };
  const fields = [
    // RFC 9530 §3: of the whole representation, also on a part of it.
    ...['Repr-Digest', `sha-256=:${base64OfHex(manifest.sha256)}:`],
    ...optional('Content-Encoding', manifest.contentEncoding),
    ...optional('Content-Language', manifest.contentLanguage),
    ...optional('Content-Disposition', manifest.contentDisposition),
    ...Object.entries(manifest.meta).flatMap(([name, value]) => [`x-amz-meta-${name}`, value]),
  ];
  return { validators, lastModified: formatHttpDate(validators.lastModifiedMs), vary: varyOf(manifest), fields };
});

/**
 * Plans the response to GET or HEAD: preconditions in the order of RFC 9110 §13.2.2, then ranges (§14.2).
 * `extraFields` are those that tell of this edge; `boundary` makes a delimiter that is in no content.
 */
export function planResponse(
  manifest: Manifest,
  { method, fields: request }: ReadRequest,
  extraFields: readonly string[],
  boundary: () => string,
): ResponsePlan {
  const { validators, lastModified, vary, fields: described } = representationOf(manifest);
  const verdict = evaluatePreconditions(method, request, validators);
  const selected = ['ETag', validators.etag, ...vary];
  if (verdict === 'failed') return { status: 412, fields: [...selected, ...extraFields, 'Content-Length', '0'], body: [] };

  // §15.4.5: what a 304 has to repeat, and nothing else of the representation.
  const caching = [...selected, ...cachingFields(manifest), ...extraFields];
  if (verdict === 'not-modified') return { status: 304, fields: caching, body: [] };

  const representation = [...caching, 'Last-Modified', lastModified, 'Accept-Ranges', 'bytes'];
  const ranges = requestedRanges(manifest, { method, fields: request }, validators);
  if (ranges === 'unsatisfiable') {
    return { status: 416, fields: [...representation, 'Content-Range', unsatisfiedRange(manifest.size), 'Content-Length', '0'], body: [] };
  }
  representation.push(...described);
  const { contentType, size } = manifest;
  const [range, second] = ranges ?? [];
  if (ranges === undefined || range === undefined) {
    const body = method === 'HEAD' || size === 0 ? [] : [{ start: 0, end: size - 1 }];
    return { status: 200, fields: [...representation, 'Content-Type', contentType, 'Content-Length', String(size)], body };
  }
  if (second === undefined) {
    representation.push('Content-Type', contentType, 'Content-Range', contentRange(range, size));
    return { status: 206, fields: [...representation, 'Content-Length', String(range.end - range.start + 1)], body: [range] };
  }
  const parts = layOutRanges(ranges, size, contentType, boundary());
  return {
    status: 206,
    fields: [...representation, 'Content-Type', parts.contentType, 'Content-Length', String(parts.contentLength)],
    body: [...parts.parts.flatMap(({ head, range: bytes }) => [head, bytes]), parts.tail],
  };
}

/**
 * Plans a site's own document for what is not there. Conditions and ranges speak of what was asked for, and that does not exist (RFC 9110 §13.2.1), so there are no
 * validators to repeat them with.
 */
export function planErrorDocument(manifest: Manifest, method: 'GET' | 'HEAD', extraFields: readonly string[]): ResponsePlan {
  const fields = [
    ...extraFields,
    ...varyOf(manifest),
    ...['Content-Type', manifest.contentType, 'Content-Length', String(manifest.size)],
    ...optional('Content-Encoding', manifest.contentEncoding),
    ...optional('Content-Language', manifest.contentLanguage),
    ...['Cache-Control', 'no-store'],
  ];
  return { status: 404, fields, body: method === 'HEAD' || manifest.size === 0 ? [] : [{ start: 0, end: manifest.size - 1 }] };
}

/** For how long others may keep an answer. */
export function cachingFields({ cacheControl, expires }: Manifest): string[] {
  return [...optional('Cache-Control', cacheControl), ...optional('Expires', expires)];
}

function varyOf(manifest: Manifest): string[] {
  return isNegotiated(manifest) ? ['Vary', 'Accept-Encoding'] : [];
}

function optional(name: string, value: string | undefined): string[] {
  return value === undefined ? [] : [name, value];
}

/** The ranges to send, undefined for all of it. RFC 9110 §14.2: Range is defined for GET only. */
function requestedRanges(
  manifest: Manifest,
  { method, fields }: ReadRequest,
  validators: Validators,
): readonly ByteRange[] | 'unsatisfiable' | undefined {
  const field = method === 'GET' ? fieldOf(fields, 'range') : undefined;
  if (field === undefined || !rangeApplies(fields, validators)) return undefined;
  const ranges = selectRanges(field, manifest.size);
  // The coding is the parts', the field would be the multipart's: clients decode the wrong one.
  return Array.isArray(ranges) && ranges.length > 1 && manifest.contentEncoding !== undefined ? undefined : ranges;
}

/** A checksum in the base64 that a byte sequence of a structured field has (RFC 9651 §3.3.5). */
function base64OfHex(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64');
}
