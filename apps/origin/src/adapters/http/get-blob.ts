/** Whole blobs by their checksum, for edges: one stream moves large content at a fraction of the cost of many messages. */
import { sha256 as checksum } from '@sluice/contracts';
import { S3Error } from '../../domain/s3-error.ts';
import type { OriginBlobs } from '../../services/origin-blobs.ts';
import type { OriginMetrics } from '../metrics.ts';
import type { Exchange } from './exchange.ts';

/** `-` can be no bucket, so this is no object's path. */
export const BLOBS_PATH = '/-/blobs';

export interface GetBlobOptions {
  readonly blobs: Pick<OriginBlobs, 'size' | 'reader'>;
  readonly metrics: OriginMetrics;
}

/** Answers GET and HEAD of `/-/blobs/<sha256>`. @throws {S3Error} */
export async function getBlob(exchange: Exchange, path: string, { blobs, metrics }: GetBlobOptions): Promise<void> {
  const { request, response } = exchange;
  if (request.method !== 'GET' && request.method !== 'HEAD') throw new S3Error('MethodNotAllowed', 'blobs can only be read');
  const name = checksum.safeParse(path.slice(BLOBS_PATH.length + 1));
  if (!name.success) throw new S3Error('InvalidArgument', 'a blob is named by its SHA-256 in lower-case hexadecimal');
  const size = blobs.size(name.data);
  if (size === undefined) throw new S3Error('NoSuchKey', 'this origin has no such blob');
  const reader = request.method === 'HEAD' || size === 0 ? undefined : await blobs.reader(name.data);
  const sayHead = (): void => void response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': size });
  if (reader === undefined) {
    sayHead();
    return void response.end();
  }
  try {
    await reader.prepare?.({ start: 0, end: size - 1 });
    sayHead();
    await exchange.send(reader, 0, size - 1, (bytes) => metrics.fetchBytes.inc(bytes));
  } finally {
    await reader.close();
  }
}
