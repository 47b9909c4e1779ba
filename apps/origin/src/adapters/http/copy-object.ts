import type { UploadDefaults } from '../../domain/bucket-settings.ts';
import { checkCopySource, copyFields, copySource } from '../../domain/copy-request.ts';
import { writeGuard } from '../../domain/write-guard.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { announcementHeaders } from './announcement-headers.ts';
import type { Exchange } from './exchange.ts';
import { refuseMissing } from './missing.ts';

/** CopyObject: `key` gets the content that the source has in the transaction that copies it. No bytes move. @throws {S3Error} to be sent to the client */
export async function copyObject(exchange: Exchange, key: string, catalog: Catalog, defaults: UploadDefaults): Promise<void> {
  const { headers } = exchange.request;
  const source = copySource(headers);
  const plan: Parameters<Catalog['copy']>[2] = (object) => {
    checkCopySource(headers, object);
    return copyFields(key, headers, object, { isVersion: source.version !== undefined, defaults });
  };
  const copied = (await catalog.copy(source, key, plan, writeGuard(key, headers))) ?? refuseMissing(catalog, source.key, source.version);
  exchange.answerXml('CopyObjectResult', { ETag: `"${copied.etag}"`, LastModified: copied.manifest.uploadedAt }, [
    ...announcementHeaders(copied),
    ['x-amz-version-id', String(copied.version)],
  ]);
}
