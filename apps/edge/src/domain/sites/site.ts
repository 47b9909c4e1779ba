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

/** As written in the sites file: relative to it, or absolute. */
export interface CertificatePaths {
  readonly certificate: string;
  readonly key: string;
}

export interface HttpsRedirect {
  /** Where visitors reach TLS; undefined: at the port on which the edge listens. */
  readonly port: number | undefined;
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
  /** The same for answers over TLS. RFC 6797 §7.2: what a host says about transport security counts there alone. */
  readonly secureHeaders: readonly string[];
  /** The files of a certificate of its own; undefined: the edge's. */
  readonly tls: CertificatePaths | undefined;
  /** Where plain HTTP is sent to; undefined: it is answered. */
  readonly httpsRedirect: HttpsRedirect | undefined;
  readonly cors: Cors | undefined;
  /** Its content is private: it is read with links signed under one of these keys alone. */
  readonly signingKeys: readonly SigningKey[] | undefined;
}

export interface Sites {
  /** By lower-case host name; `*.example.com` stands for any name below `example.com`. */
  readonly byHost: ReadonlyMap<string, Site>;
  /** Answers host names that no site has. */
  readonly fallback: Site | undefined;
  /** Whether `/<bucket>/<path>` is served for host names that no site has and where there is no fallback. */
  readonly pathStyle: boolean;
}

/** Without configuration every bucket is served under its own name. */
export const PATH_STYLE_ONLY: Sites = { byHost: new Map(), fallback: undefined, pathStyle: true };

export function sitesOf(sites: readonly Site[], fallback: Site | undefined, pathStyle: boolean): Sites {
  return { byHost: new Map(sites.flatMap((site) => site.hosts.map((host) => [host, site]))), fallback, pathStyle };
}

/** Where a host name leads. */
export type HostRoute = { readonly kind: 'site'; readonly site: Site } | { readonly kind: 'path-style' } | { readonly kind: 'unknown' };

export function routeHost({ byHost, fallback, pathStyle }: Sites, host: string | undefined): HostRoute {
  const site = (byHost.size === 0 ? undefined : ofHostName(byHost, hostName(host))) ?? fallback;
  if (site !== undefined) return { kind: 'site', site };
  return pathStyle ? { kind: 'path-style' } : { kind: 'unknown' };
}

/** The exact name goes first, then the wildcard that leaves least to chance. */
export function ofHostName<Value>(byHost: ReadonlyMap<string, Value>, name: string): Value | undefined {
  let found = byHost.get(name);
  for (let dot = name.indexOf('.', 1); found === undefined && dot !== -1; dot = name.indexOf('.', dot + 1))
    found = byHost.get(`*${name.slice(dot)}`);
  return found;
}

/** The name of a Host field (RFC 9110 §7.2) without port and final dot, in lower case. */
export function hostName(host: string | undefined): string {
  return (host ?? '').replace(/:\d*$/, '').replace(/\.$/, '').toLowerCase();
}

/** Whether an answer depends on whether the visitor came by HTTPS. */
export function dependsOnScheme({ httpsRedirect, headers, secureHeaders }: Site): boolean {
  return httpsRedirect !== undefined || secureHeaders.length > headers.length;
}

/** The key of a path of a site. A directory has its index document; without one, and for the root, the key may be none that exists. */
export function keyOfPath(site: Site, path: string): string {
  const isDirectory = path === '' || path.endsWith('/');
  return `${site.bucket}/${site.prefix}${path}${isDirectory ? (site.index ?? '') : ''}`;
}

/** The key of the index document of a directory that a path names without its slash; undefined when it can be none. */
export function directoryKeyOf(site: Site, path: string): string | undefined {
  return site.index === undefined || path === '' || path.endsWith('/') ? undefined : keyOfPath(site, `${path}/`);
}

/** A path as a Location on the same host: one that begins with a slash of its own would name another host (RFC 3986 §4.2). */
export function locationOfPath(path: string): string {
  const encoded = path.split('/').map(encodeURIComponent).join('/');
  return path.startsWith('/') ? `/./${encoded}` : `/${encoded}`;
}

/** What a site shows for a path where there is no object, best first: the page of a single-page application, the site's own "not found". `accept`: of the request. */
export function documentsFor(site: Site, path: string, accept: string | undefined): { readonly key: string; readonly status: 200 | 404 }[] {
  const document = (name: string | undefined, status: 200 | 404) =>
    name === undefined ? [] : [{ key: `${site.bucket}/${site.prefix}${name}`, status }];
  return [...(isPage(path, accept) ? document(site.singlePage, 200) : []), ...document(site.notFound, 404)];
}

const WANTS_HTML = /(?:^|,)\s*text\/html\s*(?:;(?!\s*q=0(?:\.0*)?\s*(?:[,;]|$))[^,]*)?(?:,|$)/i;

/** Whether a request is for a page that an application shows, and not for a part of one: a missing script must not be answered with HTML. */
function isPage(path: string, accept = ''): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return !name.includes('.') || WANTS_HTML.test(accept);
}
