/** Conditional writes: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html */
import { type Fields, fieldOf, listMembers } from '@sluice/http-semantics';
import { S3Error } from './s3-error.ts';

/**
 * Throws when what is there now forbids a write. Called inside the transaction that writes, so of two writes under the same condition the second one
 * sees the first, and S3's `ConditionalRequestConflict` never comes about. `etag` is the MD5 in hexadecimal.
 */
export type WriteGuard = (current: { readonly etag: string } | undefined) => void;

/** Conditions that S3 does not have for a write. Ignoring one would replace or remove the wrong thing. */
const UNSUPPORTED = ['if-modified-since', 'if-unmodified-since', 'x-amz-if-match-last-modified-time', 'x-amz-if-match-size'];

/** The conditions in the headers of a write of `key`: `If-None-Match: *` and `If-Match`. Undefined when there are none. @throws {S3Error} `NotImplemented` */
export function writeGuard(key: string, headers: Fields): WriteGuard | undefined {
  for (const name of UNSUPPORTED) {
    if (headers[name] !== undefined)
      throw new S3Error('NotImplemented', `${name}: not supported on writes; use If-Match or If-None-Match: *`);
  }
  const ifMatch = fieldOf(headers, 'if-match');
  const ifNoneMatch = fieldOf(headers, 'if-none-match')?.trim();
  if (ifNoneMatch !== undefined && ifNoneMatch !== '*') {
    throw new S3Error('NotImplemented', 'if-none-match: only "*" is possible on writes');
  }
  if (ifMatch === undefined && ifNoneMatch === undefined) return undefined;
  return (current) => {
    if (ifNoneMatch !== undefined && current !== undefined) {
      throw new S3Error('PreconditionFailed', `if-none-match: there is an object "${key}" already; nothing was changed`);
    }
    if (ifMatch !== undefined) requireMatch(key, ifMatch, current?.etag);
  };
}

/** Refuses when `etag` (of nothing: undefined) is not in an If-Match. Clients send entity tags with and without their quotes. */
function requireMatch(key: string, ifMatch: string, etag: string | undefined): void {
  if (etag === undefined) throw new S3Error('NoSuchKey', `if-match: there is no object "${key}"; nothing was changed`);
  const named = listMembers(ifMatch).some((member) => member === '*' || member === `"${etag}"` || member === etag);
  if (!named) throw new S3Error('PreconditionFailed', `if-match: the object "${key}" has the ETag "${etag}"; nothing was changed`);
}
