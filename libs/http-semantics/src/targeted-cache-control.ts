/** `CDN-Cache-Control` and its kind: RFC 9213. */
import { parseDictionary } from 'structured-headers';
import type { CacheDirectives } from './cache-control.ts';

/**
 * The directives of a targeted field, in the shape of those of Cache-Control. Undefined when there is none, or when it does not parse or is
 * empty: then it is as if it were absent, and Cache-Control counts (RFC 9213 §2.1, §2.2).
 */
export function parseTargetedCacheControl(field: string | undefined): CacheDirectives | undefined {
  if (field === undefined) return undefined;
  try {
    const directives = new Map<string, string | undefined>();
    for (const [name, [value]] of parseDictionary(field)) {
      // A boolean is a directive without an argument; false takes it back. An argument of another type is none that the directive knows.
      if (value === true) directives.set(name, undefined);
      else if (value !== false) directives.set(name, typeof value === 'number' || typeof value === 'string' ? String(value) : '');
    }
    return directives.size === 0 ? undefined : directives;
  } catch {
    return undefined;
  }
}
