/** Events on the JetStream streams `CONTENT` and `OUTCOMES`. */
import { z } from 'zod';
import { manifest } from './manifest.ts';
import { invalidationMode, withSelector } from './selector.ts';
import { signature } from './signature.ts';
import { byteCount, contentKey, edgeId, eventId, instant, region, version } from './values.ts';

/**
 * `content.uploaded` — a key has a new version.
 *
 * From the origin after each committed upload (then with `id`, `version` and `manifest`), or from anyone by hand with only `key`
 * ("read it again at the source, announce it, push it"). An event without `version` is an announcement request: the origin answers it
 * with an event of its own and names the request in `cause`. Consumers treat it as a hint that the key changed and read the
 * truth with `origin.fetch`; so duplicates, late and forged events are harmless.
 */
export const contentUploaded = z.object({
  id: eventId.optional(),
  key: contentKey,
  version: version.optional(),
  manifest: manifest.optional(),
  cause: eventId.optional(),
  at: instant.optional(),
});
export type ContentUploaded = z.output<typeof contentUploaded>;

/**
 * `content.invalidated` — what the selector covers is stale: an edge that confirmed this asks the origin before serving it again.
 *
 * By hand without `version`; the origin then gives it one (its place in the order of uploads) and announces it again. It
 * covers all versions up to its own, also those that arrive later.
 */
export const contentInvalidated = withSelector({
  id: eventId.optional(),
  version: version.optional(),
  mode: invalidationMode.default('stale'),
  cause: eventId.optional(),
  at: instant.optional(),
  /** Of selector, version and mode; from an origin that signs. The edges want to see it. */
  signature: signature.optional(),
});
export type ContentInvalidated = z.output<typeof contentInvalidated>;

/** `content.removed` — a key is gone since `version`. Only the origin sends it. */
export const contentRemoved = z.object({
  id: eventId,
  key: contentKey,
  version,
  at: instant.optional(),
});
export type ContentRemoved = z.output<typeof contentRemoved>;

/** How the bytes of a stored version came: not at all, as a patch against a version held, or whole. */
export const transferKind = z.enum(['same', 'delta', 'full']);
export type TransferKind = z.output<typeof transferKind>;

/**
 * What became of one event on one edge.
 * - `stored`: serves this version now; `transfer` and `bytes` say what had to move. `metadata`: holds the manifest, the bytes do not
 *   fit its disk and are fetched on demand.
 * - `current`: already had this version or a newer one.
 * - `removed`, `invalidated`: done.
 * - `unreachable`: nobody listens on its push subject, or its lease ran out while it was asked.
 * - `deferred`: its queue was full; the edge gets it by catching up.
 * - `failed`: it answered with an error until the attempts were used up; the edge gets it by catching up.
 */
export const edgeOutcome = z.object({
  edge: edgeId,
  region,
  outcome: z.enum(['stored', 'metadata', 'current', 'removed', 'invalidated', 'unreachable', 'deferred', 'failed']),
  transfer: transferKind.optional(),
  /** Content bytes that moved to this edge. */
  bytes: byteCount,
  /** Milliseconds from the controller's reading of the event until this edge's answer. */
  ms: z.number().nonnegative(),
  attempts: z.int().nonnegative(),
  error: z.string().max(1024).optional(),
});
export type EdgeOutcome = z.output<typeof edgeOutcome>;

/** Whether an outcome means that the edge holds what the event said. */
export function isConfirmed(outcome: EdgeOutcome['outcome']): boolean {
  return outcome !== 'unreachable' && outcome !== 'deferred' && outcome !== 'failed';
}

/** `content.distributed` — where an event has arrived. From the controller, once per event, when every live target answered or was given up. */
export const contentDistributed = z.object({
  /** The id of the event this is the outcome of. */
  id: eventId,
  event: z.enum(['uploaded', 'removed', 'invalidated']),
  /** The key, or the selector in words (`prefix=site/img/`). */
  subject: z.string().max(2048),
  /** The version that was distributed: the newest when the event was worked on, so at least the event's own. */
  version,
  /** When the controller read the event. */
  startedAt: instant,
  durationMs: z.number().nonnegative(),
  /** No live target was missed. An edge that is away is no target: it catches up. */
  complete: z.boolean(),
  edges: z.array(edgeOutcome).max(10_000),
  /** Regions the manifest names in which no live edge is. */
  emptyRegions: z.array(region),
});
export type ContentDistributed = z.output<typeof contentDistributed>;

/** `content.rejected` — an event that could not be used, why, and what it was. It was acknowledged: it blocks nobody. */
export const contentRejected = z.object({
  id: eventId,
  /** The subject it came on. */
  subject: z.string().max(256),
  reason: z.string().max(4096),
  /** The first 1024 characters of what came. */
  payload: z.string().max(1024),
  by: z.enum(['origin', 'controller']),
  at: instant,
});
export type ContentRejected = z.output<typeof contentRejected>;
