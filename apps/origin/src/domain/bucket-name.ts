import { isBucketName } from '@sluice/contracts';
import { S3Error } from './s3-error.ts';

/** Paths that the origin answers itself: a bucket of such a name could not be listed. */
const OWN_PATHS: ReadonlySet<string> = new Set(['healthz', 'readyz', 'metrics']);

/** The bucket of a content key. */
export function bucketOf(key: string): string {
  return key.slice(0, key.indexOf('/'));
}

/** Why a bucket cannot be called so, or undefined. */
export function newBucketProblem(name: string): string | undefined {
  try {
    checkNewBucket(name);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/**
 * Refuses what cannot be the name of a new bucket, by the rules of https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html.
 * Names of one and two characters, which S3 does not have, are possible.
 * @throws {S3Error} `InvalidBucketName`
 */
export function checkNewBucket(name: string): void {
  if (!isBucketName(name)) {
    throw new S3Error(
      'InvalidBucketName',
      'a bucket name has 1 to 63 characters of a-z, 0-9, "." and "-", beginning and ending with a letter or digit, and no ".."',
    );
  }
  if (OWN_PATHS.has(name)) {
    throw new S3Error('InvalidBucketName', `"/${name}" is a path of the origin itself; choose another name for the bucket`);
  }
  if (/^\d{1,3}(?:\.\d{1,3}){3}$/.test(name)) throw new S3Error('InvalidBucketName', 'a bucket name must not look like an IP address');
}
