/** The status, fields and body of a response for a manifest: validators, conditions, ranges. Pure; the bytes are another matter. */
import { type Manifest, uploadedVersion } from '@sluice/contracts';
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
  /** Fields that are the same for all such answers of a manifest: the same array each time. Name, value, name, value …. */
  readonly constant: readonly string[];
  /** The others. */
  readonly fields: readonly string[];
  /** In order; none: the response has no content. */
  readonly body: readonly BodyPiece[];
}

/** The strong validator of a representation's bytes (RFC 9110 §8.8.3): their checksum, so each variant has one of its own. */
export function entityTag(manifest: Manifest): string {
  return `"${manifest.sha256}"`;
}

/** What every response of a manifest has in common. Most manifests are asked for in one way only, so each list is made when it is needed first. */
class Representation {
  readonly validators: Validators;
  readonly #manifest: Manifest;
  #caching: readonly string[] | undefined;
  #described: readonly string[] | undefined;
  #whole: readonly string[] | undefined;

  constructor(manifest: Manifest) {
    this.#manifest = manifest;
    this.validators = { etag: entityTag(manifest), lastModifiedMs: Date.parse(manifest.uploadedAt) };
  }

  /** On every answer: what is selected. */
  get selected(): readonly string[] {
    return ['ETag', this.validators.etag, ...varyOf(this.#manifest), 'X-Sluice-Version', String(uploadedVersion(this.#manifest))];
  }

  /** §15.4.5: what a 304 has to repeat, and nothing else of the representation. */
  get caching(): readonly string[] {
    this.#caching ??= [...this.selected, ...cachingFields(this.#manifest)];
    return this.#caching;
  }

  /** On an answer that says where in it. */
  get located(): readonly string[] {
    const modified = formatHttpDate(this.validators.lastModifiedMs);
    return [...this.selected, ...cachingFields(this.#manifest), 'Last-Modified', modified, 'Accept-Ranges', 'bytes'];
  }

  /** On an answer with content or without. */
  get described(): readonly string[] {
    this.#described ??= this.#description();
    return this.#described;
  }

  /** On the whole of it. */
  get whole(): readonly string[] {
    const { contentType, size } = this.#manifest;
    this.#whole ??= [...this.#description(), 'Content-Type', contentType, 'Content-Length', String(size)];
    return this.#whole;
  }

  #description(): string[] {
    const { sha256, contentEncoding, contentLanguage, contentDisposition, meta } = this.#manifest;
    return [
      ...this.located,
      // RFC 9530 §3: of the whole representation, also on a part of it.
      ...['Repr-Digest', `sha-256=:${base64OfHex(sha256)}:`],
      ...optional('Content-Encoding', contentEncoding),
      ...optional('Content-Language', contentLanguage),
      ...optional('Content-Disposition', contentDisposition),
      ...Object.entries(meta).flatMap(([name, value]) => [`x-amz-meta-${name}`, value]),
    ];
  }
}
const representationOf = perManifest((manifest) => new Representation(manifest));

/**
 * Plans the response to GET or HEAD: preconditions in the order of RFC 9110 §13.2.2, then ranges (§14.2).
 * `ofThisEdge`: fields that tell of this edge and this moment; `boundary` makes a delimiter that is in no content.
 */
export function planResponse(
  manifest: Manifest,
  { method, fields: request }: ReadRequest,
  ofThisEdge: readonly string[],
  boundary: () => string,
): ResponsePlan {
  const representation = representationOf(manifest);
  const { validators } = representation;
  const verdict = evaluatePreconditions(method, request, validators);
  if (verdict === 'failed')
    return { status: 412, constant: representation.selected, fields: [...ofThisEdge, 'Content-Length', '0'], body: [] };
  if (verdict === 'not-modified') return { status: 304, constant: representation.caching, fields: ofThisEdge, body: [] };

  const ranges = requestedRanges(manifest, { method, fields: request }, validators);
  const { contentType, size } = manifest;
  if (ranges === 'unsatisfiable') {
    const fields = [...ofThisEdge, 'Content-Range', unsatisfiedRange(size), 'Content-Length', '0'];
    return { status: 416, constant: representation.located, fields, body: [] };
  }
  const [range, second] = ranges ?? [];
  if (ranges === undefined || range === undefined) {
    const body = method === 'HEAD' || size === 0 ? [] : [{ start: 0, end: size - 1 }];
    return { status: 200, constant: representation.whole, fields: ofThisEdge, body };
  }
  if (second === undefined) {
    const length = String(range.end - range.start + 1);
    const fields = [...ofThisEdge, 'Content-Type', contentType, 'Content-Range', contentRange(range, size), 'Content-Length', length];
    return { status: 206, constant: representation.described, fields, body: [range] };
  }
  const parts = layOutRanges(ranges, size, contentType, boundary());
  return {
    status: 206,
    constant: representation.described,
    fields: [...ofThisEdge, 'Content-Type', parts.contentType, 'Content-Length', String(parts.contentLength)],
    body: [...parts.parts.flatMap(({ head, range: bytes }) => [head, bytes]), parts.tail],
  };
}

/**
 * Plans a site's own document for what is not there. Conditions and ranges speak of what was asked for, and that does not exist (RFC 9110 §13.2.1), so there are no
 * validators to repeat them with.
 */
export function planErrorDocument(manifest: Manifest, method: 'GET' | 'HEAD', ofThisEdge: readonly string[]): ResponsePlan {
  const fields = [
    ...ofThisEdge,
    ...varyOf(manifest),
    ...['X-Sluice-Version', String(uploadedVersion(manifest))],
    ...['Content-Type', manifest.contentType, 'Content-Length', String(manifest.size)],
    ...optional('Content-Encoding', manifest.contentEncoding),
    ...optional('Content-Language', manifest.contentLanguage),
    ...['Cache-Control', 'no-store'],
  ];
  return {
    status: 404,
    constant: [],
    fields,
    body: method === 'HEAD' || manifest.size === 0 ? [] : [{ start: 0, end: manifest.size - 1 }],
  };
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
