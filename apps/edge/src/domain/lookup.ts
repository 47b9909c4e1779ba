/** What to do with a request for a key, given what is known and held. */
import type { Manifest } from '@sluice/contracts';
import { type CacheDirectives, secondsOf } from '@sluice/http-semantics';
import { type Entry, isPurged, isStale } from './entry.ts';
import { ageSeconds, freshnessPolicy, remainingSeconds } from './freshness.ts';

export type Lookup =
  /**
   * Serve what is held. `ttlSeconds`: freshness left, undefined where nobody has set an end; below 0 it is served stale, which the publisher or the visitor
   * allows. `revalidate`: and confirm it at the origin meanwhile.
   */
  | {
      readonly kind: 'hit';
      readonly manifest: Manifest;
      readonly ageSeconds: number;
      readonly ttlSeconds: number | undefined;
      readonly revalidate: boolean;
    }
  /** The origin said a moment ago that there is no such key. */
  | { readonly kind: 'absent' }
  /** Ask the origin first. `reason` is the `fwd` parameter of RFC 9211 §2.2; `fallback` may be served when the origin is away. */
  | { readonly kind: 'forward'; readonly reason: 'uri-miss' | 'miss' | 'stale'; readonly fallback: Manifest | 'absent' | undefined };

export interface Situation {
  /** Whether the bytes of a checksum are on this edge. */
  has(sha256: string): boolean;
  /** Whether the origin's "no such key" is still remembered. */
  isKnownAbsent(key: string): boolean;
  /** Whether what is known may be behind what was confirmed (after a power cut, until catch-up). */
  readonly isDoubtful: boolean;
  /** When catch-up last vouched for all placed entries; milliseconds since the epoch. */
  readonly caughtUpAtMs: number | undefined;
  readonly nowMs: number;
  /** Cache-Control of the request. An edge is the publisher's cache: of a visitor's wishes it heeds those that make it ask the origin less often. */
  readonly wishes: CacheDirectives;
}

export function lookUp(key: string, entry: Entry | undefined, situation: Situation): Lookup {
  const manifest = entry?.manifest;
  if (entry === undefined || manifest === undefined) {
    if (situation.isKnownAbsent(key)) return { kind: 'absent' };
    return { kind: 'forward', reason: 'uri-miss', fallback: entry?.placement === 'deleted' ? 'absent' : undefined };
  }
  const policy = freshnessPolicy(manifest);
  const age = ageSeconds(entry, situation.caughtUpAtMs, situation.nowMs);
  const ttlSeconds = remainingSeconds(policy, age, situation.nowMs);
  const invalidated = isStale(entry);
  const hasBytes = policy.storable && situation.has(manifest.sha256);
  const mayBeFallback = (!invalidated && ttlSeconds > 0) || staleSeconds(entry, ttlSeconds, situation.nowMs) < policy.ifErrorSeconds;
  const fallback = hasBytes && !isPurged(entry) && mayBeFallback ? manifest : undefined;
  if (invalidated || entry.placement !== 'placed' || situation.isDoubtful) return { kind: 'forward', reason: 'stale', fallback };
  if (!hasBytes) return { kind: 'forward', reason: 'miss', fallback };

  const hit = { kind: 'hit', manifest, ageSeconds: age, ttlSeconds: Number.isFinite(ttlSeconds) ? ttlSeconds : undefined } as const;
  if (ttlSeconds > 0) return { ...hit, revalidate: false };
  if (-ttlSeconds < policy.whileRevalidateSeconds) return { ...hit, revalidate: true };
  // RFC 9111 §4.2.4: what a publisher wants confirmed is confirmed, whatever the visitor tolerates.
  if (policy.ifErrorSeconds > 0 && -ttlSeconds <= toleratedSeconds(situation.wishes)) return { ...hit, revalidate: false };
  return { kind: 'forward', reason: 'stale', fallback };
}

/** For how long it has been stale. An invalidation ends the freshness when it is made: its version is microseconds since the epoch. */
function staleSeconds(entry: Entry, ttlSeconds: number, nowMs: number): number {
  return Math.max(-ttlSeconds, isStale(entry) ? Math.floor((nowMs - entry.staleAt / 1000) / 1000) : 0, 0);
}

/** `max-stale` of a request, RFC 9111 §5.2.1.2: without an argument any staleness will do; absent, none. */
function toleratedSeconds(wishes: CacheDirectives): number {
  const seconds =
    wishes.get('max-stale') === undefined && wishes.has('max-stale') ? Number.POSITIVE_INFINITY : secondsOf(wishes, 'max-stale');
  return seconds ?? Number.NEGATIVE_INFINITY;
}
