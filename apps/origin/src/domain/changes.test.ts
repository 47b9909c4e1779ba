import type { Manifest } from '@sluice/contracts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { changeFor, mustReset } from './changes.ts';
import { addPlacement, EVER_REGIONS_MAX, type EverRegions, hasLeft } from './placement.ts';

const manifest = (regions: string[]): Manifest => ({
  ...{ key: 'site/a', version: 7, sha256: 'a'.repeat(64), size: 1, contentType: 'text/plain', meta: {}, tags: [], regions },
  uploadedAt: '2026-01-01T00:00:00.000Z',
});
const object = (regions: string[], ever: EverRegions) =>
  ({ kind: 'object', manifest: manifest(regions), previous: undefined, ever }) as const;

describe('changes of a region', () => {
  test.each([
    ['everywhere', object([], '*'), 'store'],
    ['placed there', object(['US'], ['US']), 'store'],
    ['moved away from there', object(['EU'], ['EU', 'US']), 'remove'],
    ['taken back from everywhere', object(['EU'], '*'), 'remove'],
    ['never there', object(['EU'], ['EU', 'IN']), undefined],
  ] as const)('a key that is %s', (_, entry, op) => expect(changeFor(entry, 'US')?.op).toBe(op));

  test('a removal is listed for every region, with its reason', () => {
    expect(changeFor({ kind: 'tombstone', key: 'site/a', version: 8 }, 'US')).toEqual({
      ...{ op: 'remove', key: 'site/a', version: 8, reason: 'deleted' },
    });
    expect(changeFor(object(['EU'], '*'), 'US')).toEqual({ op: 'remove', key: 'site/a', version: 7, reason: 'region' });
  });

  test('an invalidation carries its selector', () => {
    expect(changeFor({ kind: 'invalidation', version: 9, selector: { tag: 'v1' }, mode: 'purge' }, 'US')).toEqual({
      ...{ op: 'invalidate', tag: 'v1', version: 9, mode: 'purge' },
    });
  });

  test('whoever was told to hold a key is told to drop it, through any history of placements', () => {
    const placement = fc.uniqueArray(fc.constantFrom('US', 'EU', 'IN', 'BR'), { maxLength: 4 });
    fc.assert(
      fc.property(fc.array(placement, { minLength: 1, maxLength: 6 }), fc.constantFrom('US', 'EU'), (placements, region) => {
        let ever: EverRegions = [];
        let holds = false;
        for (const regions of placements) {
          ever = addPlacement(ever, regions);
          const change = changeFor(object(regions, ever), region);
          if (change?.op === 'store') holds = true;
          if (change?.op === 'remove') holds = false;
        }
        const last = placements.at(-1) as string[];
        expect(holds).toBe(last.length === 0 || last.includes(region));
      }),
    );
  });

  test('the regions of a key are remembered up to a bound, above it as everywhere', () => {
    let ever: EverRegions = [];
    for (let index = 0; index < 10 * EVER_REGIONS_MAX; index += 1) {
      ever = addPlacement(ever, [`R${index}`]);
      expect(ever === '*' || ever.length <= EVER_REGIONS_MAX).toBe(true);
    }
    expect(ever).toBe('*');
    expect(hasLeft(ever, ['EU'], 'R0')).toBe(true);
  });
});

describe('a reader of the feed', () => {
  const state = { catalogId: 'this', lastVersion: 100, horizon: 50 };
  test.each([
    ['begins', 0, undefined, undefined, false],
    ['continues', 60, 'this', undefined, false],
    ['continues at the horizon', 50, 'this', undefined, false],
    ['comes from another catalog', 60, 'other', undefined, true],
    ['names no catalog', 60, undefined, undefined, true],
    ['was away for too long', 49, 'this', undefined, true],
    ['lists everything since that horizon was there', 49, 'this', 50, false],
    ['lists everything by an origin that has forgotten less', 49, 'this', 60, false],
    ['lists everything, and more was forgotten since it began', 49, 'this', 49, true],
    ['is ahead of a restored catalog', 101, 'this', undefined, true],
  ] as const)('that %s', (_, since, catalogId, listing, reset) => expect(mustReset(state, since, catalogId, listing)).toBe(reset));
});
