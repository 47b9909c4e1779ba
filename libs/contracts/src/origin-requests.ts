/** What edges and controllers ask the origin: `origin.fetch` and `origin.changes`. */
import { z } from 'zod';
import { failure } from './errors.ts';
import { manifest, previousVersion } from './manifest.ts';
import { invalidationMode, withSelector } from './selector.ts';
import { signature } from './signature.ts';
import { byteCount, contentKey, INLINE_CONTENT_MAX_BYTES, inlineContent, region, sha256, version, versionOrZero } from './values.ts';

/** Most checksums in one `have`. */
export const HAVE_MAX_ITEMS = 16;

/**
 * What is the current version of `key`? `have` names bytes the asker holds: the origin may then offer a patch against one of them.
 * `inlineMaxBytes`: content up to this size may come along, unless another key has the same (then the asker's edges likely hold it).
 * `atLeast`: the newest version that the asker has heard of. One of several origins that has not come so far catches up before it answers, and fails with `CATALOG_BEHIND`,
 * retryable, where it cannot. `signed`: what is found out is going to be passed on, so the origin signs it for those who will not take the asker's word for it.
 */
const resolve = z.object({
  op: z.literal('resolve'),
  key: contentKey,
  have: z.array(sha256).max(HAVE_MAX_ITEMS).default([]),
  inlineMaxBytes: z.int().nonnegative().max(INLINE_CONTENT_MAX_BYTES).default(0),
  atLeast: versionOrZero.optional(),
  signed: z.boolean().optional(),
});
/**
 * Bytes `offset … offset+length-1` of a blob. The reply is the raw bytes, not JSON (failures are JSON, told apart by the
 * header `sluice-reply`). `length` is at most what fits one message of the connection.
 */
const read = z.object({ op: z.literal('read'), sha256, offset: byteCount, length: z.int().positive() });
/**
 * The digests of the blocks of a large blob, with which ranges of it are verified. The reply is raw bytes, see `block-digests.ts`. Failures: `BLOCKS_PENDING`, retryable, when
 * they are being made; `NO_BLOCKS` when this blob has none; `INVALID_MESSAGE` from an origin that knows no such request.
 */
const blocks = z.object({ op: z.literal('blocks'), sha256 });

export const fetchRequest = z.discriminatedUnion('op', [resolve, read, blocks]);
export type FetchRequest = z.input<typeof fetchRequest>;

/** A patch the origin offers: a blob of its own, which applied to `base` gives the manifest's bytes. */
export const patchOffer = z.object({ base: sha256, sha256, size: byteCount });
export type PatchOffer = z.output<typeof patchOffer>;

/**
 * The answer to `resolve`. `asOf` is the newest version the catalog had when it answered: everything up to it is reflected, so
 * an object confirmed by this reply is fresh with regard to every invalidation up to `asOf`.
 * `removed` says since when a key that once was is gone. `signature`: of the manifest, or of the removal.
 */
export const resolveReply = z.discriminatedUnion('ok', [
  z.discriminatedUnion('found', [
    z.object({
      ok: z.literal(true),
      found: z.literal(true),
      manifest,
      previous: previousVersion.optional(),
      patch: patchOffer.optional(),
      content: inlineContent.optional(),
      asOf: versionOrZero,
      signature: signature.optional(),
    }),
    z.object({
      ok: z.literal(true),
      found: z.literal(false),
      removed: z.object({ version, signature: signature.optional() }).optional(),
      asOf: versionOrZero,
    }),
  ]),
  failure,
]);
export type ResolveReply = z.output<typeof resolveReply>;

/**
 * `origin.changes` — what changed for `region` after version `since`, oldest first, in pages. `catalogId` is the catalog the asker's
 * `since` belongs to. `listing`: the `horizon` of the first page of a listing that this goes on with, so that any origin of the catalog can answer.
 */
export const changesRequest = z.object({
  region,
  since: versionOrZero,
  catalogId: z.string().max(64).optional(),
  listing: versionOrZero.optional(),
});
export type ChangesRequest = z.output<typeof changesRequest>;

/** One change. Of a key only its newest state is listed; `previous` lets the reader use a delta. */
export const change = z.discriminatedUnion('op', [
  z.object({ op: z.literal('store'), manifest, previous: previousVersion.optional() }),
  z.object({ op: z.literal('remove'), key: contentKey, version, reason: z.enum(['deleted', 'region']) }),
  withSelector({ op: z.literal('invalidate'), version, mode: invalidationMode }),
]);
export type Change = z.output<typeof change>;

/**
 * A page of the feed. Ask again with `since: next` until `done`; then everything up to `next` is known.
 * `reset`: the asker's `since` cannot be continued (another catalog, or older than what the feed still knows). It starts
 * at 0 and, when done, forgets every key it holds that was not listed and is not newer than `next`.
 */
export const changesReply = z.discriminatedUnion('ok', [
  z.object({
    ok: z.literal(true),
    catalogId: z.string().max(64),
    /**
     * Where the asker may read whole blobs over HTTP, as `<blobsUrl>/<sha256>`, when it can reach that: one stream moves large content at a
     * third of the cost of many messages. `origin.fetch` works always.
     */
    blobsUrl: z
      .url({ protocol: /^https?$/, error: 'must be an absolute http or https URL' })
      .max(2048)
      .optional(),
    reset: z.boolean(),
    changes: z.array(change).max(10_000),
    next: versionOrZero,
    done: z.boolean(),
    /** Removals and invalidations up to here may have been forgotten: a reader from before it starts over, unless it is listing since that was so. */
    horizon: versionOrZero.optional(),
  }),
  failure,
]);
export type ChangesReply = z.output<typeof changesReply>;
