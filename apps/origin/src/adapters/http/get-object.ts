import { SluiceError, uploadedVersion } from '@sluice/contracts';
import {
  type ByteRange,
  contentRange,
  evaluatePreconditions,
  fieldOf,
  formatHttpDate,
  rangeApplies,
  selectRanges,
  unsatisfiedRange,
  type Validators,
} from '@sluice/http-semantics';
import { partRange } from '../../domain/multipart.ts';
import { checksumHeaders } from '../../domain/object-checksums.ts';
import { requestedPart, responseOverrides } from '../../domain/read-options.ts';
import { S3Error } from '../../domain/s3-error.ts';
import { metadataHeaders } from '../../domain/upload-headers.ts';
import { versionAsked } from '../../domain/version-id.ts';
import type { OpenBlob, OriginBlobs } from '../../services/origin-blobs.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { PastUpload } from '../catalog/history-table.ts';
import type { UploadDetails } from '../catalog/upload-details.ts';
import type { Exchange, HeaderList } from './exchange.ts';
import { refuseMissing } from './missing.ts';

/** How often a key is looked up again when its bytes went between looking it up and opening them: it was overwritten twice just then. */
const LOOKUPS_MAX = 3;

export interface GetOptions {
  readonly blobs: Pick<OriginBlobs, 'reader'>;
  readonly catalog: Catalog;
}

/** Answers GET and HEAD of `key`. @throws {S3Error} to be sent to the client */
export async function getObject(exchange: Exchange, key: string, query: URLSearchParams, options: GetOptions): Promise<void> {
  const asked = { part: requestedPart(query, exchange.request.headers.range), overrides: responseOverrides(query) };
  const opened = await openObject(key, versionAsked(query.get('versionId')), options);
  try {
    await answer(exchange, opened, asked);
  } finally {
    await opened.reader.close();
  }
}

/** What the query asks for. */
interface Asked {
  readonly part: number | undefined;
  readonly overrides: readonly (readonly [name: string, value: string])[];
}

/** An object with its content. Close the reader. */
export interface OpenObject {
  readonly object: PastUpload;
  readonly details: UploadDetails;
  readonly reader: OpenBlob;
}

/** `version`: an earlier one; undefined: the current one. @throws {S3Error} `NoSuchBucket`, `NoSuchKey`, `NoSuchVersion` */
export async function openObject(key: string, version: number | undefined, { blobs, catalog }: GetOptions): Promise<OpenObject> {
  for (let lookup = 1; ; lookup += 1) {
    const object = catalog.versions.find(key, version);
    if (object === undefined) return refuseMissing(catalog, key, version);
    try {
      return { object, details: object.details ?? {}, reader: await blobs.reader(object.manifest.sha256) };
    } catch (error) {
      if (!(error instanceof SluiceError && error.code === 'BLOB_MISSING') || lookup === LOOKUPS_MAX) throw error;
    }
  }
}

async function answer(exchange: Exchange, { object, details, reader }: OpenObject, asked: Asked): Promise<void> {
  const { request, response } = exchange;
  const { manifest, etag: md5 } = object;
  const etag = `"${md5}"`;
  const lastModifiedMs = Date.parse(manifest.uploadedAt);
  const validators = { etag, lastModifiedMs };
  const verdict = evaluatePreconditions(request.method ?? 'GET', request.headers, validators);
  if (verdict === 'failed') throw new S3Error('PreconditionFailed', 'the object is not as If-Match or If-Unmodified-Since demand');
  response.setHeader('etag', etag);
  response.setHeader('last-modified', formatHttpDate(lastModifiedMs));
  response.setHeader('x-sluice-version', String(uploadedVersion(manifest)));
  response.setHeader('x-amz-version-id', String(uploadedVersion(manifest)));
  const cacheControl: HeaderList = manifest.cacheControl === undefined ? [] : [['cache-control', manifest.cacheControl]];
  if (verdict === 'not-modified') return exchange.answer({ status: 304, headers: cacheControl });
  const range =
    asked.part === undefined
      ? requestedRange(exchange, manifest.size, validators)
      : rangeOfPart(exchange, asked.part, manifest.size, details);
  const { start, end } = range ?? { start: 0, end: manifest.size - 1 };
  const hasBody = request.method !== 'HEAD' && manifest.size > 0;
  // Before what is said of the content: a refusal must not be kept as long as that.
  if (hasBody) await reader.prepare?.({ start, end });
  for (const [name, value] of [...cacheControl, ...metadataHeaders(manifest)]) response.setHeader(name, value);
  if (manifest.tags.length > 0) response.setHeader('x-amz-tagging-count', manifest.tags.length);
  for (const [name, value] of asked.overrides) response.setHeader(name, value);
  response.setHeader('accept-ranges', 'bytes');
  // Clients compare the checksum with the bytes that come, so it goes out with all of them only.
  if (range === undefined && fieldOf(request.headers, 'x-amz-checksum-mode')?.toUpperCase() === 'ENABLED') {
    for (const [name, value] of checksumHeaders(details.checksums)) response.setHeader(name, value);
  }
  response.statusCode = range === undefined ? 200 : 206;
  if (range !== undefined) response.setHeader('content-range', contentRange(range, manifest.size));
  response.setHeader('content-length', end - start + 1);
  if (!hasBody) return void response.end();
  await exchange.send(reader, start, end);
}

function requestedRange(exchange: Exchange, size: number, validators: Validators): ByteRange | undefined {
  const { headers, method } = exchange.request;
  // RFC 9110 §14.2: Range is defined for GET only. S3 answers several with the whole.
  if (method !== 'GET' || headers.range === undefined || headers.range.includes(',')) return undefined;
  if (!rangeApplies(headers, validators)) return undefined;
  const ranges = selectRanges(headers.range, size);
  if (ranges === 'unsatisfiable') {
    exchange.response.setHeader('content-range', unsatisfiedRange(size));
    throw new S3Error('InvalidRange', `the object has only ${size} bytes`);
  }
  return ranges?.[0];
}

/** Of an object that was not uploaded in parts the whole is the first one: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html */
function rangeOfPart({ response }: Exchange, number: number, size: number, { partSizes }: UploadDetails): ByteRange | undefined {
  const range = partRange(partSizes ?? [size], number);
  if (range === undefined) throw new S3Error('InvalidPartNumber', `the object has only ${partSizes?.length ?? 1} parts`);
  if (partSizes !== undefined) response.setHeader('x-amz-mp-parts-count', partSizes.length);
  // No Content-Range can name no bytes.
  return range.end < range.start ? undefined : range;
}
