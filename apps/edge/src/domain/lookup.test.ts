import { describe, expect, test } from 'vitest';
import type { Entry } from './entry.ts';
import { manifestOf } from './history.fixture.ts';
import { lookUp } from './lookup.ts';

const manifest = manifestOf('site/a', 10);
const placed: Entry = { key: 'site/a', version: 10, placement: 'placed', manifest, confirmedAt: 10, staleAt: 0, purgedAt: 0, knownAtMs: 0 };
const held = (has: boolean, absent = false, isDoubtful = false) => ({ has: () => has, isKnownAbsent: () => absent, isDoubtful });

describe('look-up', () => {
  test.each([
    ['fresh with bytes is a hit', placed, held(true), { kind: 'hit', manifest }],
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
    expect(lookUp('site/a', entry, holding)).toEqual(expected);
  });
});
