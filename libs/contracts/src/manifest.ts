import { z } from 'zod';
import {
  byteCount,
  contentCoding,
  contentKey,
  fieldValue,
  instant,
  LIST_MAX_ITEMS,
  metaName,
  region,
  sha256,
  tag,
  version,
} from './values.ts';

/**
 * The same, but what it does not know is passed on: the origin's signature covers all that the origin said, and who brings a manifest on to an edge may be older than the two. The type stays that
 * of what is known.
 */
function passingOn<Schema extends z.ZodObject>(schema: Schema): Schema {
  return schema.loose() as z.ZodObject as Schema;
}

/** A record drops the name `__proto__` without a word; metadata that would get lost is refused instead. */
const metadata = z
  .custom<Record<string, string>>((meta) => !Object.hasOwn(Object(meta), '__proto__'), 'must not have an entry named __proto__')
  .pipe(z.record(metaName, fieldValue))
  .refine((meta) => Object.keys(meta).length <= LIST_MAX_ITEMS, `must have at most ${LIST_MAX_ITEMS} entries`);

/** Most variants that one manifest may name. */
export const VARIANTS_MAX_ITEMS = 8;

/** The content with a content coding applied (RFC 9110 §8.4.1): a blob of its own, which decoded gives the manifest's bytes. */
const knownVariant = z.object({ coding: contentCoding, sha256, size: byteCount });
const variant = passingOn(knownVariant);
export type Variant = z.output<typeof variant>;

const knownManifest = z.object({
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
  /** Smaller forms of the same content. A reader uses those whose coding it knows, and needs none. */
  variants: z.array(variant).max(VARIANTS_MAX_ITEMS, `must name at most ${VARIANTS_MAX_ITEMS} variants`).optional(),
  /** The version that the content came with, where the origin has announced it again since with more to say about it. */
  contentVersion: version.optional(),
});
/**
 * One version of one key: everything an edge needs to verify, store and serve it but the bytes.
 * `regions` empty means everywhere. Bytes are named by `sha256`; two manifests with the same checksum share one blob.
 */
export const manifest = passingOn(knownManifest);
export type Manifest = z.output<typeof manifest>;

/** The version with which a manifest's content was uploaded. */
export function uploadedVersion({ version: announced, contentVersion }: Pick<Manifest, 'version' | 'contentVersion'>): number {
  return contentVersion ?? announced;
}

/** What is left of the version before: enough to plan a delta against it and to find who held it. */
export const previousVersion = z.object({ version, sha256, size: byteCount, regions: z.array(region).max(LIST_MAX_ITEMS) });
export type PreviousVersion = z.output<typeof previousVersion>;

/** Whether an edge of `regionName` belongs to a placement. An empty placement is everywhere. */
export function isPlacedIn(regions: readonly string[], regionName: string): boolean {
  return regions.length === 0 || regions.includes(regionName);
}
