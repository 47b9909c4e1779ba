/** S3's virtual-hosted style, https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html: the name of the host begins with the bucket. */
import { isBucketName } from '@sluice/contracts';
import { S3Error } from './s3-error.ts';

/** The scheme and authority of a target in absolute form (RFC 9112 §3.2.2). */
const AUTHORITY = /^https?:\/\/([^/?#]*)/i;

/**
 * A target as it would be in path style. `host` is the field, which is signed; an authority in the target is not, and must say the same. `domains`: the names below which buckets
 * are hosts, in lower case.
 * @throws {S3Error} `InvalidBucketName`; `InvalidRequest` when target and field name different hosts
 */
export function inPathStyle(target: string, host: string | undefined, domains: readonly string[]): string {
  if (domains.length === 0) return target;
  const authority = AUTHORITY.exec(target);
  if (authority !== null && authority[1]?.toLowerCase() !== host?.toLowerCase()) {
    throw new S3Error('InvalidRequest', 'Host must name the same host as the request target');
  }
  const bucket = bucketOfHost(host ?? '', domains);
  if (bucket === undefined) return target;
  const rest = target.slice(authority?.[0].length ?? 0);
  // What does not go on as a path is left for the check of paths to refuse.
  return rest === '' || /^[/?]/.test(rest) ? `/${bucket}${rest}` : target;
}

/** Whether a host, with its port or without, is below one of the domains, so that requests for it are about a bucket. */
export function isBelowDomain(host: string, domains: readonly string[]): boolean {
  return domainAbove(nameOf(host), domains) !== undefined;
}

/** Undefined: the host is one of the domains itself, or another one, so the path names the bucket. @throws {S3Error} `InvalidBucketName` */
function bucketOfHost(host: string, domains: readonly string[]): string | undefined {
  const name = nameOf(host);
  const domain = domainAbove(name, domains);
  if (domain === undefined) return undefined;
  const bucket = name.slice(0, -domain.length - 1);
  if (isBucketName(bucket)) return bucket;
  throw new S3Error('InvalidBucketName', `Host names no bucket below ${domain}: the label before it is the bucket's name`);
}

function domainAbove(name: string, domains: readonly string[]): string | undefined {
  if (domains.includes(name)) return undefined;
  // One domain may be below another.
  return domains.filter((domain) => name.endsWith(`.${domain}`)).toSorted((a, b) => b.length - a.length)[0];
}

/** Without the port, and the dot that a full name may end with. */
function nameOf(host: string): string {
  return host.toLowerCase().replace(/\.?(?::\d*)?$/, '');
}
