/** From a request target (RFC 9112 §3.2) to what it names in S3's path style. */
import { isBucketName, KEY_MAX_BYTES, keyProblem } from '@sluice/contracts';
import { S3Error } from './s3-error.ts';

/** `key` is a content key, so it begins with the bucket. */
export type Resource =
  | { readonly kind: 'service' }
  | { readonly kind: 'bucket'; readonly bucket: string }
  | { readonly kind: 'object'; readonly bucket: string; readonly key: string };

/** The raw path of a target, without authority and query. */
export function targetPath(target: string): string {
  const path = target.replace(/^https?:\/\/[^/?#]*/i, '');
  const query = path.indexOf('?');
  return query === -1 ? path : path.slice(0, query);
}

/** The query of a target, decoded. */
export function targetQuery(target: string): URLSearchParams {
  const query = target.indexOf('?');
  return new URLSearchParams(query === -1 ? '' : target.slice(query + 1));
}

/**
 * What a request target names. Percent-encoding is undone once and exactly; `+` stands for itself.
 * @throws {S3Error} `InvalidURI`, `InvalidBucketName`, `KeyTooLongError`, `InvalidArgument`
 */
export function resourceOf(target: string): Resource {
  const path = decodePath(targetPath(target));
  if (path === '') return { kind: 'service' };
  const slash = path.indexOf('/');
  const bucket = slash === -1 ? path : path.slice(0, slash);
  if (slash !== -1 && slash < path.length - 1) return { kind: 'object', bucket, key: checkedKey(path) };
  if (!isBucketName(bucket)) {
    throw new S3Error(
      'InvalidBucketName',
      'a bucket name has 1 to 63 characters of a-z, 0-9, "." and "-", beginning and ending with a letter or digit',
    );
  }
  return { kind: 'bucket', bucket };
}

/** A content key that is one. @throws {S3Error} `KeyTooLongError`, `InvalidArgument` */
export function checkedKey(key: string): string {
  if (new TextEncoder().encode(key).byteLength > KEY_MAX_BYTES) {
    throw new S3Error('KeyTooLongError', `bucket and key are longer than ${KEY_MAX_BYTES} bytes together; shorten the key`);
  }
  const problem = keyProblem(key);
  if (problem !== undefined) throw new S3Error('InvalidArgument', `the key ${problem}`);
  return key;
}

function decodePath(path: string): string {
  if (!path.startsWith('/')) throw new S3Error('InvalidURI', 'the request target must be a path that begins with "/"');
  if (!/^[\x21-\x7e]*$/.test(path)) throw new S3Error('InvalidURI', 'the path has characters that must be percent-encoded');
  try {
    return decodeURIComponent(path.slice(1));
  } catch (error) {
    throw new S3Error(
      'InvalidURI',
      'the path has invalid percent-encoding; "%" must be written as %25, and the bytes must be UTF-8',
      error,
    );
  }
}
