/** Conditional requests: RFC 9110 §13. */
import { type EntityTag, listNames, matchesStrongly, matchesWeakly } from './entity-tag.ts';
import { type Fields, fieldOf } from './fields.ts';
import { parseHttpDate } from './http-date.ts';

/** What the selected representation is known by. */
export interface Validators {
  readonly etag: EntityTag;
  /** Milliseconds since the epoch. Fields have a resolution of a second, so fractions do not count. */
  readonly lastModifiedMs: number;
}

/** Carry the method out, answer 304 without content, or answer 412. */
export type Verdict = 'proceed' | 'not-modified' | 'failed';

/**
 * The preconditions of a request for a representation that exists, in the order of RFC 9110 §13.2.2. The last of them, If-Range, is
 * {@link rangeApplies}. A date that is none is ignored (§13.1.3, §13.1.4).
 */
export function evaluatePreconditions(method: string, fields: Fields, validators: Validators): Verdict {
  const ifMatch = fieldOf(fields, 'if-match');
  if (ifMatch !== undefined) {
    if (!isAny(ifMatch) && !listNames(ifMatch, validators.etag, matchesStrongly)) return 'failed';
  } else {
    const unmodifiedSinceMs = parseHttpDate(fieldOf(fields, 'if-unmodified-since'));
    if (unmodifiedSinceMs !== undefined && wholeSeconds(validators.lastModifiedMs) > unmodifiedSinceMs) return 'failed';
  }
  const isRead = method === 'GET' || method === 'HEAD';
  const ifNoneMatch = fieldOf(fields, 'if-none-match');
  if (ifNoneMatch !== undefined) {
    if (!isAny(ifNoneMatch) && !listNames(ifNoneMatch, validators.etag, matchesWeakly)) return 'proceed';
    return isRead ? 'not-modified' : 'failed';
  }
  const modifiedSinceMs = isRead ? parseHttpDate(fieldOf(fields, 'if-modified-since')) : undefined;
  return modifiedSinceMs !== undefined && wholeSeconds(validators.lastModifiedMs) <= modifiedSinceMs ? 'not-modified' : 'proceed';
}

/**
 * Whether If-Range lets a Range apply: RFC 9110 §13.1.5. Only the strong entity tag does; without the field every Range applies. A date is a weak validator
 * unless it is known that nothing changed twice within its second (§8.8.2.2), and that is not known here.
 */
export function rangeApplies(fields: Fields, validators: Validators): boolean {
  const ifRange = fieldOf(fields, 'if-range')?.trim();
  return ifRange === undefined || matchesStrongly(ifRange, validators.etag);
}

function isAny(list: string): boolean {
  return list === '*' || list.trim() === '*';
}

function wholeSeconds(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}
