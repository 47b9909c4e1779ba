import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RegionTally } from './region-tally.ts';
import { outcome, state } from './states.fixture.ts';

describe('region tally', () => {
  test('sums targets, confirmations and misses over events, by region', () => {
    const tally = new RegionTally();
    tally.update(state({ id: 'a', pending: [{ edge: 'us-2', region: 'US' }] }));
    tally.update(state({ id: 'b', edges: [outcome('eu-1', 'EU', { outcome: 'unreachable' }), outcome('us-1', 'US')] }));
    expect(tally.regions).toEqual([
      ['EU', { targets: 1, confirmed: 0, missed: 1 }],
      ['US', { targets: 3, confirmed: 2, missed: 0 }],
    ]);
  });

  test('however often and in whatever order states are repeated, only the last of each event counts', () => {
    const edge = fc.record({
      region: fc.constantFrom('US', 'EU', 'IN'),
      outcome: fc.constantFrom('stored' as const, 'failed' as const, 'pending' as const),
    });
    const update = fc.record({ id: fc.constantFrom('a', 'b', 'c'), edges: fc.array(edge, { maxLength: 5 }) });
    fc.assert(
      fc.property(fc.array(update, { maxLength: 20 }), (updates) => {
        const tally = new RegionTally();
        const last = new Map<string, (typeof updates)[number]>();
        for (const { id, edges } of updates) {
          last.set(id, { id, edges });
          tally.update(
            state({
              id,
              edges: edges.flatMap(({ region, outcome: kind }, index) =>
                kind === 'pending' ? [] : [outcome(`e${index}`, region, { outcome: kind })],
              ),
              pending: edges.flatMap(({ region, outcome: kind }, index) => (kind === 'pending' ? [{ edge: `e${index}`, region }] : [])),
            }),
          );
        }
        const all = [...last.values()].flatMap(({ edges }) => edges);
        for (const [region, count] of tally.regions) {
          const here = all.filter((candidate) => candidate.region === region);
          expect(count).toEqual({
            targets: here.length,
            confirmed: here.filter((candidate) => candidate.outcome === 'stored').length,
            missed: here.filter((candidate) => candidate.outcome === 'failed').length,
          });
        }
      }),
    );
  });
});
