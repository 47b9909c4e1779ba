/**
 * A link that is signed with Version 2, which s3cmd and older clients make. It reads one object, and does nothing else.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html#RESTAuthenticationQueryStringAuth
 */
import { type Fields, fieldOf } from '@sluice/http-semantics';
import { isAmbiguousV2, SIGNED_PARAMETERS_V2 } from '@sluice/sigv4';
import { S3Error } from './s3-error.ts';
import type { Resource } from './s3-resource.ts';
import { isPresigned, refuseTwoSignatures } from './signature-claim.ts';

export interface OldLinkClaim {
  readonly accessKeyId: string;
  /** As it was signed, and in milliseconds since the epoch. */
  readonly expires: string;
  readonly expiresMs: number;
  /** In base64. */
  readonly signature: string;
}

const PARAMETERS = ['AWSAccessKeyId', 'Expires', 'Signature'] as const;
const KNOWN: ReadonlySet<string> = new Set([...PARAMETERS, ...SIGNED_PARAMETERS_V2]);

/** Whether the query has a signature of Version 2, or means to. */
export function isOldLink(query: URLSearchParams): boolean {
  return PARAMETERS.some((name) => query.has(name));
}

/** What is not signed must not be there, and nothing may be read in two ways. @throws {S3Error} when the request is no link that reads an object, or cannot be read */
export function oldLinkClaimOf(method: string, kind: Resource['kind'], headers: Fields, query: URLSearchParams): OldLinkClaim {
  if (fieldOf(headers, 'authorization') !== undefined) refuseTwoSignatures();
  if (isPresigned(query))
    throw new S3Error('InvalidArgument', 'the link has parameters of Signature Version 2 and of Version 4; make it anew');
  if ((method !== 'GET' && method !== 'HEAD') || kind !== 'object') {
    throw denied('links of Signature Version 2 read objects and do nothing else; make the link with Version 4');
  }
  for (const [name, value] of query) {
    if (!KNOWN.has(name))
      throw denied(`Signature Version 2 does not sign the parameter "${name}"; take it out, or make the link with Version 4`);
    if (query.getAll(name).length > 1) throw denied(`the parameter "${name}" must be there once`);
    if (isAmbiguousV2(value)) {
      throw denied(`Signature Version 2 signs the value of "${name}" as it would a further parameter; make the link with Version 4`);
    }
  }
  const [accessKeyId, expires, signature] = PARAMETERS.map((name) => query.get(name)) as [string | null, string | null, string | null];
  if (accessKeyId === null || expires === null || signature === null) {
    throw denied('Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters');
  }
  if (!/^\d{1,10}$/.test(expires)) throw denied('Invalid date (should be seconds since epoch): Expires must have 1 to 10 digits');
  return { accessKeyId, expires, expiresMs: Number(expires) * 1000, signature };
}

function denied(message: string): S3Error {
  return new S3Error('AccessDenied', message);
}
