import type { BucketSettings } from '../domain/bucket-settings.ts';

/** Without a buckets file, and with the current version only. */
export function plainBuckets(): BucketSettings {
  return { versionsKept: 1, uploads: {} };
}
