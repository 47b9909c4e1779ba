/** Web sites: which host names are served from which bucket, and how. Pure. */

import type { SigningKey } from '@sluice/signed-url';

export interface Cors {
  /** Origins that may read, or `*` for all (Fetch standard, https://fetch.spec.whatwg.org/#http-cors-protocol). */
  readonly origins: readonly string[] | '*';
  readonly headers: readonly string[];
  readonly exposedHeaders: readonly string[];
  readonly credentials: boolean;
  /** For how long a browser may remember the answer to a preflight. */
  readonly maxAgeSeconds: number;
}

export interface Site {
  readonly name: string;
  /** Lower-case host names; `*.example.com` stands for any name below `example.com`. */
  readonly hosts: readonly string[];
  readonly bucket: string;
  /** Where in the bucket the site begins: empty, or a path that ends with a slash. */
  readonly prefix: string;
  /** The document of a directory, for example `index.html`; undefined: directories have none. */
  readonly index: string | undefined;
  /** The document for what is not there, sent with 404; a path inside of the site. */
  readonly notFound: string | undefined;
  /** The document that a single-page application routes from, sent with 200 for pages that are not there. */
  readonly singlePage: string | undefined;
  /** Name, value, name, value …: added to every answer. */
  readonly headers: readonly string[];
  readonly cors: Cors | undefined;
  /** Its content is private: it is read with links signed under one of these keys alone. */
  readonly signingKeys: readonly SigningKey[] | undefined;
}

export interface Sites {
  readonly sites: readonly Site[];
  /** Answers host names that no site has. */
  readonly fallback: Site | undefined;
  /** Whether `/<bucket>/<path>` is served for host names that no site has and where there is no fallback. */
  readonly pathStyle: boolean;
}

/** Without configuration every bucket is served under its own name. */
export const PATH_STYLE_ONLY: Sites = { sites: [], fallback: undefined, pathStyle: true };

/** Where a host name leads. */
export type HostRoute = { readonly kind: 'site'; readonly site: Site } | { readonly kind: 'path-style' } | { readonly kind: 'unknown' };

export function routeHost({ sites, fallback, pathStyle }: Sites, host: string | undefined): HostRoute {
  const name = hostName(host);
  const site =
    sites.find(({ hosts }) => hosts.includes(name)) ??
    sites.find(({ hosts }) => hosts.some((pattern) => isBelow(name, pattern))) ??
    fallback;
  if (site !== undefined) return { kind: 'site', site };
  return pathStyle ? { kind: 'path-style' } : { kind: 'unknown' };
}

/** The name of a Host field (RFC 9110 §7.2) without port and final dot, in lower case. */
function hostName(host: string | undefined): string {
  return (host ?? '').replace(/:\d*$/, '').replace(/\.$/, '').toLowerCase();
}

function isBelow(name: string, pattern: string): boolean {
  return pattern.startsWith('*.') && name.endsWith(pattern.slice(1)) && name.length > pattern.length - 1;
}

/** The key of a path of a site. A directory has its index document; without one, and for the root, the key may be none that exists. */
export function keyOfPath(site: Site, path: string): string {
  const isDirectory = path === '' || path.endsWith('/');
  return `${site.bucket}/${site.prefix}${path}${isDirectory ? (site.index ?? '') : ''}`;
}

/** What a site answers where it has no object. */
export type Substitute =
  | { readonly kind: 'redirect'; readonly path: string }
  | { readonly kind: 'document'; readonly key: string; readonly status: 200 | 404 };

/**
 * What to answer for a path where there is no object: the directory that the path lacks the slash of, the page of a single-page application, or the site's own "not
 * found". `exists` tells of keys that the edge knows; `accept` is the Accept field of the request.
 */
export function substituteFor(
  site: Site,
  path: string,
  exists: (key: string) => boolean,
  accept: string | undefined,
): Substitute | undefined {
  if (site.index !== undefined && path !== '' && !path.endsWith('/') && exists(keyOfPath(site, `${path}/`)))
    return { kind: 'redirect', path: `${path}/` };
  const document = (name: string, status: 200 | 404): Substitute => ({
    kind: 'document',
    key: `${site.bucket}/${site.prefix}${name}`,
    status,
  });
  if (site.singlePage !== undefined && isPage(path, accept)) return document(site.singlePage, 200);
  return site.notFound === undefined ? undefined : document(site.notFound, 404);
}

/** Whether a request is for a page that an application shows, and not for a part of one: a missing script must not be answered with HTML. */
function isPage(path: string, accept: string | undefined): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return !name.includes('.') || (accept?.includes('text/html') ?? false);
}
