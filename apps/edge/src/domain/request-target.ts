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

/** What means itself, and no other thing anywhere. */
const PLAIN_PATH = /^\/[A-Za-z0-9_.~/-]*$/;

/** Reads a request target in origin-form or absolute-form (RFC 9112 §3.2). */
export function parseTarget(target: string): Target {
  if (PLAIN_PATH.test(target)) return { kind: 'path', path: target.slice(1), query: '', authority: undefined };
  const [, authority, rawPath = '', query = ''] = TARGET.exec(target) ?? [];
  const path = rawPath === '' && authority !== undefined ? '/' : rawPath;
  if (!path.startsWith('/')) return { kind: 'invalid', problem: 'the request target is not a path' };
  try {
    return { kind: 'path', path: decodeURIComponent(path.slice(1)), query, authority };
  } catch {
    return { kind: 'invalid', problem: 'the path has invalid percent-encoding or is not UTF-8' };
  }
}

/** The host that a request is for, as it came: of the absolute form, else of the Host field. */
export function authorityOf(target: string, host: string | undefined): string | undefined {
  return target.startsWith('/') ? host : (TARGET.exec(target)?.[1] ?? host);
}

/** uri-host with an optional port, RFC 9110 §7.2 and RFC 3986 §3.2.2: nothing that could be taken for another part of a URL. */
const HOST = /^(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/;

/**
 * Why a request must be refused for its Host fields (RFC 9112 §3.2), or because they and `:authority` differ (RFC 9113 §8.3.1): several of them, or one that names
 * no host, mean one thing here and another thing to a proxy in front. `rawFields` are all fields as they came: name, value, name, value ….
 */
export function hostProblem(rawFields: readonly string[]): string | undefined {
  let host: string | undefined;
  let authority: string | undefined;
  for (let at = 0; at < rawFields.length; at += 2) {
    const name = rawFields[at];
    if (name === ':authority') authority = rawFields[at + 1];
    if (name?.length !== 4 || name.toLowerCase() !== 'host') continue;
    if (host !== undefined) return 'there is more than one Host field';
    host = rawFields[at + 1];
  }
  if (authority !== undefined) {
    if (host !== undefined && host.toLowerCase() !== authority.toLowerCase()) return 'the Host field and :authority differ';
    return HOST.test(authority) ? undefined : ':authority names no host';
  }
  return host === undefined || HOST.test(host.trim()) ? undefined : 'the Host field names no host';
}

/**
 * Why the end of a request cannot be found (RFC 9112 §6.3): the last of its codings has to be `chunked`. What follows could be its body, or the next request; so the
 * connection must not be used any more.
 */
export function framingProblem(transferEncoding: string | undefined): string | undefined {
  if (transferEncoding === undefined || /(?:^|,)\s*chunked\s*$/i.test(transferEncoding)) return undefined;
  return 'the Transfer-Encoding does not end with chunked';
}
