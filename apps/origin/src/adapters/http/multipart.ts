/** The operations of the S3 API on multipart uploads but completing and listing them. */
import type { Clock } from '@sluice/runtime';
import { checkNewBucket } from '../../domain/bucket-name.ts';
import { type BucketSettings, withDefaults } from '../../domain/bucket-settings.ts';
import { checkCopySource, copySource, copySourceRange } from '../../domain/copy-request.ts';
import { PART_MAX_BYTES, partNumberOf, type StoredPart } from '../../domain/multipart.ts';
import { checksumChoice, checksumElements, checksumHeaders, choiceHeaders, fullObject } from '../../domain/object-checksums.ts';
import { uploadFields } from '../../domain/upload-headers.ts';
import { bytesOf } from '../blobs/blob-bytes.ts';
import type { BlockDigestMaker } from '../blobs/block-digest-maker.ts';
import type { GarbageCollector } from '../blobs/garbage-collector.ts';
import type { MultipartUpload } from '../catalog/multipart-uploads.ts';
import type { OriginMetrics } from '../metrics.ts';
import { type GetOptions, openObject } from './get-object.ts';
import { answerPatiently } from './patient-answer.ts';
import { type BodySource, bodyOf, ClientGoneError, type Uploads } from './put-object.ts';
import type { S3Handler } from './s3-handler.ts';
import { S3_NAMESPACE, xmlElement } from './xml-document.ts';

export interface MultipartParts extends GetOptions {
  readonly uploads: Uploads;
  readonly garbage: GarbageCollector;
  readonly blocks: Pick<BlockDigestMaker, 'offer'>;
  readonly clock: Clock;
  readonly metrics: OriginMetrics;
  readonly bucketSettings: (key: string) => BucketSettings;
  /** Of all parts but the last; S3's when undefined. For tests. */
  readonly partMinBytes: number | undefined;
}

type Handlers = Readonly<Record<'CreateMultipartUpload' | 'UploadPart' | 'UploadPartCopy' | 'AbortMultipartUpload', S3Handler<'object'>>>;

export function multipartHandlers(parts: MultipartParts): Handlers {
  const { catalog, uploads, clock, metrics, bucketSettings } = parts;
  return {
    async CreateMultipartUpload(exchange, { resource: { bucket, key } }) {
      const { headers } = exchange.request;
      // As with any upload it comes to be when the object is there.
      if (!catalog.buckets.has(bucket)) checkNewBucket(bucket);
      const choice = checksumChoice(headers);
      const { id } = await catalog.multipart.create(key, withDefaults(uploadFields(key, headers), bucketSettings(key).uploads), choice);
      const content = { Bucket: bucket, Key: key.slice(bucket.length + 1), UploadId: id };
      exchange.answerXml('InitiateMultipartUploadResult', content, choiceHeaders(choice));
    },

    UploadPart: (exchange, { resource: { key }, query }) =>
      uploads.run(async () => {
        const { upload, number } = target(key, query);
        const { md5, checksums } = await take(upload, number, bodyOf(exchange));
        exchange.answer({ status: 200, headers: [['etag', `"${md5}"`], ...checksumHeaders(fullObject(checksums))] });
      }),

    UploadPartCopy: (exchange, { resource: { key }, query }) =>
      uploads.run(async () => {
        const { upload, number } = target(key, query);
        const { headers } = exchange.request;
        const named = copySource(headers);
        const { object, reader } = await openObject(named.key, named.version, parts);
        try {
          checkCopySource(headers, object);
          const { start, end } = copySourceRange(headers, object.manifest.size);
          const left = new AbortController();
          exchange.response.once('close', () => left.abort(new ClientGoneError('the connection ended')));
          const source = {
            chunks: bytesOf(reader, start, end, left.signal),
            expectation: { contentLength: end - start + 1, digests: [], trailers: [] },
          };
          await answerPatiently(exchange, clock, async () => {
            const { md5, checksums, modifiedMs } = await take(upload, number, source);
            const content = { LastModified: new Date(modifiedMs).toISOString(), ETag: `"${md5}"`, ...checksumElements(checksums) };
            return { headers: [], element: xmlElement('CopyPartResult', content, S3_NAMESPACE) };
          });
        } finally {
          await reader.close();
        }
      }),

    async AbortMultipartUpload(exchange, { resource: { key }, query }) {
      await catalog.multipart.abort(query.get('uploadId') ?? '', key);
      metrics.multipart.inc({ outcome: 'aborted' });
      exchange.answer({ status: 204 });
    },
  };

  function target(key: string, query: URLSearchParams): { upload: MultipartUpload; number: number } {
    const number = partNumberOf(query.get('partNumber'));
    return { upload: catalog.multipart.get(query.get('uploadId') ?? '', key), number };
  }

  function take(upload: MultipartUpload, number: number, source: Omit<BodySource, 'maxBytes' | 'alsoWanted'>): Promise<StoredPart> {
    const alsoWanted = upload.checksum === undefined ? [] : [upload.checksum.algorithm];
    return uploads.take({ ...source, maxBytes: PART_MAX_BYTES, alsoWanted }, (body) =>
      catalog.multipart.putPart(upload, { number, ...body }),
    );
  }
}
