/** The sites file: YAML → {@link Sites}, or every problem in it. */
import { fieldValue, isBucketName, keyProblem } from '@sluice/contracts';
import { parseDocument } from 'yaml';
import { z } from 'zod';
import { PATH_STYLE_ONLY, type Site, type Sites } from './domain/sites/site.ts';

/** The sites file cannot be used. `problems` has one line for each thing to mend. */
export class SitesConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(
      `the sites file has ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}:\n${problems.map((problem) => `  ${problem}`).join('\n')}`,
    );
    this.name = 'SitesConfigError';
    this.problems = problems;
  }
}

/** What an edge says itself, and what HTTP frames messages with. */
const OWN_FIELDS = new Set(
  'accept-ranges age cache-status connection content-encoding content-length content-range content-type date etag keep-alive last-modified location repr-digest trailer transfer-encoding upgrade vary x-sluice-version'.split(
    ' ',
  ),
);
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/;
const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const HOST = new RegExp(`^(?:\\*\\.)?(?:${LABEL}\\.)*${LABEL}$`);

const fieldName = z.string().regex(TOKEN, 'must be the name of a header field');
const path = z
  .string()
  .refine(
    (text) => !text.startsWith('/') && keyProblem(`b/${text}`) === undefined,
    'must be a path without a slash at its beginning, such as 404.html',
  );

const cors = z.strictObject({
  origins: z.union(
    [z.literal('*'), z.array(z.string().regex(/^https?:\/\/[^/\s]+$/, 'must be an origin such as https://app.example.com')).min(1)],
    {
      error: 'must be "*" or a list of origins such as https://app.example.com',
    },
  ),
  headers: z.array(fieldName).default([]),
  exposedHeaders: z.array(fieldName).default([]),
  credentials: z.boolean().default(false),
  maxAgeSeconds: z.int().min(0).max(86_400).default(600),
});

const site = z
  .strictObject({
    name: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'must be 1 to 64 characters of A-Z, a-z, 0-9, "_" and "-"'),
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
  })
  .transform(
    ({ headers, index, notFound, singlePage, cors: corsOfSite, ...rest }): Site => ({
      ...rest,
      ...{ index, notFound, singlePage, cors: corsOfSite },
      headers: Object.entries(headers).flat(),
    }),
  );

const sitesFile = z
  .strictObject({
    sites: z.array(site).max(10_000),
    /** The name of the site that answers unknown hosts. */
    default: z.string().optional(),
    pathStyle: z.boolean().default(false),
  })
  .superRefine(({ sites, default: fallback }, context) => {
    const seen = new Set<string>();
    sites.forEach(({ name, hosts }, at) => {
      for (const [what, value, ...rest] of [['name', name] as const, ...hosts.map((host, index) => ['host', host, index] as const)]) {
        if (seen.has(`${what} ${value}`)) {
          context.addIssue({
            code: 'custom',
            path: ['sites', at, what === 'name' ? 'name' : 'hosts', ...rest],
            message: `"${value}" is there twice`,
          });
        }
        seen.add(`${what} ${value}`);
      }
    });
    if (fallback !== undefined && !sites.some(({ name }) => name === fallback)) {
      context.addIssue({ code: 'custom', path: ['default'], message: `there is no site "${fallback}"` });
    }
  });

/** @throws {SitesConfigError} with every problem at once */
export function parseSites(text: string): Sites {
  const result = sitesFile.safeParse(readYaml(text));
  if (!result.success) throw new SitesConfigError(result.error.issues.map(describe));
  const { sites, default: fallback, pathStyle } = result.data;
  return { ...PATH_STYLE_ONLY, sites, fallback: sites.find(({ name }) => name === fallback), pathStyle };
}

function readYaml(text: string): unknown {
  const document = parseDocument(text, { prettyErrors: true });
  if (document.errors.length > 0) throw new SitesConfigError(document.errors.map(({ message }) => message.split('\n')[0] ?? message));
  try {
    return document.toJS({ maxAliasCount: 100 }) ?? {};
  } catch (error) {
    // An alias that leads nowhere, or aliases of aliases that would fill the memory.
    throw new SitesConfigError([(error as Error).message]);
  }
}

function describe(issue: z.core.$ZodIssue): string {
  const where = issue.path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '');
  const message = issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message;
  return where === '' ? message : `${where}: ${message}`;
}
