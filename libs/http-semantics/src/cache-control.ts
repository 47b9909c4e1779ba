/** Cache directives: RFC 9111 §5.2, RFC 5861, RFC 8246, RFC 9213. */
import { listMembers } from './fields.ts';

/** Directives by lower-case name; the argument without its quotes, undefined where there is none. */
export type CacheDirectives = ReadonlyMap<string, string | undefined>;

/** The greatest number of seconds that is told apart: RFC 9111 §1.2.2. */
export const DELTA_SECONDS_MAX = 2 ** 31;

const DIRECTIVE = /^([!#$%&'*+.^_`|~0-9a-z-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s"]+)))?$/i;

/**
 * The directives of a Cache-Control field. What does not parse is left out. Of a directive that comes twice the first counts
 * (RFC 9111 §4.2.1).
 */
export function parseCacheControl(field: string | undefined): CacheDirectives {
  const directives = new Map<string, string | undefined>();
  for (const member of field === undefined ? [] : listMembers(field)) {
    const [, name, quoted, token] = DIRECTIVE.exec(member) ?? [];
    if (name === undefined || directives.has(name.toLowerCase())) continue;
    directives.set(name.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? token);
  }
  return directives;
}

/**
 * The seconds of a directive: undefined when it is absent, 0 when its argument is no number, because a response with invalid freshness information is
 * best taken for stale (RFC 9111 §4.2.1).
 */
export function secondsOf(directives: CacheDirectives, name: string): number | undefined {
  if (!directives.has(name)) return undefined;
  const argument = directives.get(name) ?? '';
  return /^\d+$/.test(argument) ? Math.min(Number(argument), DELTA_SECONDS_MAX) : 0;
}
