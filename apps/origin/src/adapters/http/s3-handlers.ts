/** Every operation of the S3 API that the origin takes, with what answers it. */
import { type BucketHandlers, bucketHandlers } from './buckets.ts';
import { copyObject } from './copy-object.ts';
import { deleteObject } from './delete-object.ts';
import { deleteObjects } from './delete-objects.ts';
import { getObject } from './get-object.ts';
import { listObjects, listObjectsV2 } from './list-objects.ts';
import { listVersions } from './list-versions.ts';
import { type MultipartParts, multipartHandlers } from './multipart.ts';
import type { MultipartCompletion } from './multipart-completion.ts';
import { listMultipartUploads, listParts } from './multipart-lists.ts';
import { type TaggingHandlers, taggingHandlers } from './object-tagging.ts';
import type { S3Handler, S3Handlers } from './s3-handler.ts';

export interface S3Parts extends MultipartParts {
  readonly completion: MultipartCompletion;
}

/** Those of which the handlers are made here. */
type OwnHandlers = {
  readonly [Name in 'ListObjects' | 'ListObjectsV2' | 'ListObjectVersions' | 'DeleteObjects' | 'ListMultipartUploads']: S3Handler<'bucket'>;
} & {
  readonly [Name in
    | 'GetObject'
    | 'HeadObject'
    | 'PutObject'
    | 'CopyObject'
    | 'DeleteObject'
    | 'CompleteMultipartUpload'
    | 'ListParts']: S3Handler<'object'>;
};

export function s3Handlers(parts: S3Parts): S3Handlers {
  const { uploads, catalog } = parts;
  const get: S3Handler<'object'> = (exchange, { resource, query }) => getObject(exchange, resource.key, query, parts);
  return {
    ...bucketHandlers(parts),
    ListObjects: (exchange, { resource, query }) => listObjects(exchange, resource.bucket, query, catalog),
    ListObjectsV2: (exchange, { resource, query }) => listObjectsV2(exchange, resource.bucket, query, catalog),
    ListObjectVersions: (exchange, { resource, query }) => listVersions(exchange, resource.bucket, query, catalog),
    DeleteObjects: (exchange, { resource }) => deleteObjects(exchange, resource.bucket, parts),
    GetObject: get,
    HeadObject: get,
    PutObject: (exchange, { resource, query }) => uploads.put(exchange, resource.key, query),
    CopyObject: (exchange, { resource }) => copyObject(exchange, resource.key, catalog, parts.bucketSettings(resource.key).uploads),
    DeleteObject: (exchange, { resource, query }) => deleteObject(exchange, resource.key, query, parts),
    ...taggingHandlers(catalog),
    ...multipartHandlers(parts),
    CompleteMultipartUpload: parts.completion.handle,
    ListParts: listParts(catalog),
    ListMultipartUploads: listMultipartUploads(catalog),
  } satisfies BucketHandlers & TaggingHandlers & OwnHandlers;
}
