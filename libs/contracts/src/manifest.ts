import { z } from 'zod';
import { byteCount, contentKey, fieldValue, instant, LIST_MAX_ITEMS, metaName, region, sha256, tag, version } from './values.ts';

/** A record drops the name `__proto__` without a word; metadata that would get lost is refused instead. */
const metadata = z
  .custom<Record<string, string>>((meta) => !Object.hasOwn(Object(meta), '__proto__'), 'must not have an entry named __proto__')
  .pipe(z.record(metaName, fieldValue))
  .refine((meta) => Object.keys(meta).length <= LIST_MAX_ITEMS, `must have at most ${LIST_MAX_ITEMS} entries`);

/**
 * One version of one key: everything an edge needs to verify, store and serve it but the bytes.
 * `regions` empty means everywhere. Bytes are named by `sha256`; two manifests with the same checksum share one blob.
 */
export const manifest = z.object({
  key: contentKey,
  version,
  sha256,
  /** Bytes. */
  size: byteCount,
  contentType: fieldValue,
  cacheControl: fieldValue.optional(),
  /** For edges alone (RFC 9213); not passed on to visitors. */
  cdnCacheControl: fieldValue.optional(),
  contentEncoding: fieldValue.optional(),
  contentLanguage: fieldValue.optional(),
  contentDisposition: fieldValue.optional(),
  expires: fieldValue.optional(),
  /** Where a web site sends who asks for this object; a path or an absolute URL. */
  redirectLocation: fieldValue.optional(),
  /** User metadata without the `x-amz-meta-` prefix. */
  meta: metadata,
  regions: z.array(region).max(LIST_MAX_ITEMS, `must name at most ${LIST_MAX_ITEMS} regions`),
  tags: z.array(tag).max(LIST_MAX_ITEMS, `must name at most ${LIST_MAX_ITEMS} tags`),
  uploadedAt: instant,
});
export type Manifest = z.output<typeof manifest>;

/** What is left of the version before: enough to plan a delta against it and to find who held it. */
export const previousVersion = z.object({ version, sha256, size: byteCount, regions: z.array(region).max(LIST_MAX_ITEMS) });
export type PreviousVersion = z.output<typeof previousVersion>;

/** Whether an edge of `regionName` belongs to a placement. An empty placement is everywhere. */
export function isPlacedIn(regions: readonly string[], regionName: string): boolean {
  return regions.length === 0 || regions.includes(regionName);
}
