/**
 * What an edge knows of one key, and how messages change it. The rules form a join: applying any set of messages in any order, any
 * number of times, gives the same entry, because each field only grows along the versions.
 */
import { type InvalidationMode, isPlacedIn, type Manifest, type Selector, selects, uploadedVersion } from '@sluice/contracts';

export interface Entry {
  readonly key: string;
  /** The newest version heard of; nothing older is ever taken again. */
  readonly version: number;
  /**
   * - `placed`: belongs to this edge's region; kept current by pushes and catch-up.
   * - `elsewhere`: does not; a manifest here came with a visitor's pull and is confirmed at the origin before each use.
   * - `deleted`: gone since `version`.
   */
  readonly placement: 'placed' | 'elsewhere' | 'deleted';
  readonly manifest: Manifest | undefined;
  /** The origin vouched for this manifest with everything up to this version in view. */
  readonly confirmedAt: number;
  /** The newest invalidation that covers it, 0 for none. */
  readonly staleAt: number;
  /** The same for invalidations of mode `purge`. */
  readonly purgedAt: number;
  /** When the origin's word on it was last heard; milliseconds since the epoch. */
  readonly knownAtMs: number;
}

export interface Invalidation {
  readonly selector: Selector;
  readonly version: number;
  readonly mode: InvalidationMode;
}

/** What the edge as a whole knows when it applies a message. */
export interface Knowledge {
  readonly region: string;
  /** Everything up to this version has been applied by catch-up. */
  readonly watermark: number;
  /** Invalidations newer than the watermark. Older ones are in the entries. */
  readonly invalidations: Iterable<Invalidation>;
  readonly nowMs: number;
}

/** Where a manifest comes from: announced by push or feed, or resolved at the origin with all up to `asOf` in view. */
export type Provenance = { readonly kind: 'announced' } | { readonly kind: 'resolved'; readonly asOf: number };

/**
 * The entry after hearing of `manifest`, or undefined when it changes nothing.
 *
 * Without an entry, an announcement that is not newer than the watermark is late: catch-up has already told what became of the key.
 */
export function afterStore(
  current: Entry | undefined,
  manifest: Manifest,
  provenance: Provenance,
  knowledge: Knowledge,
): Entry | undefined {
  const placement = isPlacedIn(manifest.regions, knowledge.region) ? 'placed' : 'elsewhere';
  const confirmedAt = provenance.kind === 'resolved' ? Math.max(provenance.asOf, manifest.version) : manifest.version;
  if (current !== undefined && current.version > manifest.version) return undefined;
  if (current !== undefined && current.version === manifest.version) {
    if (current.placement === 'deleted') return undefined;
    if (current.manifest !== undefined && current.confirmedAt >= confirmedAt) {
      // Nothing new but that the origin says it still. A field that tells an age in seconds needs no more than that.
      const heardAgain = provenance.kind === 'resolved' && knowledge.nowMs - current.knownAtMs >= 1000;
      return heardAgain ? { ...current, knownAtMs: knowledge.nowMs } : undefined;
    }
    const confirmed = { ...current, manifest, confirmedAt: Math.max(current.confirmedAt, confirmedAt), knownAtMs: knowledge.nowMs };
    // Without a manifest nothing could be marked as stale: what has come since is looked up now.
    return current.manifest === undefined ? { ...confirmed, ...marks(manifest, confirmedAt, provenance, knowledge) } : confirmed;
  }
  if (current === undefined && provenance.kind === 'announced' && manifest.version <= knowledge.watermark) return undefined;
  return {
    key: manifest.key,
    version: manifest.version,
    placement,
    manifest,
    confirmedAt,
    ...marks(manifest, confirmedAt, provenance, knowledge),
    knownAtMs: knowledge.nowMs,
  };
}

/** The invalidations that cover a manifest that was not held before. */
function marks(manifest: Manifest, confirmedAt: number, provenance: Provenance, knowledge: Knowledge): Pick<Entry, 'staleAt' | 'purgedAt'> {
  const covering = coveringVersions(manifest, knowledge.invalidations);
  // What lies between `asOf` and the watermark may have been invalidated by something that is no longer listed.
  const unseen = provenance.kind === 'resolved' && confirmedAt < knowledge.watermark ? knowledge.watermark : 0;
  return { staleAt: Math.max(covering.staleAt, unseen), purgedAt: covering.purgedAt };
}

/** The entry after hearing that the key is gone (or left the region) since `version`, or undefined when that changes nothing. */
export function afterRemove(
  current: Entry | undefined,
  removal: { readonly key: string; readonly version: number; readonly reason: 'deleted' | 'region' },
  knowledge: Knowledge,
): Entry | undefined {
  if (current !== undefined && current.version >= removal.version) return undefined;
  if (current === undefined && removal.version <= knowledge.watermark) return undefined;
  return {
    key: removal.key,
    version: removal.version,
    placement: removal.reason === 'deleted' ? 'deleted' : 'elsewhere',
    manifest: undefined,
    confirmedAt: removal.version,
    staleAt: 0,
    purgedAt: 0,
    knownAtMs: knowledge.nowMs,
  };
}

/** The entry after an invalidation, or undefined when it does not cover it or is not newer than what covers it. */
export function afterInvalidation(entry: Entry, invalidation: Invalidation): Entry | undefined {
  if (entry.manifest === undefined || entry.version > invalidation.version || !selects(invalidation.selector, entry.manifest))
    return undefined;
  const staleAt = Math.max(entry.staleAt, invalidation.version);
  const purgedAt = invalidation.mode === 'purge' ? Math.max(entry.purgedAt, invalidation.version) : entry.purgedAt;
  return staleAt === entry.staleAt && purgedAt === entry.purgedAt ? undefined : { ...entry, staleAt, purgedAt };
}

/** The newest of the invalidations that cover a version of an object, by mode. */
function coveringVersions(manifest: Manifest, invalidations: Iterable<Invalidation>): { staleAt: number; purgedAt: number } {
  let staleAt = 0;
  let purgedAt = 0;
  for (const { selector, version, mode } of invalidations) {
    if (version < manifest.version || !selects(selector, manifest)) continue;
    staleAt = Math.max(staleAt, version);
    if (mode === 'purge') purgedAt = Math.max(purgedAt, version);
  }
  return { staleAt, purgedAt };
}

/** Whether the origin has to be asked before this is served: something newer than its last confirmation covers it. */
export function isStale(entry: Entry): boolean {
  return entry.staleAt > entry.confirmedAt;
}

/** Whether it must not be served at all before the origin has been asked, not even while the origin is away. */
export function isPurged(entry: Entry): boolean {
  return entry.purgedAt > entry.confirmedAt;
}

/** Whether a manifest is of the upload that is known, with more to say about it at most: no change for who has its content. */
export function isSameUpload(known: Manifest | undefined, manifest: Manifest): boolean {
  return known !== undefined && uploadedVersion(known) === uploadedVersion(manifest);
}
