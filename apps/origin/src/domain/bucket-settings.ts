/** What a publisher has said for all uploads into a bucket. */
import { bucketOf } from './bucket-name.ts';
import type { UploadFields } from './upload-headers.ts';

/** What an upload gets that does not say so itself. */
export type UploadDefaults = Partial<Pick<UploadFields, 'regions' | 'tags' | 'cacheControl' | 'cdnCacheControl'>>;

export interface BucketSettings {
  /** Versions of each object, with the current one; at least 1. */
  readonly versionsKept: number;
  readonly uploads: UploadDefaults;
}

export interface BucketsSettings {
  readonly byBucket: ReadonlyMap<string, BucketSettings>;
  /** Of buckets that are not named. */
  readonly others: BucketSettings;
}

export function settingsOf({ byBucket, others }: BucketsSettings, key: string): BucketSettings {
  return byBucket.get(bucketOf(key)) ?? others;
}

/** Empty lists are no answer: `regions: []` of an upload is "everywhere", which is what it says when it says nothing. */
export function withDefaults(fields: UploadFields, { regions, tags, ...texts }: UploadDefaults): UploadFields {
  return {
    ...texts,
    ...fields,
    regions: fields.regions.length > 0 ? fields.regions : (regions ?? []),
    tags: fields.tags.length > 0 ? fields.tags : (tags ?? []),
  };
}
