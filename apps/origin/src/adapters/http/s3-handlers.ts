/** Every operation of the S3 API that the origin takes, with what answers it. */
import type { Catalog } from '../catalog/catalog.ts';
import type { OriginMetrics } from '../metrics.ts';
import { deleteObject } from './delete-object.ts';
import { type GetOptions, getObject } from './get-object.ts';
import type { Uploads } from './put-object.ts';
import type { S3Handler, S3Handlers } from './s3-handler.ts';

export interface S3Parts extends GetOptions {
  readonly catalog: Catalog;
  readonly uploads: Uploads;
  readonly metrics: OriginMetrics;
}

export function s3Handlers(parts: S3Parts): S3Handlers {
  const { uploads } = parts;
  const get: S3Handler<'object'> = (exchange, { resource }) => getObject(exchange, resource.key, parts);
  return {
    GetObject: get,
    HeadObject: get,
    PutObject: (exchange, { resource }) => uploads.put(exchange, resource.key),
    DeleteObject: (exchange, { resource }) => deleteObject(exchange, resource.key, parts),
  } satisfies { [Name: string]: S3Handler<'object'> };
}
