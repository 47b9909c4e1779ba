import { availableParallelism, hostname } from 'node:os';
import { edgeId, region } from '@sluice/contracts';
import {
  adminOpenVariable,
  bytesVariable,
  checkAdminAccess,
  checkBrokerAccess,
  commonVariables,
  integerVariable,
  portVariable,
} from '@sluice/runtime';
import { z } from 'zod';
import { ACCESS_LOG_FORMATS } from './domain/access-log.ts';
import { parseTrustedRanges } from './domain/trusted-ranges.ts';

/** A host name as an edge id: dots and other characters that a NATS token may not have become dashes. */
function idFromHostname(): string {
  return hostname()
    .replace(/[^A-Za-z0-9_-]/g, '-')
    .slice(0, 64);
}

const trustedRangesVariable = z.string().transform((text, context) => {
  const { ranges, problems } = parseTrustedRanges(text);
  for (const message of problems) context.addIssue({ code: 'custom', message });
  return ranges;
});

/** The environment of an edge. Each name is explained in the README's configuration table. */
export const edgeVariables = z
  .strictObject({
    ...commonVariables,
    EDGE_ID: edgeId.default(idFromHostname),
    /** Holds one directory of credentials for each of several edges: one that is free is taken, and its name is the id. Instead of EDGE_ID and files. */
    EDGE_CREDENTIALS_DIR: z.string().optional(),
    EDGE_REGION: region.default('US'),
    EDGE_HOST: z.string().default('127.0.0.1'),
    /** 0: any free port. */
    EDGE_PORT: portVariable.default(8080),
    /** Tokens of those who may see metrics and the reasons of readiness, one a line; see docs/security.md. Absent: they are shown on loopback only. */
    EDGE_ADMIN_TOKEN_FILE: z.string().optional(),
    /** Shows them to every visitor. */
    EDGE_ADMIN_OPEN: adminOpenVariable,
    /** TLS with HTTP/2 and HTTP/1.1, beside the plain port; 0: any free port. Absent: no TLS. */
    EDGE_TLS_PORT: portVariable.optional(),
    /** PEM, with the chain behind the certificate: for all hosts whose site has no certificate of its own. */
    EDGE_TLS_CERT_FILE: z.string().optional(),
    EDGE_TLS_KEY_FILE: z.string().optional(),
    /** Where visitors reach this edge; shown by `sluice edges`. Default: made of host and port. */
    EDGE_URL: z.url('must be an absolute URL').optional(),
    /** Web sites by host name, see docs/sites.md. Absent: every bucket under its own name. */
    EDGE_SITES_FILE: z.string().optional(),
    /** PEM, one public key of the origin or several: nothing is done but what one of them has signed, see docs/security.md. Absent: signatures are not looked at. */
    EDGE_ORIGIN_PUBLIC_KEYS_FILE: z.string().optional(),
    EDGE_DATA_DIR: z.string().default('./data/edge'),
    /** Most bytes of content kept on disk. The manifests come on top. */
    EDGE_CAPACITY_BYTES: bytesVariable.default(10 * 1024 ** 3),
    /** How fast what is on the disk is read again to find what the disk has damaged; 0: not at all. */
    EDGE_SCRUB_BYTES_PER_SECOND: bytesVariable.default(1024 ** 2),
    /** Most bytes of content kept in memory above the disk; 0 for none. */
    EDGE_MEMORY_BYTES: bytesVariable.default(256 * 1024 ** 2),
    /** Threads that answer visitors, apart from the one that keeps this edge's copy; 0: none, visitors share that one. Default: a core each, but one for that one, and at most 8: each takes 30 MB. */
    EDGE_SERVING_THREADS: integerVariable(0, 64).default(Math.min(8, Math.max(1, availableParallelism() - 1))),
    /** How often the edge asks what changed, when nothing makes it ask earlier. */
    EDGE_CATCH_UP_INTERVAL_MS: integerVariable(100, 3_600_000).default(30_000),
    /** How long a 404 of the origin is remembered. */
    EDGE_NEGATIVE_TTL_MS: integerVariable(0, 60_000).default(5_000),
    /** Milliseconds for which it goes on serving after it was told to stop, while `/readyz` says so already: whoever shares the visitors out has to see it in that time. */
    EDGE_STOP_NOTICE_MS: integerVariable(0, 300_000).default(0),
    /** One line for each request, and where to: absent, standard output. See docs/http.md. */
    EDGE_ACCESS_LOG: z.enum(['off', ...ACCESS_LOG_FORMATS], 'must be off, combined or json').default('off'),
    EDGE_ACCESS_LOG_FILE: z.string().optional(),
    /** Whose word is taken for the address of a visitor. */
    EDGE_TRUSTED_PROXIES: trustedRangesVariable.default([]),
    /** Whether connections begin with a PROXY header, as those of trusted proxies then must. */
    EDGE_PROXY_PROTOCOL: z.enum(['off', 'on'], 'must be off or on').default('off'),
  })
  .refine((config) => config.EDGE_PROXY_PROTOCOL === 'off' || config.EDGE_TRUSTED_PROXIES.length > 0, {
    message: 'needs EDGE_TRUSTED_PROXIES, because only connections from trusted proxies are taken then',
    path: ['EDGE_PROXY_PROTOCOL'],
  })
  .refine((config) => config.EDGE_ACCESS_LOG_FILE === undefined || config.EDGE_ACCESS_LOG !== 'off', {
    message: 'is without effect while EDGE_ACCESS_LOG is off: set that to combined or json',
    path: ['EDGE_ACCESS_LOG_FILE'],
  })
  .refine(
    (config) =>
      config.EDGE_CREDENTIALS_DIR === undefined ||
      (config.NATS_NKEY_FILE === undefined && config.NATS_CA_FILE === undefined && config.NATS_USER === undefined),
    {
      message: 'has a key and an authority for each edge: leave out NATS_NKEY_FILE, NATS_CA_FILE and NATS_USER',
      path: ['EDGE_CREDENTIALS_DIR'],
    },
  )
  .superRefine(checkAdminAccess('EDGE'))
  .superRefine(checkBrokerAccess);
export type EdgeConfig = Readonly<z.output<typeof edgeVariables>>;
