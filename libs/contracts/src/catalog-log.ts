/** The entries of the log that origins of one shared catalog follow: see decision 0018. */
import { z } from 'zod';
import { manifest, previousVersion } from './manifest.ts';
import { invalidationMode, withSelector } from './selector.ts';
import { contentKey, eventId, region, version } from './values.ts';

/** Names a state of an object at its source. */
const revision = z.string().min(1).max(512);
/** Every region a key was ever in; `*`: everywhere. */
const everRegions = z.union([z.literal('*'), z.array(region).max(256).readonly()]);

/** What every change has: its place in the order of versions, the event that tells of it, and when it was decided (milliseconds since the epoch). */
const stamp = z.object({ version, eventId, cause: eventId.optional(), atMs: z.int().nonnegative() });

/** The first entry of a log: names the catalog that it is of, whose versions are all greater than this one. `source`: whose content that is, for people and to be compared. */
const genesis = z.object({ kind: z.literal('genesis'), catalogId: z.uuid(), version, source: z.string().max(2048).optional() });
/** Everything that was at the source when the log began is in it. */
const listed = z.object({ kind: z.literal('listed') });
/** Removals and invalidations up to this version may have been dropped from the log: who has not come so far by itself cannot learn them there any more. */
const forgotten = z.object({ kind: z.literal('forgotten'), version });
/** A key has this content. */
const object = z.object({
  kind: z.literal('object'),
  stamp,
  manifest,
  previous: previousVersion.optional(),
  etag: z.string().max(512),
  ever: everRegions,
  source: z.object({ revision, bytesRevision: revision }).optional(),
});
/** A key is gone. */
const removal = z.object({ kind: z.literal('removal'), stamp, key: contentKey, ever: everRegions });
/** What the selector covers is stale. */
const invalidation = z.object({ kind: z.literal('invalidation'), stamp, selector: withSelector({}), mode: invalidationMode });

/** One entry. Each says all there is to say about its subject, so that only the newest one of each need be kept. */
export const catalogEntry = z.discriminatedUnion('kind', [genesis, listed, forgotten, object, removal, invalidation]);
export type CatalogEntry = z.output<typeof catalogEntry>;
