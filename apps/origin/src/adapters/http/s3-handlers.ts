/** Every operation of the S3 API that the origin takes, with what answers it. */
import { deleteObject } from './delete-object.ts';
import { getObject } from './get-object.ts';
import { type MultipartParts, multipartHandlers } from './multipart.ts';
import type { MultipartCompletion } from './multipart-completion.ts';
import { listMultipartUploads, listParts } from './multipart-lists.ts';
import type { S3Handler, S3Handlers } from './s3-handler.ts';

export interface S3Parts extends MultipartParts {
  readonly completion: MultipartCompletion;
}

export function s3Handlers(parts: S3Parts): S3Handlers {
  const { uploads, catalog } = parts;
  const get: S3Handler<'object'> = (exchange, request) => getObject(exchange, request, parts);
  const onObjects = {
    GetObject: get,
    HeadObject: get,
    PutObject: (exchange, { resource }) => uploads.put(exchange, resource.key),
    DeleteObject: (exchange, { resource }) => deleteObject(exchange, resource.key, parts),
    ...multipartHandlers(parts),
    CompleteMultipartUpload: parts.completion.handle,
    ListParts: listParts(catalog),
  } satisfies { [Name: string]: S3Handler<'object'> };
  return { ...onObjects, ListMultipartUploads: listMultipartUploads(catalog) };
}
