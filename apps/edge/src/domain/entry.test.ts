import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { afterRemove, afterStore, isPurged, isStale, type Knowledge } from './entry.ts';
import { comparable, history, manifestOf, modelAfter, retoldHistory } from './history.fixture.ts';

const nothing: Knowledge = { region: 'US', watermark: 0, invalidations: [], nowMs: 1 };
const announced = { kind: 'announced' } as const;

describe('entries', () => {
  test('any order and duplication of the same messages leads to the same entries', () => {
    fc.assert(
      fc.property(retoldHistory, ({ original, retold }) => {
        expect(comparable(modelAfter(retold).values())).toEqual(comparable(modelAfter(original).values()));
      }),
      { numRuns: 2_000 },
    );
  });

  test('the version of a key never goes back, whatever is heard', () => {
    fc.assert(
      fc.property(retoldHistory, ({ retold }) => {
        const seen = new Map<string, number>();
        for (let count = 1; count <= retold.length; count++) {
          for (const { key, version } of modelAfter(retold.slice(0, count)).values()) {
            expect(version).toBeGreaterThanOrEqual(seen.get(key) ?? 0);
            seen.set(key, version);
          }
        }
      }),
      { numRuns: 100 },
    );
  });

  test('an entry is stale exactly when an invalidation newer than its last confirmation covers it', () => {
    fc.assert(
      fc.property(history, (messages) => {
        for (const entry of modelAfter(messages).values()) {
          const covering = messages.flatMap((message) => (message.op === 'invalidate' ? [message.invalidation] : []));
          const newest = covering
            .filter(({ selector }) => {
              if (entry.manifest === undefined) return false;
              if ('key' in selector) return selector.key === entry.key;
              if ('prefix' in selector) return entry.key.startsWith(selector.prefix);
              return 'tag' in selector ? entry.manifest.tags.includes(selector.tag) : true;
            })
            .reduce((max, { version }) => Math.max(max, version), 0);
          expect(isStale(entry)).toBe(newest > entry.confirmedAt);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('a late push of a key that catch-up did not name is not taken', () => {
    expect(afterStore(undefined, manifestOf('site/a', 50), announced, { ...nothing, watermark: 50 })).toBeUndefined();
    expect(afterStore(undefined, manifestOf('site/a', 51), announced, { ...nothing, watermark: 50 })).toBeDefined();
  });

  test('a resolve of such a key is taken', () => {
    expect(afterStore(undefined, manifestOf('site/a', 50), { kind: 'resolved', asOf: 60 }, { ...nothing, watermark: 50 })).toMatchObject({
      confirmedAt: 60,
    });
  });

  test('a resolve that was answered before the watermark leaves the entry stale: an invalidation may lie between', () => {
    const entry = afterStore(undefined, manifestOf('site/a', 40), { kind: 'resolved', asOf: 45 }, { ...nothing, watermark: 50 });
    expect(entry && isStale(entry)).toBe(true);
  });

  test('a late push cannot resurrect a removed key, a newer upload can', () => {
    const removed = afterRemove(undefined, { key: 'site/a', version: 20, reason: 'deleted' }, nothing);
    expect(afterStore(removed, manifestOf('site/a', 10), announced, nothing)).toBeUndefined();
    expect(afterStore(removed, manifestOf('site/a', 30), announced, nothing)).toMatchObject({ placement: 'placed', version: 30 });
  });

  test('a key of other regions is kept apart, and stays open to be pulled at the version at which it left', () => {
    const left = afterRemove(undefined, { key: 'site/a', version: 20, reason: 'region' }, nothing);
    const pulled = afterStore(left, manifestOf('site/a', 20, { regions: ['EU'] }), { kind: 'resolved', asOf: 25 }, nothing);
    expect(pulled).toMatchObject({ placement: 'elsewhere', manifest: { version: 20 } });
  });

  test('a purge that came while a key had no manifest here covers the version that is pulled later', () => {
    const left = afterRemove(undefined, { key: 'site/a', version: 20, reason: 'region' }, nothing);
    const invalidations = [{ selector: { key: 'site/a' }, version: 30, mode: 'purge' as const }];
    const pulled = afterStore(
      left,
      manifestOf('site/a', 20, { regions: ['EU'] }),
      { kind: 'resolved', asOf: 25 },
      { ...nothing, invalidations },
    );
    expect(pulled && isPurged(pulled)).toBe(true);
  });

  test('a confirmation clears both marks, a purge outlives an older confirmation', () => {
    const invalidations = [{ selector: { all: true as const }, version: 15, mode: 'purge' as const }];
    const purged = afterStore(undefined, manifestOf('site/a', 10), announced, { ...nothing, invalidations });
    expect(purged && isPurged(purged) && isStale(purged)).toBe(true);
    const older = afterStore(purged, manifestOf('site/a', 10), { kind: 'resolved', asOf: 14 }, nothing);
    expect(older && isPurged(older)).toBe(true);
    const confirmed = afterStore(older, manifestOf('site/a', 10), { kind: 'resolved', asOf: 16 }, nothing);
    expect(confirmed && !isPurged(confirmed) && !isStale(confirmed)).toBe(true);
  });
});
