/** The operations on buckets: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html */
import { z } from 'zod';
import { checkNewBucket } from '../../domain/bucket-name.ts';
import type { BucketSettings } from '../../domain/bucket-settings.ts';
import { S3Error } from '../../domain/s3-error.ts';
import { BUCKETS_MAX } from '../catalog/bucket-table.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { OriginMetrics } from '../metrics.ts';
import { readToken, writeToken } from './continuation-token.ts';
import type { Exchange } from './exchange.ts';
import { requireBucket } from './missing.ts';
import { OWNER } from './owner.ts';
import type { S3Handler } from './s3-handler.ts';
import { readXmlBody } from './xml-body.ts';

/** What clients take the region of a store without regions to be; an empty location means the same. */
const REGION = ['x-amz-bucket-region', 'us-east-1'] as const;
const CONFIGURATION_MAX_BYTES = 64 * 1024;
const configuration = z.object({ LocationConstraint: z.string().optional() });

type BucketHandler = S3Handler<'bucket'>;

export interface BucketParts {
  readonly catalog: Catalog;
  readonly bucketSettings: (key: string) => BucketSettings;
  readonly metrics: OriginMetrics;
}

export interface BucketHandlers {
  readonly ListBuckets: S3Handler<'service'>;
  readonly CreateBucket: BucketHandler;
  readonly HeadBucket: BucketHandler;
  readonly DeleteBucket: BucketHandler;
  readonly GetBucketLocation: BucketHandler;
  readonly GetBucketVersioning: BucketHandler;
}

export function bucketHandlers({ catalog, bucketSettings, metrics }: BucketParts): BucketHandlers {
  return {
    ListBuckets: (exchange, { query, may }) => listBuckets(exchange, query, catalog, (bucket) => may({ right: 'list', bucket })),
    CreateBucket: (exchange, { resource }) => createBucket(exchange, resource.bucket, catalog),
    HeadBucket: (exchange, { resource }) => {
      requireBucket(catalog, resource.bucket);
      exchange.answer({ status: 200, headers: [REGION] });
    },
    DeleteBucket: (exchange, { resource }) => deleteBucket(exchange, resource.bucket, catalog, metrics),
    GetBucketLocation: (exchange, { resource }) => {
      requireBucket(catalog, resource.bucket);
      exchange.answerXml('LocationConstraint', '');
    },
    GetBucketVersioning: (exchange, { resource }) => {
      requireBucket(catalog, resource.bucket);
      const isKept = bucketSettings(`${resource.bucket}/`).versionsKept > 1;
      exchange.answerXml('VersioningConfiguration', isKept ? { Status: 'Enabled' } : '');
    },
  };
}

/** A bucket that is there already is an error, as in all regions of S3 but the oldest: clients know it, and it tells who thought the name was free. */
async function createBucket(exchange: Exchange, bucket: string, catalog: Catalog): Promise<void> {
  checkNewBucket(bucket);
  const { headers } = exchange.request;
  if (headers['x-amz-bucket-object-lock-enabled']?.toString().toLowerCase() === 'true') {
    throw new S3Error('NotImplemented', 'x-amz-bucket-object-lock-enabled: object locks are not supported');
  }
  if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0) {
    // Any region is as good as another here.
    await readXmlBody(exchange, { root: 'CreateBucketConfiguration', schema: configuration, maxBytes: CONFIGURATION_MAX_BYTES });
  }
  if (!(await catalog.createBucket(bucket))) {
    throw new S3Error('BucketAlreadyOwnedByYou', `the bucket "${bucket}" is there already and can be used`);
  }
  exchange.answer({ status: 200, headers: [['location', `/${bucket}`]] });
}

/** Uploads that are open in it are aborted, as in S3. */
async function deleteBucket(exchange: Exchange, bucket: string, catalog: Catalog, metrics: OriginMetrics): Promise<void> {
  const outcome = await catalog.removeBucket(bucket);
  if (outcome === 'missing') requireBucket(catalog, bucket);
  if (outcome === 'not-empty') throw new S3Error('BucketNotEmpty', `the bucket "${bucket}" has objects; delete them first`);
  for (let ended = -1; ended !== 0; ) {
    ended = await catalog.multipart.expire(0);
    metrics.multipart.inc({ outcome: 'aborted' }, ended);
  }
  exchange.answer({ status: 204 });
}

/** What a token of a list of buckets belongs to. No bucket is called so. */
const ALL_BUCKETS = '';

function listBuckets(exchange: Exchange, query: URLSearchParams, catalog: Catalog, isShown: (bucket: string) => boolean): void {
  const limit = bucketLimit(query.get('max-buckets'));
  const prefix = query.get('prefix') ?? '';
  const token = query.get('continuation-token') ?? '';
  const after = token === '' ? '' : readToken(catalog.id, ALL_BUCKETS, token);
  const page = catalog.buckets.page(after, prefix, limit + 1, isShown);
  const buckets = page.slice(0, limit);
  const last = page.length > limit ? buckets.at(-1) : undefined;
  exchange.answerXml('ListAllMyBucketsResult', {
    Owner: OWNER,
    Buckets: { Bucket: buckets.map(({ name, createdAt }) => ({ Name: name, CreationDate: createdAt })) },
    Prefix: prefix === '' ? undefined : prefix,
    ContinuationToken: last === undefined ? undefined : writeToken(catalog.id, ALL_BUCKETS, last.name),
  });
}

function bucketLimit(text: string | null): number {
  if (text === null) return BUCKETS_MAX;
  const limit = Number(text);
  if (!/^\d{1,5}$/.test(text) || limit < 1 || limit > BUCKETS_MAX) {
    throw new S3Error('InvalidArgument', `max-buckets: must be a number from 1 to ${BUCKETS_MAX}`);
  }
  return limit;
}
