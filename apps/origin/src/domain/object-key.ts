/** From a request target (RFC 9112 §3.2) to what it names. */
import { KEY_MAX_BYTES, keyProblem } from '@sluice/contracts';
import { S3Error } from './s3-error.ts';

/** Query parameters that ask S3 for something else than the object itself. Not knowing them would store or return the wrong thing. */
const SUBRESOURCES = new Set([
  ...['accelerate', 'acl', 'analytics', 'attributes', 'cors', 'delete', 'encryption', 'inventory', 'legal-hold', 'lifecycle', 'location'],
  ...[
    'logging',
    'metrics',
    'notification',
    'object-lock',
    'ownershipControls',
    'partNumber',
    'policy',
    'policyStatus',
    'publicAccessBlock',
  ],
  ...['replication', 'requestPayment', 'restore', 'retention', 'select', 'select-type', 'session', 'tagging', 'torrent', 'uploadId'],
  ...['uploads', 'versionId', 'versioning', 'versions', 'website'],
]);

/** The raw path of a target, without authority and query. */
export function targetPath(target: string): string {
  const path = target.replace(/^https?:\/\/[^/?#]*/i, '');
  const query = path.indexOf('?');
  return query === -1 ? path : path.slice(0, query);
}

/**
 * The content key that a request target names. Percent-encoding is undone once and exactly; `+` stands for itself.
 * @throws {S3Error} `InvalidURI`, `KeyTooLongError`, `InvalidArgument`; `NotImplemented` for a bucket or an S3 subresource
 */
export function objectKey(target: string): string {
  const path = targetPath(target);
  const key = decodePath(path);
  const slash = key.indexOf('/');
  if (slash === -1 || slash === key.length - 1) {
    throw new S3Error('NotImplemented', 'requests for a whole bucket are not supported; name an object as /<bucket>/<path>');
  }
  refuseSubresources(target);
  if (new TextEncoder().encode(key).byteLength > KEY_MAX_BYTES) {
    throw new S3Error('KeyTooLongError', `the key is longer than ${KEY_MAX_BYTES} bytes; shorten it`);
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

function refuseSubresources(target: string): void {
  const query = target.indexOf('?');
  if (query === -1) return;
  for (const name of new URLSearchParams(target.slice(query + 1)).keys()) {
    if (SUBRESOURCES.has(name)) throw new S3Error('NotImplemented', `"?${name}" is not supported`);
  }
}
