import { bucketOf } from '../../domain/bucket-name.ts';
import { S3Error } from '../../domain/s3-error.ts';
import { versionAsked } from '../../domain/version-id.ts';
import { writeGuard } from '../../domain/write-guard.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { OriginMetrics } from '../metrics.ts';
import { announcementHeaders } from './announcement-headers.ts';
import type { Exchange } from './exchange.ts';
import { requireBucket } from './missing.ts';

export interface DeleteOptions {
  readonly catalog: Catalog;
  readonly metrics: OriginMetrics;
}

/** Answers a DELETE of `key`. One that is not there is as good as removed, unless a condition wants it there. @throws {S3Error} to be sent to the client */
export async function deleteObject(
  exchange: Exchange,
  key: string,
  query: URLSearchParams,
  { catalog, metrics }: DeleteOptions,
): Promise<void> {
  requireBucket(catalog, bucketOf(key));
  const asked = versionAsked(query.get('versionId'));
  const guard = writeGuard(key, exchange.request.headers);
  if (asked !== undefined) {
    if (guard !== undefined) throw new S3Error('NotImplemented', 'if-match: a version that is named is removed without conditions');
    await catalog.versions.remove(key, asked);
    return exchange.answer({ status: 204, headers: [['x-amz-version-id', String(asked)]] });
  }
  const removed = await catalog.remove(key, guard);
  if (removed === undefined) return exchange.answer({ status: 204 });
  metrics.removals.inc();
  const headers = [
    ...announcementHeaders(removed),
    ['x-amz-version-id', String(removed.version)],
    ['x-amz-delete-marker', 'true'],
  ] as const;
  exchange.answer({ status: 204, headers });
}
