import { bucketOf } from '../../domain/bucket-name.ts';
import { S3Error } from '../../domain/s3-error.ts';
import type { Catalog } from '../catalog/catalog.ts';

/** @throws {S3Error} `NoSuchBucket` */
export function requireBucket({ buckets }: Catalog, bucket: string): void {
  if (!buckets.has(bucket)) throw new S3Error('NoSuchBucket', `there is no bucket "${bucket}"; create it, or store an object in it`);
}

/** For a key that was not found, or a version of it. @throws {S3Error} `NoSuchBucket`, `NoSuchVersion`, `NoSuchKey` */
export function refuseMissing(catalog: Catalog, key: string, version?: number): never {
  requireBucket(catalog, bucketOf(key));
  if (version !== undefined) throw new S3Error('NoSuchVersion', `version ${version} of "${key}" is not kept, or never was`);
  throw new S3Error('NoSuchKey', `there is no object "${key}"`);
}
