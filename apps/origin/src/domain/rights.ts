/** Which rights an operation needs, and on which buckets. */
import type { Selector } from '@sluice/contracts';
import { type Fields, fieldOf } from '@sluice/http-semantics';
import { EVERY_BUCKET, type Need, type Right } from './access-key.ts';
import { S3Error } from './s3-error.ts';
import type { Operation } from './s3-operation.ts';
import type { Resource } from './s3-resource.ts';

/** On the bucket that the request names; one without a bucket needs the right on all of them. */
const RIGHT_OF: Readonly<Record<Operation, Right>> = {
  ListBuckets: 'list',

  CreateBucket: 'write',
  HeadBucket: 'list',
  DeleteBucket: 'delete',
  GetBucketLocation: 'list',
  GetBucketVersioning: 'list',
  ListObjectVersions: 'list',
  ListMultipartUploads: 'list',
  ListObjectsV2: 'list',
  ListObjects: 'list',
  DeleteObjects: 'delete',

  CreateMultipartUpload: 'write',
  UploadPartCopy: 'write',
  UploadPart: 'write',
  CompleteMultipartUpload: 'write',
  // An upload that is not complete has not changed anything yet: its parts are the writer's.
  AbortMultipartUpload: 'write',
  ListParts: 'write',
  GetObjectTagging: 'read',
  PutObjectTagging: 'write',
  DeleteObjectTagging: 'write',
  CopyObject: 'write',
  PutObject: 'write',
  GetObject: 'read',
  HeadObject: 'read',
  DeleteObject: 'delete',
};

const COPY_SOURCE_HEADER = 'x-amz-copy-source';
/** They read another object, which the header names. */
const COPIES: ReadonlySet<Operation> = new Set(['CopyObject', 'UploadPartCopy']);

/** @throws {S3Error} `InvalidArgument` when the source of a copy names no bucket */
export function needsOf(operation: Operation, resource: Resource, headers: Fields): readonly Need[] {
  const own: Need = { right: RIGHT_OF[operation], bucket: resource.kind === 'service' ? EVERY_BUCKET : resource.bucket };
  return COPIES.has(operation) ? [own, { right: 'read', bucket: copySourceBucket(headers) }] : [own];
}

/** An invalidation needs its right on what it covers: a beginning without a whole bucket name, a tag and everything are in any bucket. */
export function needsOfInvalidation(selector: Selector): readonly Need[] {
  const beginning = 'key' in selector ? selector.key : 'prefix' in selector ? selector.prefix : '';
  const slash = beginning.indexOf('/');
  return [{ right: 'invalidate', bucket: slash === -1 ? EVERY_BUCKET : beginning.slice(0, slash) }];
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html: `bucket/key`, percent-encoded, with or without a slash before it. */
function copySourceBucket(headers: Fields): string {
  const source = fieldOf(headers, COPY_SOURCE_HEADER) ?? '';
  try {
    const [bucket = ''] = decodeURIComponent(source).replace(/^\//, '').split('/', 1);
    if (bucket !== '' && bucket !== EVERY_BUCKET) return bucket;
  } catch {
    // Not percent-encoding: it names nothing.
  }
  throw new S3Error('InvalidArgument', `${COPY_SOURCE_HEADER}: must be <bucket>/<key>, percent-encoded`);
}
