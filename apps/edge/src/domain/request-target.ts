export type Target =
  | {
      readonly kind: 'path';
      /** Percent-decoded once, without the leading slash. */
      readonly path: string;
      /** With its question mark; empty when there is none. It names nothing here, and goes along with redirects. */
      readonly query: string;
      /** Of the absolute form; it counts instead of the Host field (RFC 9112 §3.2.2). */
      readonly authority: string | undefined;
    }
  | { readonly kind: 'invalid'; readonly problem: string };

const TARGET = /^(?:https?:\/\/([^/?#]*))?([^?#]*)(\?[^#]*)?/i;

/** Reads a request target in origin-form or absolute-form (RFC 9112 §3.2). */
export function parseTarget(target: string): Target {
  const [, authority, rawPath = '', query = ''] = TARGET.exec(target) ?? [];
  const path = rawPath === '' && authority !== undefined ? '/' : rawPath;
  if (!path.startsWith('/')) return { kind: 'invalid', problem: 'the request target is not a path' };
  try {
    return { kind: 'path', path: decodeURIComponent(path.slice(1)), query, authority };
  } catch {
    return { kind: 'invalid', problem: 'the path has invalid percent-encoding or is not UTF-8' };
  }
}
