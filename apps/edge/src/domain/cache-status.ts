import { serializeList, Token } from 'structured-headers';

/** How a response came about, in the terms of RFC 9211 §2. */
export interface CacheHandling {
  readonly hit?: boolean;
  /** Seconds of freshness left, below 0 when served stale (§2.5). */
  readonly ttlSeconds?: number | undefined;
  readonly fwd?: 'uri-miss' | 'miss' | 'stale';
  /** What the origin's answer amounts to: 304 nothing new, 200 new bytes, 404 no such key. */
  readonly fwdStatus?: 200 | 304 | 404;
  readonly stored?: boolean;
  /** Joined a fill that was under way. */
  readonly collapsed?: boolean;
  readonly detail?: string;
}

/** The `Cache-Status` field value: `us-1; fwd=miss; fwd-status=200; stored`. RFC 9211. */
export function cacheStatus(cacheName: string, handling: CacheHandling): string {
  if (isPlainHit(handling))
    return handling.ttlSeconds === undefined
      ? `${plainName(cacheName)};hit`
      : `${plainName(cacheName)};hit;ttl=${Math.floor(handling.ttlSeconds)}`;
  const parameters = new Map<string, boolean | number | Token>();
  if (handling.hit === true) parameters.set('hit', true);
  if (handling.ttlSeconds !== undefined) parameters.set('ttl', Math.floor(handling.ttlSeconds));
  if (handling.fwd !== undefined) parameters.set('fwd', new Token(handling.fwd));
  if (handling.fwdStatus !== undefined) parameters.set('fwd-status', handling.fwdStatus);
  if (handling.stored === true) parameters.set('stored', true);
  if (handling.collapsed === true) parameters.set('collapsed', true);
  if (handling.detail !== undefined) parameters.set('detail', new Token(handling.detail));
  return serializeList([[cacheNameItem(cacheName), parameters]]);
}

/** What nearly every response says: written by hand, because a serializer takes longer than all the rest of a hit. */
function isPlainHit({ hit, fwd, detail, collapsed, stored }: CacheHandling): boolean {
  return hit === true && fwd === undefined && detail === undefined && collapsed !== true && stored !== true;
}

let lastName = '';
let lastPlainName = '';
/** The name of this cache as it stands in the field; an edge has one. */
function plainName(cacheName: string): string {
  if (cacheName !== lastName) [lastName, lastPlainName] = [cacheName, serializeList([[cacheNameItem(cacheName), new Map()]])];
  return lastPlainName;
}

/** A name that is an sf-token goes as one, any other as an sf-string (RFC 8941 §3.3). */
function cacheNameItem(name: string): Token | string {
  return /^[A-Za-z*][A-Za-z0-9_-]*$/.test(name) ? new Token(name) : name;
}
