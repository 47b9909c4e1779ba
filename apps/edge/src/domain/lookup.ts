/** What to do with a request for a key, given what is known and held. */
import type { Manifest } from '@sluice/contracts';
import { type Entry, isPurged, isStale } from './entry.ts';

export type Lookup =
  /** Serve what is held. */
  | { readonly kind: 'hit'; readonly manifest: Manifest }
  /** The origin said a moment ago that there is no such key. */
  | { readonly kind: 'absent' }
  /** Ask the origin first. `reason` is the `fwd` parameter of RFC 9211 §2.2; `fallback` may be served when the origin is away. */
  | { readonly kind: 'forward'; readonly reason: 'uri-miss' | 'miss' | 'stale'; readonly fallback: Manifest | 'absent' | undefined };

export interface Held {
  /** Whether the bytes of a checksum are on this edge. */
  has(sha256: string): boolean;
  /** Whether the origin's "no such key" is still remembered. */
  isKnownAbsent(key: string): boolean;
  /** Whether what is known may be behind what was confirmed (after a power cut, until catch-up). */
  isDoubtful: boolean;
}

export function lookUp(key: string, entry: Entry | undefined, held: Held): Lookup {
  const manifest = entry?.manifest;
  if (entry === undefined || manifest === undefined) {
    if (held.isKnownAbsent(key)) return { kind: 'absent' };
    return { kind: 'forward', reason: 'uri-miss', fallback: entry?.placement === 'deleted' ? 'absent' : undefined };
  }
  const hasBytes = held.has(manifest.sha256);
  const fallback = hasBytes && !isPurged(entry) ? manifest : undefined;
  if (isStale(entry) || entry.placement !== 'placed' || held.isDoubtful) return { kind: 'forward', reason: 'stale', fallback };
  return hasBytes ? { kind: 'hit', manifest } : { kind: 'forward', reason: 'miss', fallback };
}
