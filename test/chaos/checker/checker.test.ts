/** The judge judged: each way to break a promise is found, and what keeps them is not accused. */
import { sha256Of } from '@sluice/testkit';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Checker, RECOVERY_MS } from './checker.ts';
import type { Observation } from './observation.ts';

const EDGE = 'edge us-1';
const KEY = 'chaos/a/1';
const BYTES = ['one', 'two, which is longer', ''].map((text) => Buffer.from(text));

/** A key that was written three times, at 10, 20 and 30 s with versions 10, 20 and 30, then removed at 40 s. */
function scene() {
  const checker = new Checker();
  const history = checker.history(KEY);
  for (const [index, bytes] of [...BYTES, undefined].entries()) {
    const atMs = (index + 1) * 10_000;
    const state = history.begin({ bytes, sha256: bytes === undefined ? '' : sha256Of(bytes), regions: [], tags: ['red'], beganAtMs: atMs });
    history.acknowledge(state, atMs + 5, (index + 1) * 10);
  }
  const see = (fields: Partial<Observation>): void => {
    const floor = checker.begin(EDGE, KEY);
    checker.answered({ ...whole(0), ...fields }, floor);
  };
  return { checker, see, found: () => checker.violations.map(({ invariant }) => invariant) };
}

function whole(index: number, atMs = 50_000): Observation {
  const bytes = BYTES[index] as Buffer;
  return {
    edge: EDGE,
    key: KEY,
    startedAtMs: atMs,
    endedAtMs: atMs + 1,
    status: 200,
    body: bytes,
    version: (index + 1) * 10,
    cacheStatus: 'us-1;hit',
    etag: sha256Of(bytes),
  };
}
const gone = { status: 404, body: Buffer.from('404'), version: undefined, etag: '' };
const part = (index: number, first: number, last: number): Partial<Observation> => ({
  ...whole(index),
  status: 206,
  body: (BYTES[index] as Buffer).subarray(first, last + 1),
  range: { first, last, size: (BYTES[index] as Buffer).length },
});
const unchanged = (index: number): Partial<Observation> => ({
  ...whole(index),
  status: 304,
  body: Buffer.alloc(0),
  ifNoneMatch: sha256Of(BYTES[index] as Buffer),
});

describe('answers', () => {
  test('an edge that goes on through what a key was is right, whichever way it says so', () => {
    const { see, found } = scene();
    for (const fields of [gone, whole(0), part(0, 1, 2), unchanged(0), whole(1), part(1, 0, 5), unchanged(1), whole(2), unchanged(2), gone])
      see(fields);
    expect(found()).toEqual([]);
  });

  test.each([
    ['other bytes', { body: Buffer.from('oNe') }, 'integrity'],
    ['a body that is cut off', { body: Buffer.from('on') }, 'integrity'],
    ['the bytes of another version', { body: BYTES[1] as Buffer }, 'integrity'],
    ['a part with other bytes', { ...part(1, 0, 5), body: Buffer.from('xwo, w') }, 'integrity'],
    ['a part of another size', { ...part(1, 0, 5), range: { first: 0, last: 5, size: 7 } }, 'integrity'],
    ['"unchanged" of what the key never was', { ...unchanged(1), ifNoneMatch: 'f'.repeat(64) }, 'integrity'],
    ['"no such range" of a byte that is there', { ...whole(1), status: 416, body: Buffer.alloc(0), askedFirst: 3 }, 'integrity'],
  ])('%s is a broken %s', (_what, fields, invariant) => {
    const { see, found } = scene();
    see(fields);
    expect(found()).toEqual([invariant]);
  });

  test('what was not yet written cannot be served', () => {
    const { see, found } = scene();
    see(whole(2, 29_000));
    expect(found()).toEqual(['integrity']);
  });

  test.each([
    ['a whole body', whole(0)],
    ['a part', part(0, 0, 1)],
    ['"unchanged"', unchanged(0)],
    ['"not there", after it was there', gone],
  ])('going back is found: %s', (_what, fields) => {
    const { see, found } = scene();
    see(fields === gone ? whole(0) : whole(1));
    see(fields);
    // It was removed in the end, so that alone is no going back.
    expect(found()).toEqual(fields === gone ? [] : ['monotonic']);
  });

  test('content after its removal was seen is going back', () => {
    const { see, found } = scene();
    see(whole(2));
    see(gone);
    see(whole(2));
    expect(found()).toEqual(['monotonic']);
  });

  test('answers that overlap may come in any order', () => {
    const { checker, found } = scene();
    const [early, late] = [checker.begin(EDGE, KEY), checker.begin(EDGE, KEY)];
    checker.answered(whole(1), late);
    checker.answered(whole(0), early);
    expect(found()).toEqual([]);
  });

  test('an edge that never goes back is never accused, and one that does always', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(2), { minLength: 2, maxLength: 20 }), (order) => {
        const { see, found } = scene();
        for (const index of order) see(whole(index));
        const goesBack = order.some((index, at) => at > 0 && index < Math.max(...order.slice(0, at)));
        expect(found().length > 0).toBe(goesBack);
      }),
    );
  });
});

describe('invalidations', () => {
  const confirmed = (mode: 'stale' | 'purge', selector: object) => {
    const it = scene();
    const { invalidations } = it.checker;
    invalidations.askedFor('e-1', 51_000);
    invalidations.announced({ id: 'e-1', selector: selector as { all: true }, mode, version: 50 });
    invalidations.confirmed('e-1', EDGE, 52_000);
    return it;
  };
  const hit = whole(0, 53_000);
  const asked = { ...whole(0, 52_500), cacheStatus: 'us-1;fwd=stale;fwd-status=304' };
  const away = { ...hit, cacheStatus: 'us-1;fwd=stale;detail=origin-away' };

  test.each([{ all: true }, { key: KEY }, { prefix: 'chaos/a/' }, { tag: 'red' }])(
    'a hit after a confirmed one is found: %o',
    (selector) => {
      const { see, found } = confirmed('stale', selector);
      see(hit);
      expect(found()).toEqual(['invalidation']);
    },
  );

  test.each([{ key: 'chaos/a/2' }, { prefix: 'chaos/b/' }, { tag: 'blue' }])('of something else it says nothing: %o', (selector) => {
    const { see, found } = confirmed('stale', selector);
    see(hit);
    expect(found()).toEqual([]);
  });

  test('a hit is right before it was confirmed, after the origin was asked, and of a version that came later', () => {
    const { see, found, checker } = confirmed('stale', { all: true });
    see({ ...hit, startedAtMs: 51_500 });
    see(asked);
    see(hit);
    checker.invalidations.contentAnnounced(KEY, 60, 20);
    see(whole(1, 54_000));
    expect(found()).toEqual([]);
  });

  test('with nobody to ask, what is stale may be served and what is purged may not', () => {
    for (const [mode, invariants] of [
      ['stale', []],
      ['purge', ['invalidation']],
    ] as const) {
      const { see, found } = confirmed(mode, { all: true });
      see(away);
      expect(found()).toEqual(invariants);
    }
  });

  test('a hit beside a request that is under way is judged when that has ended', () => {
    const { checker, found } = confirmed('stale', { all: true });
    const [other, own] = [checker.begin(EDGE, KEY), checker.begin(EDGE, KEY)];
    checker.answered(hit, own);
    expect(found()).toEqual([]);
    checker.answered({ ...asked, endedAtMs: 54_000 }, other);
    expect(found()).toEqual([]);
  });

  test('a wrong answer for which the origin was asked is accused, and not the hits that follow', () => {
    const { see, found } = confirmed('stale', { all: true });
    see({ ...asked, body: Buffer.from('oNe') });
    see(hit);
    expect(found()).toEqual(['integrity']);
  });

  test('an edge that has lost its copy owes nothing for what it had confirmed', () => {
    const { see, found, checker } = confirmed('stale', { all: true });
    checker.struck({ forgotten: [EDGE] }, 52_500)(52_600);
    see(hit);
    expect(found()).toEqual([]);
  });
});

test('of an invariant that is broken with every answer fifty are told, and another is told beside it', () => {
  const { checker, see, found } = scene();
  for (let time = 0; time < 500; time += 1) see({ body: Buffer.from('oNe') });
  checker.accuse({ invariant: 'durability', atMs: 60_000, what: 'nothing is accepted' });
  expect(Object.entries(Object.groupBy(found(), (invariant) => invariant)).map(([name, all]) => [name, all?.length])).toEqual([
    ['integrity', 50],
    ['durability', 1],
  ]);
});

describe('requests without an answer', () => {
  const failure = (status: number | undefined) => ({
    edge: EDGE,
    key: KEY,
    startedAtMs: 60_000,
    endedAtMs: 60_100,
    status,
    what: 'nothing',
  });

  test('are excused by what struck that edge, and for a while after it; a miss also by what keeps the origin away', () => {
    for (const [excuses, status, isExcused] of [
      [{ unavailable: [EDGE] }, undefined, true],
      [{ unavailable: ['edge us-2'] }, undefined, false],
      [{ delivery: true }, 504, true],
      [{ uploads: true }, 504, true],
      [{ delivery: true }, undefined, false],
      [{ delivery: true }, 500, false],
      [{}, 504, false],
    ] as const) {
      for (const [healedAtMs, isLongAgo] of [
        [59_000, false],
        [60_000 - RECOVERY_MS - 1, true],
      ] as const) {
        const { checker, found } = scene();
        checker.struck(excuses, 40_000)(healedAtMs);
        checker.begin(EDGE, KEY);
        checker.failed(failure(status));
        expect([excuses, status, found()]).toEqual([excuses, status, isExcused && !isLongAgo ? [] : ['availability']]);
      }
    }
  });

  test('an upload that nothing is in the way of and takes long is a broken isolation', () => {
    const { checker, found } = scene();
    checker.uploaded(KEY, 60_000, 70_001);
    checker.struck({ uploads: true }, 80_000)(81_000);
    checker.uploaded(KEY, 80_000, 95_000);
    expect(found()).toEqual(['isolation']);
  });
});
