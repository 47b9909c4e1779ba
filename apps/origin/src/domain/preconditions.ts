/** Conditional requests (RFC 9110 §13). */
import { headerValue, type RequestHeaders } from './upload-headers.ts';

/** What the current representation is known by. */
export interface Validators {
  /** Strong, with its quotes. */
  readonly etag: string;
  readonly lastModifiedMs: number;
}

/** Whether to answer with the representation, with 304 or with 412. */
export type PreconditionVerdict = 'proceed' | 'not-modified' | 'failed';

/** The preconditions of a GET or HEAD in the order of RFC 9110 §13.2.2. */
export function evaluatePreconditions(headers: RequestHeaders, validators: Validators): PreconditionVerdict {
  const ifMatch = headerValue(headers, 'if-match');
  if (ifMatch !== undefined) {
    if (!matches(ifMatch, validators.etag, 'strong')) return 'failed';
  } else {
    const unmodifiedSince = httpDate(headerValue(headers, 'if-unmodified-since'));
    if (unmodifiedSince !== undefined && wholeSeconds(validators.lastModifiedMs) > unmodifiedSince) return 'failed';
  }
  const ifNoneMatch = headerValue(headers, 'if-none-match');
  if (ifNoneMatch !== undefined) return matches(ifNoneMatch, validators.etag, 'weak') ? 'not-modified' : 'proceed';
  const modifiedSince = httpDate(headerValue(headers, 'if-modified-since'));
  return modifiedSince !== undefined && wholeSeconds(validators.lastModifiedMs) <= modifiedSince ? 'not-modified' : 'proceed';
}

/** Whether If-Range (RFC 9110 §13.1.5) lets a Range apply; without that header it does. */
export function rangeApplies(headers: RequestHeaders, validators: Validators): boolean {
  const ifRange = headerValue(headers, 'if-range');
  if (ifRange === undefined) return true;
  if (ifRange.includes('"')) return matches(ifRange, validators.etag, 'strong');
  return httpDate(ifRange) === wholeSeconds(validators.lastModifiedMs);
}

function matches(list: string, etag: string, comparison: 'strong' | 'weak'): boolean {
  if (list.trim() === '*') return true;
  for (const [, weak, opaque] of list.matchAll(/(W\/)?("[^"]*")/g)) {
    if (opaque === etag && (weak === undefined || comparison === 'weak')) return true;
  }
  return false;
}

/** Milliseconds of an HTTP-date (RFC 9110 §5.6.7), undefined when it is none: such a field is ignored. */
function httpDate(value: string | undefined): number | undefined {
  if (value === undefined || !/GMT$/.test(value.trim())) return undefined;
  const ms = Date.parse(value);
  return Number.isNaN(ms) ? undefined : ms;
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}
