import { isIPv4 } from 'node:net';
import { availableParallelism } from 'node:os';
import { resolve, sep } from 'node:path';
import {
  adminOpenVariable,
  bytesVariable,
  checkAdminAccess,
  checkBrokerAccess,
  commonVariables,
  integerVariable,
  isLoopbackHost,
  portVariable,
} from '@sluice/runtime';
import { z } from 'zod';
import { VERSIONS_KEPT_MAX } from './buckets-config.ts';
import { checkSource, sourceVariables } from './source-config.ts';

/** Each host's name is compared with each of them. */
const DOMAINS_MAX = 16;
const DOMAIN = /^(?=.{1,189}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;

/** `s3.example.com,s3.internal`, with room for a bucket's name before it in the 253 characters of a host name (RFC 1035 §2.3.4). */
const domainsVariable = z
  .string()
  .transform((text) => text.split(',').map((domain) => domain.trim().toLowerCase()))
  .refine(
    (domains) => domains.length <= DOMAINS_MAX && domains.every((domain) => DOMAIN.test(domain) && !isIPv4(domain)),
    `must be one domain such as s3.example.com, or up to ${DOMAINS_MAX} separated by commas, without scheme, port and "*"`,
  );

/** The origin's environment (DESIGN §7). Variables beyond host, port and directory are bounds that rarely need a change. */
export const originConfigSchema = z
  .strictObject({
    ...commonVariables,
    ...sourceVariables,
    ORIGIN_HOST: z.string().default('127.0.0.1'),
    /** Access keys and their rights, see docs/s3.md. Absent: there are none, and the origin listens on loopback only. */
    ORIGIN_KEYS_FILE: z.string().optional(),
    /** What holds for all uploads into a bucket, see docs/s3.md. */
    ORIGIN_BUCKETS_FILE: z.string().optional(),
    /** Lets an origin without keys listen on other interfaces. */
    ORIGIN_ANYONE_MAY_WRITE: z.enum(['no', 'yes'], 'must be no or yes').default('no'),
    /** Tokens of those who may see metrics and the reasons of readiness, one a line; see docs/security.md. Absent: they are shown on loopback only. */
    ORIGIN_ADMIN_TOKEN_FILE: z.string().optional(),
    /** Shows them to everybody who reaches the origin, without tokens; so does ORIGIN_ANYONE_MAY_WRITE. */
    ORIGIN_ADMIN_OPEN: adminOpenVariable,
    /** Ed25519, PKCS #8 in PEM: what this origin says is signed with it, see docs/security.md. Absent: nothing is. */
    ORIGIN_SIGNING_KEY_FILE: z.string().optional(),
    /** Whether purges are taken from the broker although this origin signs. */
    ORIGIN_BROKER_PURGE: z.enum(['no', 'yes'], 'must be no or yes').default('no'),
    /** 0 = any free port; the log's `listening` line says which. */
    ORIGIN_PORT: portVariable.default(9000),
    /** Where edges reach this origin's HTTP side; made of host and port when absent. They use it for large blobs, when they can. */
    ORIGIN_URL: z.url({ protocol: /^https?$/, error: 'must be an absolute http or https URL' }).optional(),
    /** `s3.example.com`, or several: requests for `<bucket>.s3.example.com` are about that bucket. Absent: only the path names it. */
    ORIGIN_S3_DOMAIN: domainsVariable.default([]),
    /** Holds `catalog.db` and `blobs/`. */
    ORIGIN_DATA_DIR: z.string().default('./data/origin'),
    /** How fast what is on the disk is read again to find what the disk has damaged; 0: not at all. */
    ORIGIN_SCRUB_BYTES_PER_SECOND: bytesVariable.default(1024 ** 2),
    /** Uploads under way at once; one more is answered 503 SlowDown. */
    ORIGIN_UPLOADS_MAX: integerVariable(1, 100_000).default(512),
    /** Multipart uploads open at once; one more is answered 503 SlowDown. */
    ORIGIN_MULTIPART_UPLOADS_MAX: integerVariable(1, 100_000).default(10_000),
    /** Days after which a multipart upload of which no more parts have come is removed with its parts. */
    ORIGIN_MULTIPART_EXPIRY_DAYS: integerVariable(1, 3650).default(7),
    /** Days for which removals and invalidations stay in the feed. An edge that was away for longer starts over. */
    ORIGIN_FEED_RETENTION_DAYS: integerVariable(1, 3650).default(30),
    /** Removals, and likewise invalidations, that the feed remembers; what is more is forgotten oldest first. */
    ORIGIN_FEED_MAX_ROWS: integerVariable(1, 10_000_000).default(200_000),
    /** Versions of each object that are kept, with the current one, where the buckets file says nothing. The bytes before it are kept anyway, for patches. */
    ORIGIN_VERSIONS_KEPT: integerVariable(1, VERSIONS_KEPT_MAX).default(2),
    /** Events that wait for the broker. Those beyond it are not announced: the edges find the change by catching up. */
    ORIGIN_OUTBOX_MAX: integerVariable(1, 10_000_000).default(100_000),
    /** Contents that are being coded (br, zstd, gzip) at once, each on a thread of the lowest priority; 0: none are. */
    ORIGIN_CODING_THREADS: integerVariable(0, 64).default(() => Math.max(1, Math.min(4, Math.floor(availableParallelism() / 2)))),
  })
  .refine(
    (config) => config.ORIGIN_KEYS_FILE !== undefined || config.ORIGIN_ANYONE_MAY_WRITE === 'yes' || isLoopbackHost(config.ORIGIN_HOST),
    {
      message:
        'others could reach this origin, and it has no keys: name a file with keys in ORIGIN_KEYS_FILE, or listen on 127.0.0.1. With ORIGIN_ANYONE_MAY_WRITE=yes whoever reaches it may read and change everything',
      path: ['ORIGIN_HOST'],
    },
  )
  .refine((config) => config.ORIGIN_KEYS_FILE === undefined || config.ORIGIN_ANYONE_MAY_WRITE === 'no', {
    message: 'contradicts ORIGIN_KEYS_FILE: with keys nobody writes without one',
    path: ['ORIGIN_ANYONE_MAY_WRITE'],
  })
  .superRefine(checkAdminAccess('ORIGIN'))
  .superRefine(checkBrokerAccess)
  .superRefine(checkSource)
  .refine(({ ORIGIN_SOURCE_DIRECTORY: root, ORIGIN_DATA_DIR: dir }) => root === undefined || !isWithin(resolve(root), resolve(dir)), {
    message: 'is in ORIGIN_SOURCE_DIRECTORY: what the origin writes would be content; name a directory outside of it',
    path: ['ORIGIN_DATA_DIR'],
  });

function isWithin(root: string, path: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
}

export type OriginConfig = Readonly<z.output<typeof originConfigSchema>>;
