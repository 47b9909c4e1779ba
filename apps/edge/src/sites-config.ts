/** The sites file: YAML → {@link Sites}, or every problem in it. No problem quotes what could be a secret. */
import { fieldValue, isBucketName, keyProblem } from '@sluice/contracts';
import { ConfigError, placeOf } from '@sluice/runtime';
import { KEYS_MAX, SECRET_MIN_BYTES, type SigningKey } from '@sluice/signed-url';
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { strictTransportSecurity } from './domain/sites/https.ts';
import { type Site, type Sites, sitesOf } from './domain/sites/site.ts';

/** The sites file cannot be used. */
export class SitesConfigError extends ConfigError {
  constructor(problems: readonly string[]) {
    super(problems, 'the sites file');
    this.name = 'SitesConfigError';
  }
}

/** What an edge offers over TLS beside what its sites say. */
export interface TlsOffer {
  /** Whether there is a port for it. */
  readonly port: boolean;
  /** Whether there is a certificate for every host that has none of its own. */
  readonly certificate: boolean;
}
const NO_TLS: TlsOffer = { port: false, certificate: false };
const YEAR_SECONDS = 31_536_000;

/** What an edge says itself, and what HTTP frames messages with. */
const OWN_FIELDS = new Set(
  'accept-ranges age allow cache-status connection content-encoding content-length content-range content-type date etag http2-settings keep-alive last-modified location proxy-connection repr-digest retry-after te trailer transfer-encoding upgrade vary x-sluice-version'.split(
    ' ',
  ),
);
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/;
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const HOST = new RegExp(`^(?:\\*\\.)?(?:${LABEL}\\.)*${LABEL}$`);

const HSTS_FIELD = 'Strict-Transport-Security';

/** Of a site, or of a key. */
const id = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 characters of A-Z, a-z, 0-9, "_" and "-"');
const fieldName = z.string().regex(TOKEN, 'must be the name of a header field');
const path = z
  .string()
  .refine(
    (text) => !text.startsWith('/') && !text.endsWith('/') && keyProblem(`b/${text}`) === undefined,
    'must be a path without a slash at its beginning or end, such as 404.html',
  );

/** As browsers name it (RFC 6454 §6.1): in lower case, without the port that the scheme has anyway. */
const origin = z
  .string()
  .regex(/^https?:\/\/[^/?#@\s]+$/i, 'must be an origin such as https://app.example.com')
  .transform((text, context) => {
    const { origin: named } = URL.parse(text) ?? { origin: undefined };
    if (named === undefined) context.addIssue({ code: 'custom', message: 'must be an origin such as https://app.example.com' });
    return named ?? text;
  });

const cors = z.strictObject({
  origins: z.union([z.literal('*'), z.array(origin).min(1)], {
    error: 'must be "*" or a list of origins such as https://app.example.com',
  }),
  headers: z.array(fieldName).default([]),
  exposedHeaders: z.array(fieldName).default([]),
  credentials: z.boolean().default(false),
  maxAgeSeconds: z.int().min(0).max(86_400).default(600),
});

const signingKey = z
  .string()
  .transform((text) => Buffer.from(text, 'base64'))
  .refine(
    (secret) => secret.byteLength >= SECRET_MIN_BYTES,
    `must be at least ${SECRET_MIN_BYTES} bytes in base64, as \`openssl rand -base64 32\` makes them`,
  );

const signedUrls = z.strictObject({
  keys: z
    .record(id, signingKey)
    .refine(
      (keys) => Object.keys(keys).length >= 1 && Object.keys(keys).length <= KEYS_MAX,
      `must be one key, or ${KEYS_MAX} while one replaces the other`,
    )
    .transform((keys): SigningKey[] => Object.entries(keys).map(([id, secret]) => ({ id, secret }))),
});

const file = z.string().min(1, 'must be the path of a PEM file');
const hsts = z
  .strictObject({
    maxAgeSeconds: z
      .int()
      .min(0)
      .max(10 * YEAR_SECONDS),
    includeSubDomains: z.boolean().default(false),
    preload: z.boolean().default(false),
  })
  .refine(
    ({ preload, includeSubDomains, maxAgeSeconds }) => !preload || (includeSubDomains && maxAgeSeconds >= YEAR_SECONDS),
    `preload needs includeSubDomains: true and a maxAgeSeconds of at least ${YEAR_SECONDS}, or browsers do not list the site`,
  );

const site = z
  .strictObject({
    name: id,
    hosts: z
      .array(z.string().toLowerCase().regex(HOST, 'must be a host name such as www.example.com or *.example.com, without scheme and port'))
      .default([]),
    bucket: z.string().refine(isBucketName, 'must be the name of a bucket'),
    prefix: z
      .string()
      .refine(
        (text) => text === '' || (!text.startsWith('/') && text.endsWith('/') && keyProblem(`b/${text}x`) === undefined),
        'must be empty or a path such as "docs/", with a slash at its end',
      )
      .default(''),
    index: path.optional(),
    notFound: path.optional(),
    singlePage: path.optional(),
    headers: z
      .record(
        fieldName.refine((name) => !OWN_FIELDS.has(name.toLowerCase()), 'is a field that the edge sets itself'),
        fieldValue,
      )
      .default({}),
    cors: cors.optional(),
    signedUrls: signedUrls.optional(),
    tls: z.strictObject({ certificate: file, key: file }).optional(),
    httpsRedirect: z.boolean().default(false),
    /** Where visitors reach TLS, when that is not the port that the edge listens on. */
    httpsPort: z.int().min(1).max(65_535).optional(),
    hsts: hsts.optional(),
  })
  .refine(({ httpsPort, httpsRedirect }) => httpsPort === undefined || httpsRedirect, {
    path: ['httpsPort'],
    message: 'is used by httpsRedirect: true alone',
  })
  .transform(
    ({
      headers,
      index,
      notFound,
      singlePage,
      cors: corsOfSite,
      signedUrls: signed,
      tls,
      httpsRedirect,
      httpsPort,
      hsts: policy,
      ...rest
    }): Site => {
      const fields = Object.entries(headers).flat();
      return {
        ...rest,
        ...{ index, notFound, singlePage, cors: corsOfSite, signingKeys: signed?.keys, tls },
        headers: fields,
        secureHeaders: policy === undefined ? fields : [...fields, HSTS_FIELD, strictTransportSecurity(policy)],
        httpsRedirect: httpsRedirect ? { port: httpsPort } : undefined,
      };
    },
  );

const sitesFile = z.strictObject({
  sites: z.array(site).max(10_000),
  /** The name of the site that answers unknown hosts. */
  default: z.string().optional(),
  pathStyle: z.boolean().default(false),
});

interface Contradiction {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** What is wrong although each site is right by itself. */
function contradictions({
  sites,
  default: fallback,
  pathStyle,
}: {
  sites: Site[];
  default?: string | undefined;
  pathStyle: boolean;
}): Contradiction[] {
  const found: Contradiction[] = [];
  const seen = new Set<string>();
  const once = (what: string, value: string, at: readonly (string | number)[]): void => {
    if (seen.has(`${what} ${value}`)) found.push({ path: ['sites', ...at], message: `"${value}" is there twice` });
    seen.add(`${what} ${value}`);
  };
  sites.forEach(({ name, hosts }, at) => {
    once('name', name, [at, 'name']);
    hosts.forEach((host, index) => {
      once('host', host, [at, 'hosts', index]);
    });
  });
  if (fallback !== undefined && !sites.some(({ name }) => name === fallback)) {
    found.push({ path: ['default'], message: `there is no site "${fallback}"` });
  }
  sites.forEach(({ headers, cors: corsOfSite }, at) => {
    const names = headers.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
    for (const [index, name] of names.entries()) {
      if (names.indexOf(name) !== index) found.push({ path: ['sites', at, 'headers', name], message: 'is there twice' });
      if (corsOfSite !== undefined && name.startsWith('access-control-')) {
        found.push({ path: ['sites', at, 'headers', name], message: 'is set by cors' });
      }
    }
  });
  for (const secret of sites.filter(({ signingKeys }) => signingKeys !== undefined)) {
    if (pathStyle)
      found.push({ path: ['pathStyle'], message: `would show the private content of the site "${secret.name}" without a link` });
    sites.forEach((other, at) => {
      if (other.signingKeys !== undefined || other.bucket !== secret.bucket) return;
      if (!other.prefix.startsWith(secret.prefix) && !secret.prefix.startsWith(other.prefix)) return;
      found.push({ path: ['sites', at, 'bucket'], message: `would show the private content of the site "${secret.name}" without a link` });
    });
  }
  return found;
}

/** What a site wants of TLS and this edge does not have. */
function unmetTls(sites: readonly Site[], offer: TlsOffer): Contradiction[] {
  return sites.flatMap(({ tls, httpsRedirect, headers, secureHeaders }, at) => {
    const wanted = [
      ...(tls === undefined ? [] : ['tls']),
      ...(httpsRedirect === undefined ? [] : ['httpsRedirect']),
      ...(headers.length === secureHeaders.length ? [] : ['hsts']),
    ];
    const found = (setting: string, message: string): Contradiction => ({ path: ['sites', at, setting], message });
    const twice =
      wanted.includes('hsts') && headers.some((name, index) => index % 2 === 0 && name.toLowerCase() === HSTS_FIELD.toLowerCase());
    const contradiction = twice ? [{ path: ['sites', at, 'headers', HSTS_FIELD], message: 'is set by hsts' }] : [];
    if (!offer.port) return [...contradiction, ...wanted.map((setting) => found(setting, 'needs a port for TLS: set EDGE_TLS_PORT'))];
    if (offer.certificate || tls !== undefined) return contradiction;
    return [
      ...contradiction,
      ...wanted.map((setting) => found(setting, 'needs a certificate: tls of this site, or EDGE_TLS_CERT_FILE and EDGE_TLS_KEY_FILE')),
    ];
  });
}

/** @throws {SitesConfigError} with every problem at once */
export function parseSites(text: string, offer: TlsOffer = NO_TLS): Sites {
  const result = sitesFile.safeParse(readYaml(text));
  if (!result.success) throw new SitesConfigError(result.error.issues.map(describe));
  // Not before each site is right by itself: a part that is not has no defaults yet.
  const found = [...contradictions(result.data), ...unmetTls(result.data.sites, offer)];
  if (found.length > 0) throw new SitesConfigError(found.map(({ path: where, message }) => withPlace(where, message)));
  const { sites, default: fallback, pathStyle } = result.data;
  return sitesOf(
    sites,
    sites.find(({ name }) => name === fallback),
    pathStyle,
  );
}

function readYaml(text: string): unknown {
  // Its warnings go to stderr, and quote as well.
  const document = parseDocument(text, { logLevel: 'error' });
  // The library's own words quote what stands there, which can be a secret of signedUrls.
  if (document.errors.length > 0) {
    throw new SitesConfigError(document.errors.map(({ code, linePos }) => `line ${linePos?.[0].line ?? '?'}: is no YAML (${code})`));
  }
  try {
    return document.toJS({ maxAliasCount: 100 }) ?? {};
  } catch {
    // An alias that leads nowhere, or aliases of aliases that would fill the memory.
    throw new SitesConfigError(['has an alias that leads nowhere, or too many of them; put a text that begins with "*" in quotes']);
  }
}

function describe(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_key':
      return withPlace(issue.path, issue.issues[0]?.message ?? issue.message);
    case 'unrecognized_keys':
      return withPlace(issue.path, `has settings that do not exist: ${issue.keys.map(shownName).join(', ')}`);
    default:
      return withPlace(issue.path, issue.message);
  }
}

/** Longer than any setting, shorter than a secret in base64. */
const NAME_SHOWN_MAX_CHARACTERS = 30;

/** A name as it may be shown: a secret comes to stand where names do when the colon before it is forgotten. */
function shownName<Name extends PropertyKey>(name: Name): Name | string {
  return typeof name === 'string' && name.length > NAME_SHOWN_MAX_CHARACTERS ? `${name.slice(0, 4)}…` : name;
}

/** A problem with its place. */
function withPlace(path: readonly PropertyKey[], message: string): string {
  const where = placeOf(path.map(shownName));
  return where === '' ? message : `${where}: ${message}`;
}
