/** What a request comes to before anything is looked up: where it leads, or why it leads nowhere. Pure. */
import type { Fields } from '@sluice/http-semantics';
import { checkSignedUrl, type Admission as SignedAdmission } from '@sluice/signed-url';
import { parseTarget, type Target } from './request-target.ts';
import type { ReadRequest } from './response.ts';
import { type CorsAnswer, corsAnswer, isPreflight, preflightAnswer } from './sites/cors.ts';
import { httpsLocation, staysPlain } from './sites/https.ts';
import { dependsOnScheme, routeHost, type Site, type Sites } from './sites/site.ts';

/** RFC 9110 §10.2.1: what a target of this server can be asked. */
export const ALLOW: readonly string[] = ['Allow', 'GET, HEAD, OPTIONS'];
/** Why a visitor gets nothing of a site whose content is private. */
const REFUSALS: Readonly<Record<Exclude<SignedAdmission, 'granted'>, string>> = {
  unsigned: 'this content is private; it is read with a signed link',
  expired: 'this link has expired',
  refused: 'this link is not valid here',
};

/** A request whose head is well-formed. */
export interface VisitorAsks {
  readonly method: string | undefined;
  /** The request target as it came. */
  readonly url: string;
  readonly fields: Fields;
  /** Whether it came over TLS. */
  readonly isSecure: boolean;
  /** On which this edge listens for TLS; undefined when it does not. */
  readonly tlsPort: number | undefined;
  /** The scheme by which the visitor came to a trusted proxy, undefined when none tells one; asked only when the site wants to know. */
  readonly forwardedScheme: () => 'http' | 'https' | undefined;
}

/** What the answers of a site have in addition. */
export interface Manner {
  /** What the site adds to every answer, unless the answer has such a field of its own. */
  readonly siteFields: readonly string[];
  /** What lets pages of other origins read it. */
  readonly corsFields: readonly string[];
  /** The request fields that the answer depends on (RFC 9110 §12.5.5). */
  readonly vary: readonly string[];
}
export const PLAIN_MANNER: Manner = { siteFields: [], corsFields: [], vary: [] };

interface Answered {
  readonly manner: Manner;
  readonly site: Site | undefined;
}
export type Admission = Answered &
  (
    | { readonly kind: 'read'; readonly target: Target & { kind: 'path' }; readonly request: ReadRequest }
    | { readonly kind: 'refused'; readonly status: 400 | 403 | 404 | 405; readonly message: string; readonly fields: readonly string[] }
    | { readonly kind: 'allowed' }
    | { readonly kind: 'to-https'; readonly location: string }
  );

export function admit(asks: VisitorAsks, sites: Sites, nowSeconds: () => number): Admission {
  const { method, url, fields } = asks;
  const target = parseTarget(url);
  const host = (target.kind === 'path' ? target.authority : undefined) ?? (fields.host as string | undefined);
  const route = routeHost(sites, host);
  if (route.kind === 'unknown') return refusal({ manner: PLAIN_MANNER, site: undefined }, 404, 'no site has this host name');
  const site = route.kind === 'site' ? route.site : undefined;
  const told = site !== undefined && dependsOnScheme(site) ? asks.forwardedScheme() : undefined;
  const isSecure = told === undefined ? asks.isSecure : told === 'https';
  const answered: Answered = { manner: mannerOf(site, corsAnswer(site?.cors, fields), isSecure), site };
  if (target.kind === 'invalid') return refusal(answered, 400, target.problem);
  if (method === 'OPTIONS') {
    const isAsked = site?.cors !== undefined && isPreflight(method, fields);
    return { kind: 'allowed', site, manner: isAsked ? mannerOf(site, preflightAnswer(site.cors, fields), isSecure) : answered.manner };
  }
  if (method !== 'GET' && method !== 'HEAD') {
    return refusal(answered, 405, 'use GET or HEAD: content is uploaded at the origin', ALLOW);
  }
  if (site?.httpsRedirect !== undefined && !isSecure && !staysPlain(target.path)) {
    const location = httpsLocation(host, url, site.httpsRedirect.port ?? asks.tlsPort ?? 443);
    if (location !== undefined) return { ...answered, kind: 'to-https', location };
    return refusal(answered, 400, 'this site is served over HTTPS, and the request names no host to send you to');
  }
  if (site?.signingKeys !== undefined) {
    const admission = checkSignedUrl(site.name, `/${target.path}`, target.query, site.signingKeys, nowSeconds());
    if (admission !== 'granted') return refusal(answered, 403, REFUSALS[admission], ['Cache-Control', 'no-store']);
  }
  return { kind: 'read', manner: answered.manner, site, target, request: { method, fields } };
}

function refusal(answered: Answered, status: 400 | 403 | 404 | 405, message: string, fields: readonly string[] = []): Admission {
  return { ...answered, kind: 'refused', status, message, fields };
}

function mannerOf(site: Site | undefined, { fields, vary }: CorsAnswer, isSecure: boolean): Manner {
  if (site === undefined) return PLAIN_MANNER;
  return { siteFields: isSecure ? site.secureHeaders : site.headers, corsFields: fields, vary };
}

/** All fields of an answer. */
export function fieldsIn({ siteFields, corsFields, vary }: Manner, constant: readonly string[], own: readonly string[]): string[] {
  const fields = [...constant, ...own];
  if (siteFields.length === 0 && corsFields.length === 0 && vary.length === 0) return fields;
  const taken = new Set(fields.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase()));
  const added = siteFields.filter((_, at) => !taken.has((siteFields[at - (at % 2)] ?? '').toLowerCase()));
  return varying([...fields, ...added, ...corsFields], vary);
}

/** The fields with `vary` added to what their own Vary names. */
function varying(fields: string[], vary: readonly string[]): string[] {
  if (vary.length === 0) return fields;
  const at = fields.indexOf('Vary');
  if (at === -1) return [...fields, 'Vary', vary.join(', ')];
  return fields.with(at + 1, [fields[at + 1], ...vary].join(', '));
}
