/** What an edge has confirmed as invalidated, and what it may and may not serve unasked from then on. */
import type { Selector } from '@sluice/contracts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Invalidations } from './invalidations.ts';
import { isHit, type Observation } from './observation.ts';

const EDGE = 'edge us-1';
const KEY = 'chaos/a/1';
const TAGS = ['red', 'round'];

/** An answer of this edge for this key, version 10, that takes 1 ms. */
const answer = (startedAtMs: number, cacheStatus: string, fields: Partial<Observation> = {}): Observation => ({
  ...{ edge: EDGE, key: KEY, startedAtMs, endedAtMs: startedAtMs + 1, status: 200, body: Buffer.from('one'), version: 10, etag: '' },
  ...{ cacheStatus, ...fields },
});
const hit = (atMs: number, fields?: Partial<Observation>) => answer(atMs, 'us-1;hit', fields);
const asked = (atMs: number) => answer(atMs, 'us-1;fwd=stale;fwd-status=304');
const away = (atMs: number, fields?: Partial<Observation>) => answer(atMs, 'us-1;fwd=stale;detail=origin-away', fields);

/** Asked for at 100, confirmed by this edge at 200, up to version 50. */
function confirmedBy(selector: Selector, mode: 'stale' | 'purge' = 'stale'): Invalidations {
  const invalidations = new Invalidations();
  invalidations.askedFor('e-1', 100);
  invalidations.announced({ id: 'e-1', selector, mode, version: 50 });
  invalidations.confirmed('e-1', EDGE, 200);
  return invalidations;
}
const isBroken = (invalidations: Invalidations, seen: Observation): boolean => invalidations.judge(seen, TAGS) !== undefined;

test.each([
  ['us-1;hit', true],
  ['us-1; hit; ttl=30', true],
  ['us-1;fwd=uri-miss;fwd-status=200;stored', false],
  ['us-1;fwd=stale;detail=hit-for-pass', false],
  ['hit', true],
  ['', false],
])('"%s" is a hit: %s', (cacheStatus, is) => {
  expect(isHit({ cacheStatus })).toBe(is);
});

describe.each(['stale', 'purge'] as const)('a hit after a confirmed %s', (mode) => {
  test.each<Selector>([{ key: KEY }, { prefix: 'chaos/a/' }, { prefix: 'chaos/' }, { tag: 'round' }, { all: true }])(
    'is found when it is covered: %o',
    (selector) => {
      expect(confirmedBy(selector, mode).judge(hit(201), TAGS)).toEqual({
        ...{ invariant: 'invalidation', atMs: 202, edge: EDGE, key: KEY },
        what: `version 10 served with "us-1;hit" after ${mode} up to 50 was confirmed`,
      });
    },
  );

  test.each<Selector>([{ key: 'chaos/a/12' }, { prefix: 'chaos/a/12' }, { prefix: 'chaos/b/' }, { tag: 'blue' }])(
    'is right when it is not: %o',
    (selector) => {
      expect(isBroken(confirmedBy(selector, mode), hit(201))).toBe(false);
    },
  );

  test('is found however it is said: part, unchanged', () => {
    for (const status of [206, 304]) expect(isBroken(confirmedBy({ all: true }, mode), hit(201, { status }))).toBe(true);
  });

  test('is that edge’s own affair', () => {
    expect(isBroken(confirmedBy({ all: true }, mode), hit(201, { edge: 'edge us-2' }))).toBe(false);
  });

  test('counts from the first request that was sent after it', () => {
    for (const [startedAtMs, expected] of [
      [199, false],
      [200, false],
      [201, true],
    ] as const) {
      expect(isBroken(confirmedBy({ all: true }, mode), hit(startedAtMs, { endedAtMs: 300 }))).toBe(expected);
    }
  });

  test('is right for a version that came after what was invalidated', () => {
    expect(isBroken(confirmedBy({ all: true }, mode), hit(201, { version: 50 }))).toBe(true);
    expect(isBroken(confirmedBy({ all: true }, mode), hit(201, { version: 51 }))).toBe(false);
  });

  test('is right when the content was announced again after it, and wrong when that was before it', () => {
    for (const [announcedAs, expected] of [
      [49, true],
      [51, false],
    ] as const) {
      const invalidations = confirmedBy({ all: true }, mode);
      invalidations.contentAnnounced(KEY, announcedAs, 10);
      // What is heard late takes nothing back.
      invalidations.contentAnnounced(KEY, 11, 10);
      invalidations.contentAnnounced('chaos/a/2', 60, 10);
      expect(isBroken(invalidations, hit(201))).toBe(expected);
    }
  });
});

describe('after the origin was asked', () => {
  test('a hit is right, until the next one is confirmed', () => {
    const invalidations = confirmedBy({ all: true });
    expect(isBroken(invalidations, hit(201))).toBe(true);
    expect(isBroken(invalidations, asked(210))).toBe(false);
    expect(isBroken(invalidations, hit(220))).toBe(false);
    invalidations.askedFor('e-2', 300);
    invalidations.announced({ id: 'e-2', selector: { key: KEY }, mode: 'stale', version: 60 });
    invalidations.confirmed('e-2', EDGE, 310);
    expect(isBroken(invalidations, hit(311))).toBe(true);
  });

  test('before anybody asked for the invalidation is not after it', () => {
    for (const [endedAtMs, expected] of [
      [99, true],
      [100, false],
    ] as const) {
      const invalidations = confirmedBy({ all: true });
      invalidations.mayHaveAsked(EDGE, KEY, endedAtMs);
      expect(isBroken(invalidations, hit(201))).toBe(expected);
    }
  });

  test('for another key, or by another edge, says nothing', () => {
    const invalidations = confirmedBy({ all: true });
    invalidations.mayHaveAsked(EDGE, 'chaos/a/2', 205);
    invalidations.mayHaveAsked('edge us-2', KEY, 205);
    expect(isBroken(invalidations, hit(210))).toBe(true);
  });

  test('answers may be heard in another order than they came in', () => {
    const invalidations = confirmedBy({ all: true });
    invalidations.mayHaveAsked(EDGE, KEY, 205);
    invalidations.mayHaveAsked(EDGE, KEY, 50);
    expect(isBroken(invalidations, hit(210))).toBe(false);
  });
});

describe('with the origin away', () => {
  test('what is stale may be served, and what is purged may not', () => {
    expect(isBroken(confirmedBy({ all: true }, 'stale'), away(201))).toBe(false);
    expect(isBroken(confirmedBy({ all: true }, 'purge'), away(201))).toBe(true);
  });

  test('an error shows nothing that was purged', () => {
    expect(isBroken(confirmedBy({ all: true }, 'purge'), away(201, { status: 404 }))).toBe(false);
  });

  test('an answer is none for which the origin was asked: a hit after it is found', () => {
    const invalidations = confirmedBy({ all: true });
    expect(isBroken(invalidations, away(201))).toBe(false);
    expect(isBroken(invalidations, hit(210))).toBe(true);
  });

  test('a purge is found behind a later stale', () => {
    const invalidations = confirmedBy({ key: KEY }, 'purge');
    invalidations.askedFor('e-2', 210);
    invalidations.announced({ id: 'e-2', selector: { all: true }, mode: 'stale', version: 60 });
    invalidations.confirmed('e-2', EDGE, 220);
    expect(isBroken(invalidations, away(230))).toBe(true);
  });
});

describe('nothing is held against an edge', () => {
  test('that has confirmed what was never announced, or what nobody is known to have asked for', () => {
    const invalidations = new Invalidations();
    invalidations.askedFor('e-1', 100);
    invalidations.confirmed('e-1', EDGE, 200);
    invalidations.announced({ id: 'e-2', cause: 'r-2', selector: { all: true }, mode: 'stale', version: 50 });
    invalidations.confirmed('e-2', EDGE, 200);
    expect(invalidations.confirmations).toBe(0);
    expect(isBroken(invalidations, hit(201))).toBe(false);
  });

  test('that has lost what it held, but against others', () => {
    const invalidations = confirmedBy({ all: true });
    invalidations.confirmed('e-1', 'edge us-2', 200);
    invalidations.forget(EDGE);
    expect(isBroken(invalidations, hit(201))).toBe(false);
    expect(isBroken(invalidations, hit(201, { edge: 'edge us-2' }))).toBe(true);
  });

  test('for anything that was announced before events were missed', () => {
    const invalidations = confirmedBy({ all: true });
    invalidations.forgetAll();
    invalidations.confirmed('e-1', EDGE, 210);
    expect(isBroken(invalidations, hit(220))).toBe(false);
  });
});

test('a request by hand on the broker is known by the announcement that answers it', () => {
  const invalidations = new Invalidations();
  invalidations.askedFor('r-1', 100);
  invalidations.announced({ id: 'e-1', cause: 'r-1', selector: { all: true }, mode: 'stale', version: 50 });
  invalidations.confirmed('e-1', EDGE, 200);
  expect(isBroken(invalidations, hit(201))).toBe(true);
});

test('a request that is made twice began when the first one did', () => {
  const invalidations = new Invalidations();
  invalidations.askedFor('e-1', 100);
  invalidations.askedFor('e-1', 150);
  invalidations.announced({ id: 'e-1', selector: { all: true }, mode: 'stale', version: 50 });
  invalidations.confirmed('e-1', EDGE, 200);
  invalidations.mayHaveAsked(EDGE, KEY, 120);
  expect(isBroken(invalidations, hit(201))).toBe(false);
});

test('of many confirmed ones the oldest are let go, at 500 for each edge', () => {
  const invalidations = confirmedBy({ key: KEY });
  const confirmAnother = (id: number): void => {
    invalidations.askedFor(`o-${id}`, 110);
    invalidations.announced({ id: `o-${id}`, selector: { key: 'chaos/b/1' }, mode: 'stale', version: 50 });
    invalidations.confirmed(`o-${id}`, EDGE, 200);
  };
  for (let id = 1; id < 500; id += 1) confirmAnother(id);
  expect(isBroken(invalidations, hit(201))).toBe(true);
  confirmAnother(500);
  expect(isBroken(invalidations, hit(201))).toBe(false);
});

/** What happens to one key on one edge. An edge is asked by a reader now and then, and an invalidation is announced and confirmed at once. */
const events = fc.array(fc.oneof(fc.constantFrom('read' as const), fc.constantFrom('stale' as const, 'purge' as const)), {
  minLength: 1,
  maxLength: 40,
});

/** A model edge that asks the origin first for whatever was invalidated. `forgetsAt`: the number of the invalidation that it confirms and does not do. */
function accusations(happens: readonly ('read' | 'stale' | 'purge')[], forgetsAt?: number): number {
  const invalidations = new Invalidations();
  let hasToAsk = false;
  let count = 0;
  let found = 0;
  for (const [index, what] of happens.entries()) {
    const atMs = (index + 1) * 10;
    if (what === 'read') {
      if (isBroken(invalidations, hasToAsk ? asked(atMs) : hit(atMs))) found += 1;
      hasToAsk = false;
    } else {
      const id = `e-${index}`;
      invalidations.askedFor(id, atMs);
      invalidations.announced({ id, selector: { all: true }, mode: what, version: 50 + index });
      invalidations.confirmed(id, EDGE, atMs + 1);
      if (count !== forgetsAt) hasToAsk = true;
      count += 1;
    }
  }
  return found;
}

test('an edge that asks for what was invalidated is never accused', () => {
  fc.assert(fc.property(events, (happens) => accusations(happens) === 0));
});

test('an edge that confirms one and does not do it is found by the next read', () => {
  fc.assert(
    fc.property(events, events, fc.constantFrom('stale' as const, 'purge' as const), (before, after, mode) => {
      const forgets = before.filter((what) => what !== 'read').length;
      // What went before is asked for, so that only the forgotten one is left.
      const happens = [...before, 'read' as const, mode, 'read' as const, ...after];
      expect(accusations(happens, forgets)).toBeGreaterThan(0);
    }),
  );
});
