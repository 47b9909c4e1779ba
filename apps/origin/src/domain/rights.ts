/** Which rights an operation needs, and on which buckets. */
import type { Selector } from '@sluice/contracts';
import type { Fields } from '@sluice/http-semantics';
import { EVERY_BUCKET, type Need, type Right, SOME_BUCKET } from './access-key.ts';
import { copySource } from './copy-request.ts';
import type { Operation } from './s3-operation.ts';
import type { Resource } from './s3-resource.ts';

/** On the bucket that the request names; the list of buckets needs it on some, and tells of those. */
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

/** Whether an operation is about what is to become content, or to go. */
export function changesContent(operation: Operation): boolean {
  return RIGHT_OF[operation] === 'write' || RIGHT_OF[operation] === 'delete';
}

/** They read another object, which the header names. */
const COPIES: ReadonlySet<Operation> = new Set(['CopyObject', 'UploadPartCopy']);

/** @throws {S3Error} `InvalidArgument` when the source of a copy names no bucket */
export function needsOf(operation: Operation, resource: Resource, headers: Fields): readonly Need[] {
  const own: Need = { right: RIGHT_OF[operation], bucket: resource.kind === 'service' ? SOME_BUCKET : resource.bucket };
  return COPIES.has(operation) ? [own, { right: 'read', bucket: copySource(headers).bucket }] : [own];
}

/** An invalidation needs its right on what it covers: a beginning without a whole bucket name, a tag and everything are in any bucket. */
export function needsOfInvalidation(selector: Selector): readonly Need[] {
  return [{ right: 'invalidate', bucket: bucketAround('key' in selector ? selector.key : 'prefix' in selector ? selector.prefix : '') }];
}

/** A rollback writes what begins so. */
export function needsOfRollback(beginning: string): readonly Need[] {
  return [{ right: 'write', bucket: bucketAround(beginning) }];
}

function bucketAround(beginning: string): string {
  const slash = beginning.indexOf('/');
  return slash === -1 ? EVERY_BUCKET : beginning.slice(0, slash);
}
