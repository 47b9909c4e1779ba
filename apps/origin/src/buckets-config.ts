/** The buckets file: YAML → {@link BucketsSettings}, or every problem in it. */
import { fieldValue, isBucketName, LIST_MAX_ITEMS, region, tag } from '@sluice/contracts';
import { ConfigError, placeOf } from '@sluice/runtime';
import { z } from 'zod';
import { readYaml } from './config-yaml.ts';
import type { BucketSettings, BucketsSettings, UploadDefaults } from './domain/bucket-settings.ts';

/** The buckets file cannot be used. */
export class BucketsConfigError extends ConfigError {
  constructor(problems: readonly string[]) {
    super(problems, 'the buckets file');
    this.name = 'BucketsConfigError';
  }
}

export const BUCKETS_MAX = 10_000;
export const VERSIONS_KEPT_MAX = 10_000;

const names = (item: z.ZodType<string, string>) =>
  z
    .array(item)
    .max(LIST_MAX_ITEMS, `must name at most ${LIST_MAX_ITEMS}`)
    .transform((all) => [...new Set(all)]);
const settings = z.strictObject({
  versionsKept: z
    .int('must be a whole number')
    .min(1, 'must be at least 1')
    .max(VERSIONS_KEPT_MAX, `must be at most ${VERSIONS_KEPT_MAX}`)
    .optional(),
  regions: names(region).optional(),
  tags: names(tag).optional(),
  cacheControl: fieldValue.optional(),
  cdnCacheControl: fieldValue.optional(),
});
type Settings = z.output<typeof settings>;

const bucketsFile = z.strictObject({
  others: settings.default({}),
  buckets: z
    .record(z.string().refine(isBucketName, 'must be the name of a bucket'), settings)
    .refine((buckets) => Object.keys(buckets).length <= BUCKETS_MAX, `must be at most ${BUCKETS_MAX}`)
    .default({}),
});

/** `versionsKept`: where the file says nothing. @throws {BucketsConfigError} with every problem at once */
export function parseBuckets(text: string, versionsKept: number): BucketsSettings {
  const result = bucketsFile.safeParse(readYaml(text, (problems) => new BucketsConfigError(problems)));
  if (!result.success) throw new BucketsConfigError(result.error.issues.map(describe));
  const { others, buckets } = result.data;
  const fallback = merged(others, { versionsKept, uploads: {} });
  return { byBucket: new Map(Object.entries(buckets).map(([name, own]) => [name, merged(own, fallback)])), others: fallback };
}

function merged({ versionsKept, ...uploads }: Settings, fallback: BucketSettings): BucketSettings {
  return { versionsKept: versionsKept ?? fallback.versionsKept, uploads: { ...fallback.uploads, ...(uploads as UploadDefaults) } };
}

function describe(issue: z.core.$ZodIssue): string {
  const detail =
    issue.code === 'unrecognized_keys'
      ? `has settings that do not exist: ${issue.keys.join(', ')}`
      : issue.code === 'invalid_key'
        ? issue.issues[0]?.message
        : issue.message;
  return `${placeOf(issue.path) || 'the file'}: ${detail}`;
}
