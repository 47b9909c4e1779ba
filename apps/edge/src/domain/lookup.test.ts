import type { Manifest } from '@sluice/contracts';
import { parseCacheControl } from '@sluice/http-semantics';
import { describe, expect, test } from 'vitest';
import type { Entry } from './entry.ts';
import { manifestOf } from './history.fixture.ts';
import { lookUp, type Situation } from './lookup.ts';

const manifest = manifestOf('site/a', 10);
const placed: Entry = { key: 'site/a', version: 10, placement: 'placed', manifest, confirmedAt: 10, staleAt: 0, purgedAt: 0, knownAtMs: 0 };
const NOW_MS = 1_000_000_000;
const held = (has: boolean, absent = false, isDoubtful = false): Situation => ({
  ...{ has: () => has, isKnownAbsent: () => absent, isDoubtful },
  ...{ caughtUpAtMs: NOW_MS, nowMs: NOW_MS, wishes: new Map() },
});

describe('look-up', () => {
  test.each([
    ['fresh with bytes is a hit', placed, held(true), { kind: 'hit', manifest, ttlSeconds: undefined, revalidate: false }],
    ['fresh without bytes is fetched', placed, held(false), { kind: 'forward', reason: 'miss', fallback: undefined }],
    [
      'stale is asked for, and may be served when the origin is away',
      { ...placed, staleAt: 11 },
      held(true),
      { kind: 'forward', reason: 'stale', fallback: manifest },
    ],
    [
      'purged is asked for, and never served unasked',
      { ...placed, staleAt: 11, purgedAt: 11 },
      held(true),
      { kind: 'forward', reason: 'stale', fallback: undefined },
    ],
    [
      'in doubt after a power cut is asked for, and may be served when the origin is away',
      placed,
      held(true, false, true),
      { kind: 'forward', reason: 'stale', fallback: manifest },
    ],
    [
      'of another region is confirmed each time',
      { ...placed, placement: 'elsewhere' as const },
      held(true),
      { kind: 'forward', reason: 'stale', fallback: manifest },
    ],
    ['unknown is asked for', undefined, held(false), { kind: 'forward', reason: 'uri-miss', fallback: undefined }],
    ['unknown a moment ago is absent', undefined, held(false, true), { kind: 'absent' }],
    [
      'deleted is asked for, and absent when the origin is away',
      { ...placed, placement: 'deleted' as const, manifest: undefined },
      held(true),
      { kind: 'forward', reason: 'uri-miss', fallback: 'absent' },
    ],
  ] as const)('%s', (_law, entry, holding, expected) => {
    expect(lookUp('site/a', entry, holding)).toMatchObject(expected);
  });
});

/** The outcome for an object with these fields, `age` seconds after the edge last knew that it is current. */
function outcome(fields: Partial<Manifest>, age: number, wish = '', entry: Partial<Entry> = {}): string {
  const lookup = lookUp(
    'site/a',
    { ...placed, manifest: manifestOf('site/a', 10, fields), ...entry },
    { ...held(true), caughtUpAtMs: NOW_MS - age * 1000, wishes: parseCacheControl(wish) },
  );
  if (lookup.kind === 'hit') return `hit;ttl=${lookup.ttlSeconds}${lookup.revalidate ? ';revalidate' : ''}`;
  return lookup.kind === 'forward'
    ? `${lookup.reason}, ${lookup.fallback === undefined ? 'nothing' : 'stale'} when the origin is away`
    : lookup.kind;
}
const CONFIRM = 'stale, nothing when the origin is away';
const CONFIRM_OR_STALE = 'stale, stale when the origin is away';

describe('freshness', () => {
  test.each<[string, Partial<Manifest>, number, string]>([
    ['nothing said: fresh until something else is heard', {}, 1e6, 'hit;ttl=undefined'],
    ['max-age before its end (RFC 9111 §4.2)', { cacheControl: 'max-age=60' }, 59, 'hit;ttl=1'],
    ['max-age at its end', { cacheControl: 'max-age=60' }, 60, CONFIRM_OR_STALE],
    ['s-maxage wins over max-age (§5.2.2.10)', { cacheControl: 'max-age=5, s-maxage=60' }, 30, 'hit;ttl=30'],
    ['s-maxage is not stretched', { cacheControl: 's-maxage=60' }, 60, CONFIRM],
    ['no-cache is confirmed each time (§5.2.2.4)', { cacheControl: 'no-cache' }, 0, CONFIRM],
    ['max-age=0 is confirmed each time', { cacheControl: 'max-age=0' }, 0, CONFIRM_OR_STALE],
    ['must-revalidate while fresh (§5.2.2.2)', { cacheControl: 'max-age=60, must-revalidate' }, 10, 'hit;ttl=50'],
    ['must-revalidate once stale', { cacheControl: 'max-age=60, must-revalidate' }, 61, CONFIRM],
    ['proxy-revalidate once stale (§5.2.2.8)', { cacheControl: 'max-age=60, proxy-revalidate' }, 61, CONFIRM],
    ['Expires ahead (§5.3)', { expires: new Date(NOW_MS + 9_000).toUTCString() }, 1e6, 'hit;ttl=9'],
    ['Expires passed', { expires: new Date(NOW_MS).toUTCString() }, 0, CONFIRM_OR_STALE],
    ['Expires that is no date has passed', { expires: '0' }, 0, 'stale, stale when the origin is away'],
    ['max-age wins over Expires', { expires: '0', cacheControl: 'max-age=60' }, 1, 'hit;ttl=59'],
    ['immutable changes nothing here (RFC 8246)', { cacheControl: 'max-age=60, immutable' }, 61, CONFIRM_OR_STALE],
    ['stale-while-revalidate (RFC 5861 §3)', { cacheControl: 'max-age=60, stale-while-revalidate=30' }, 89, 'hit;ttl=-29;revalidate'],
    ['stale-while-revalidate at its end', { cacheControl: 'max-age=60, stale-while-revalidate=30' }, 90, CONFIRM_OR_STALE],
    ['stale-while-revalidate beside s-maxage', { cacheControl: 's-maxage=60, stale-while-revalidate=30' }, 70, 'hit;ttl=-10;revalidate'],
    ['must-revalidate forbids it', { cacheControl: 'max-age=60, stale-while-revalidate=30, must-revalidate' }, 61, CONFIRM],
    ['stale-if-error (§4)', { cacheControl: 'max-age=60, stale-if-error=30' }, 89, CONFIRM_OR_STALE],
    ['stale-if-error at its end', { cacheControl: 'max-age=60, stale-if-error=30' }, 90, CONFIRM],
    ['CDN-Cache-Control governs (RFC 9213 §2.2)', { cacheControl: 'no-cache', cdnCacheControl: 'max-age=600' }, 300, 'hit;ttl=300'],
    ['and takes Expires away', { expires: '0', cdnCacheControl: 'stale-if-error=5' }, 1e6, 'hit;ttl=undefined'],
    ['and may be shorter', { cacheControl: 'max-age=600', cdnCacheControl: 'max-age=5' }, 6, CONFIRM_OR_STALE],
    ['one that does not parse is ignored', { cacheControl: 'max-age=60', cdnCacheControl: 'max-age=' }, 59, 'hit;ttl=1'],
    ['one that is empty is ignored', { cacheControl: 'max-age=60', cdnCacheControl: ' ' }, 59, 'hit;ttl=1'],
    ['one with a wrong type is stale', { cdnCacheControl: 'max-age="x"' }, 0, CONFIRM_OR_STALE],
  ])('%s', (_law, fields, age, expected) => {
    expect(outcome(fields, age)).toBe(expected);
  });

  test.each<[string, Partial<Manifest>, number, string, string]>([
    ['max-stale tolerates so much (RFC 9111 §5.2.1.2)', { cacheControl: 'max-age=60' }, 70, 'max-stale=10', 'hit;ttl=-10'],
    ['and no more', { cacheControl: 'max-age=60' }, 71, 'max-stale=10', CONFIRM_OR_STALE],
    ['max-stale without an argument tolerates all', { cacheControl: 'max-age=60' }, 1e6, 'max-stale', 'hit;ttl=-999940'],
    ['but not what must be confirmed', { cacheControl: 'max-age=60, must-revalidate' }, 61, 'max-stale', CONFIRM],
    ['no-cache of a visitor sends nobody to the origin', { cacheControl: 'max-age=60' }, 30, 'no-cache', 'hit;ttl=30'],
    ['nor does max-age=0', { cacheControl: 'max-age=60' }, 30, 'max-age=0', 'hit;ttl=30'],
  ])('of a request: %s', (_law, fields, age, wish, expected) => {
    expect(outcome(fields, age, wish)).toBe(expected);
  });

  test.each(['no-store', 'private', 'private="x-user"', 'max-age=60, no-store'])(
    '%s is not served from here, also when the bytes are (RFC 9111 §5.2.2.5, §5.2.2.7)',
    (cacheControl) => {
      expect(outcome({ cacheControl }, 0)).toBe('miss, nothing when the origin is away');
      expect(outcome({ cacheControl, cdnCacheControl: 'max-age=60' }, 0)).toBe('hit;ttl=60');
    },
  );

  test('an invalidation is never served unasked, whatever the publisher or the visitor allows, and ends the freshness when it is made', () => {
    const lenient = { cacheControl: 'max-age=600, stale-while-revalidate=600' };
    const invalidated = { staleAt: (NOW_MS - 20_000) * 1000, confirmedAt: 10 };
    expect(outcome(lenient, 1, 'max-stale', invalidated)).toBe(CONFIRM_OR_STALE);
    expect(outcome({ cacheControl: 'max-age=600, stale-if-error=30' }, 1, '', invalidated)).toBe(CONFIRM_OR_STALE);
    expect(outcome({ cacheControl: 'max-age=600, stale-if-error=20' }, 1, '', invalidated)).toBe(CONFIRM);
    expect(outcome({ cacheControl: 'max-age=600, must-revalidate' }, 1, '', invalidated)).toBe(CONFIRM);
  });
});
