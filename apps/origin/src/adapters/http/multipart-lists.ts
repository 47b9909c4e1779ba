/** What there is of multipart uploads. */
import { nameEncoder, pageLimit, wholeNumber } from '../../domain/list-query.ts';
import type { ChecksumChoice } from '../../domain/object-checksums.ts';
import { checksumElements } from '../../domain/object-checksums.ts';
import { pageOfUploads } from '../../domain/upload-page.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { S3Handler } from './s3-handler.ts';
import type { XmlParent } from './xml-document.ts';

const STORAGE_CLASS = 'STANDARD';

/** Answers ListParts: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html */
export function listParts(catalog: Catalog): S3Handler<'object'> {
  return (exchange, { resource: { bucket, key }, query }) => {
    const upload = catalog.multipart.get(query.get('uploadId') ?? '', key);
    const max = pageLimit(query, 'max-parts');
    const marker = wholeNumber(query, 'part-number-marker', 0);
    const parts = catalog.multipart.parts(upload.id, marker, max + 1);
    const isTruncated = max > 0 && parts.length > max;
    const page = parts.slice(0, max);
    const content = {
      Bucket: bucket,
      Key: key.slice(bucket.length + 1),
      UploadId: upload.id,
      StorageClass: STORAGE_CLASS,
      PartNumberMarker: marker,
      NextPartNumberMarker: page.at(-1)?.number,
      MaxParts: max,
      IsTruncated: isTruncated,
      ...choiceElements(upload.checksum),
      Part: page.map(({ number, md5, size, checksums, modifiedMs }) => ({
        PartNumber: number,
        LastModified: new Date(modifiedMs).toISOString(),
        ETag: `"${md5}"`,
        Size: size,
        ...checksumElements(checksums),
      })),
    };
    exchange.answerXml('ListPartsResult', content);
  };
}

/** Answers ListMultipartUploads: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html */
export function listMultipartUploads(catalog: Catalog): S3Handler<'bucket'> {
  return (exchange, { resource: { bucket }, query }) => {
    const encoded = nameEncoder(query);
    const max = pageLimit(query, 'max-uploads');
    const prefix = query.get('prefix') ?? '';
    const delimiter = query.get('delimiter') ?? '';
    const keyMarker = query.get('key-marker') ?? '';
    // Without a key it says nothing.
    const idMarker = keyMarker === '' ? '' : (query.get('upload-id-marker') ?? '');
    const base = `${bucket}/`;
    const open = catalog.multipart.after(base + prefix, { key: base + keyMarker, id: idMarker });
    const { uploads, commonPrefixes, next } = pageOfUploads(
      open.map((upload) => ({ ...upload, key: upload.key.slice(base.length) })),
      { prefix, delimiter, keyMarker, max },
    );
    const content = {
      Bucket: bucket,
      KeyMarker: encoded(keyMarker),
      UploadIdMarker: idMarker,
      NextKeyMarker: next && encoded(next.key),
      NextUploadIdMarker: next?.id,
      Prefix: encoded(prefix),
      Delimiter: delimiter === '' ? undefined : encoded(delimiter),
      EncodingType: query.get('encoding-type') ?? undefined,
      MaxUploads: max,
      IsTruncated: next !== undefined,
      Upload: uploads.map(({ key, id, createdMs, checksum }) => ({
        Key: encoded(key),
        UploadId: id,
        StorageClass: STORAGE_CLASS,
        Initiated: new Date(createdMs).toISOString(),
        ...choiceElements(checksum),
      })),
      CommonPrefixes: commonPrefixes.map((common) => ({ Prefix: encoded(common) })),
    };
    exchange.answerXml('ListMultipartUploadsResult', content);
  };
}

function choiceElements(choice: ChecksumChoice | undefined): XmlParent {
  return choice === undefined ? {} : { ChecksumAlgorithm: choice.algorithm.toUpperCase(), ChecksumType: choice.type };
}
