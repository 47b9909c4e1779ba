/** Whole blobs by their checksum, for edges: one stream moves large content at a fraction of the cost of many messages. */
import type { BlobStore } from '@sluice/blobs';
import { sha256 as checksum } from '@sluice/contracts';
import { S3Error } from '../../domain/s3-error.ts';
import type { RangeCache } from '../blobs/range-cache.ts';
import { noteBufferPassed } from '../buffer-collection.ts';
import type { OriginMetrics } from '../metrics.ts';
import type { Exchange } from './exchange.ts';

/** `-` can be no bucket, so this is no object's path. */
export const BLOBS_PATH = '/-/blobs';
/** Bytes that are read and written at a time; edges that read the same blob at the same time share the reading. */
const PIECE_BYTES = 256 * 1024;

export interface GetBlobOptions {
  readonly blobs: BlobStore;
  readonly ranges: RangeCache;
  readonly metrics: OriginMetrics;
}

/** Answers GET and HEAD of `/-/blobs/<sha256>`. @throws {S3Error} */
export async function getBlob(exchange: Exchange, path: string, { blobs, ranges, metrics }: GetBlobOptions): Promise<void> {
  const { request, response } = exchange;
  if (request.method !== 'GET' && request.method !== 'HEAD') throw new S3Error('MethodNotAllowed', 'blobs can only be read');
  const name = checksum.safeParse(path.slice(BLOBS_PATH.length + 1));
  if (!name.success) throw new S3Error('InvalidArgument', 'a blob is named by its SHA-256 in lower-case hexadecimal');
  const size = blobs.size(name.data);
  if (size === undefined) throw new S3Error('NoSuchKey', 'this origin has no such blob');
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': size });
  if (request.method === 'HEAD' || size === 0) return void response.end();
  await exchange.stream(pieces(ranges, name.data, size, metrics));
}

async function* pieces(ranges: RangeCache, sha256: string, sizeBytes: number, metrics: OriginMetrics): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < sizeBytes; offset += PIECE_BYTES) {
    const piece = await ranges.read(sha256, offset, Math.min(PIECE_BYTES, sizeBytes - offset));
    metrics.fetchBytes.inc(piece.byteLength);
    yield piece;
    noteBufferPassed(piece.byteLength);
  }
}
