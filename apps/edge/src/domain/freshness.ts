/**
 * For how long the origin's word on an object is good, and what may be done after that: RFC 9111 §4.2, RFC 5861, RFC 9213.
 *
 * An edge is a cache that is told of changes. So what a publisher says nothing about is fresh until an invalidation or a new version comes; what it does say is
 * kept to the letter.
 */
import type { Manifest } from '@sluice/contracts';
import { type CacheDirectives, parseCacheControl, parseHttpDate, parseTargetedCacheControl, secondsOf } from '@sluice/http-semantics';
import type { Entry } from './entry.ts';
import { perManifest } from './per-manifest.ts';

export interface FreshnessPolicy {
  /** Seconds from the origin's word on. Infinity: until something else is heard. */
  readonly lifetimeSeconds: number;
  /** Fresh before this instant only; milliseconds since the epoch. Of `Expires`, where nothing else says for how long. */
  readonly expiresAtMs: number;
  /** Seconds after the lifetime in which it may be served while it is being confirmed (RFC 5861 §3). */
  readonly whileRevalidateSeconds: number;
  /** Seconds after the lifetime in which it may be served when it cannot be confirmed (RFC 5861 §4; RFC 9111 §4.2.4 for what is not limited). */
  readonly ifErrorSeconds: number;
  /** Whether this edge may keep the bytes (RFC 9111 §5.2.2.5, §5.2.2.7). */
  readonly storable: boolean;
}

const UNLIMITED: FreshnessPolicy = {
  lifetimeSeconds: Number.POSITIVE_INFINITY,
  expiresAtMs: Number.POSITIVE_INFINITY,
  whileRevalidateSeconds: 0,
  ifErrorSeconds: Number.POSITIVE_INFINITY,
  storable: true,
};

/** What a publisher says about an object: in CDN-Cache-Control, else in Cache-Control and Expires. */
export function freshnessPolicy(manifest: Manifest): FreshnessPolicy {
  const { cdnCacheControl, cacheControl, expires } = manifest;
  return cdnCacheControl === undefined && cacheControl === undefined && expires === undefined ? UNLIMITED : statedPolicy(manifest);
}

const statedPolicy = perManifest(({ cdnCacheControl, cacheControl, expires }): FreshnessPolicy => {
  const targeted = parseTargetedCacheControl(cdnCacheControl);
  const directives = targeted ?? parseCacheControl(cacheControl);
  const told = secondsOf(directives, 's-maxage') ?? secondsOf(directives, 'max-age');
  // RFC 9111 §5.3: an Expires that is no date is in the past. RFC 9213 §2.2: beside a targeted field it does not count.
  const expiresAtMs = targeted === undefined && told === undefined && expires !== undefined ? (parseHttpDate(expires) ?? 0) : undefined;
  return {
    lifetimeSeconds: directives.has('no-cache') ? 0 : (told ?? Number.POSITIVE_INFINITY),
    expiresAtMs: expiresAtMs ?? Number.POSITIVE_INFINITY,
    ...staleness(directives),
    storable: !directives.has('no-store') && !directives.has('private'),
  };
});

/**
 * RFC 9111 §5.2.2.2, §5.2.2.4, §5.2.2.8: what must be confirmed once it is stale is never served unconfirmed. s-maxage implies that too (§5.2.2.10), unless
 * the publisher allows the contrary beside it.
 */
function staleness(directives: CacheDirectives): Pick<FreshnessPolicy, 'whileRevalidateSeconds' | 'ifErrorSeconds'> {
  if (directives.has('must-revalidate') || directives.has('proxy-revalidate') || directives.has('no-cache')) {
    return { whileRevalidateSeconds: 0, ifErrorSeconds: 0 };
  }
  return {
    whileRevalidateSeconds: secondsOf(directives, 'stale-while-revalidate') ?? 0,
    ifErrorSeconds: secondsOf(directives, 'stale-if-error') ?? (directives.has('s-maxage') ? 0 : Number.POSITIVE_INFINITY),
  };
}

/**
 * Seconds since the origin's word on an entry was last heard: by itself, or with all others of the region when the edge last caught up (RFC 9111 §4.2.3
 * with the edge as the place where the age begins).
 */
export function ageSeconds(entry: Entry, caughtUpAtMs: number | undefined, nowMs: number): number {
  const knownAtMs = Math.max(entry.knownAtMs, entry.placement === 'placed' ? (caughtUpAtMs ?? 0) : 0);
  return Math.max(0, Math.floor((nowMs - knownAtMs) / 1000));
}

/** Seconds of freshness left; 0 or less: stale. RFC 9111 §4.2. Infinity where nobody has set an end. */
export function remainingSeconds(policy: FreshnessPolicy, age: number, nowMs: number): number {
  return Math.min(policy.lifetimeSeconds - age, Math.ceil((policy.expiresAtMs - nowMs) / 1000));
}
