import { isPlacedIn, type Manifest, type ResolveReply } from '@sluice/contracts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  alreadyCurrent,
  emptyRegions,
  type KeyState,
  keyState,
  type PlanEdge,
  type PlannedPush,
  plan,
  planInvalidation,
} from './planner.ts';

const sha = (letter: string): string => letter.repeat(64);
const manifest = (fields: Partial<Manifest> = {}): Manifest => ({
  key: 'site/app.js',
  version: 20,
  sha256: sha('b'),
  size: 10_000,
  contentType: 'text/javascript',
  meta: {},
  regions: [],
  tags: [],
  uploadedAt: '2026-01-01T00:00:00.000Z',
  ...fields,
});
const stored = (fields: Partial<Manifest> = {}, previous?: { regions?: string[]; sha256?: string; size?: number }): KeyState => ({
  kind: 'stored',
  version: fields.version ?? 20,
  manifest: manifest(fields),
  previous: previous === undefined ? undefined : { version: 10, sha256: sha('a'), size: 9_000, regions: [], ...previous },
});
const options = { isDeltaCandidate: (base: number, target: number) => base > 0 && target >= 4_096, again: false };
const US = { id: 'us-1', region: 'US' };
const EU = { id: 'eu-1', region: 'EU' };

describe('plan', () => {
  test.each([
    ['a first version comes whole', stored(), [['us-1', 'store', 'full']]],
    ['the same bytes under new metadata do not move', stored({}, { sha256: sha('b') }), [['us-1', 'store', 'same']]],
    ['a new version of a held one comes as a patch against it', stored({}, {}), [['us-1', 'store', 'delta']]],
    ['what is no delta candidate comes whole', stored({ size: 100 }, {}), [['us-1', 'store', 'full']]],
    ['an edge of a region that is new holds no base', stored({}, { regions: ['EU'] }), [['us-1', 'store', 'full']]],
    ['an edge outside the placement gets nothing', stored({ regions: ['EU'] }), []],
    ['an edge that left the placement forgets', stored({ regions: ['EU'] }, { regions: ['US'] }), [['us-1', 'remove', 'region']]],
    ['a removal goes to everyone', { kind: 'removed', version: 30, key: 'site/app.js' } as const, [['us-1', 'remove', 'deleted']]],
  ])('%s', (_law, state, expected) => {
    const described = plan(state, [US], options).map(({ edge, command }) => [
      edge,
      command.op,
      command.op === 'store' ? command.transfer.kind : command.op === 'remove' ? command.reason : command.mode,
    ]);
    expect(described).toEqual(expected);
  });

  test('when the origin has more to say about content that an edge has, only that moves: no bytes, no patch', () => {
    const state = { ...stored({ version: 30, contentVersion: 20 }, {}), content: 'aGVsbG8=' };
    const transferTo = (holds: PlanEdge['holds']) => plan(state, [{ ...US, holds }], options).map(({ command }) => command);
    for (const holds of [undefined, { version: 20, present: true }, { version: 25, present: true }]) {
      expect(transferTo(holds)).toMatchObject([{ op: 'store', transfer: { kind: 'same' } }]);
    }
    // The first announcement has not reached these: it is as if there had been no other.
    for (const holds of [
      { version: 10, present: true },
      { version: 20, present: false },
    ]) {
      expect(transferTo(holds)).toMatchObject([{ op: 'store', transfer: { kind: 'delta', base: sha('a') } }]);
    }
    expect(transferTo({ version: 30, present: true })).toEqual([]);
  });

  test('the patch base is the previous version', () => {
    expect(plan(stored({}, {}), [US], options)).toMatchObject([{ command: { transfer: { kind: 'delta', base: sha('a') } } }]);
  });

  test('an edge that has confirmed the version is left out, unless it is to be pushed again', () => {
    const edge = { ...US, holds: { version: 20, present: true } };
    expect(plan(stored(), [edge], options)).toEqual([]);
    expect(alreadyCurrent(stored(), [edge, EU])).toEqual([edge]);
    expect(plan(stored(), [edge], { ...options, again: true })).toHaveLength(1);
  });

  test('an edge outside that is known to hold an older version forgets it, even if the version between was elsewhere', () => {
    const state = stored({ regions: ['EU'] }, { regions: ['EU'] });
    expect(plan(state, [{ ...US, holds: { version: 5, present: true } }], options)).toMatchObject([
      { edge: 'us-1', command: { op: 'remove', reason: 'region', version: 20 } },
    ]);
    expect(plan(state, [{ ...US, holds: { version: 5, present: false } }], options)).toEqual([]);
  });

  test('an invalidation goes to every live edge', () => {
    const command = { op: 'invalidate', tag: 'v41', version: 9, mode: 'stale' } as const;
    expect(planInvalidation(command, [US, EU])).toEqual([
      { edge: 'us-1', command },
      { edge: 'eu-1', command },
    ]);
  });

  test('regions without a live edge are named once', () => {
    expect(emptyRegions(stored({ regions: ['US', 'IN', 'IN'] }), [US])).toEqual(['IN']);
    expect(emptyRegions(stored(), [])).toEqual([]);
  });
});

describe('keyState', () => {
  test.each<[string, Exclude<ResolveReply, { ok: false }>, unknown]>([
    ['found', { ok: true, found: true, manifest: manifest(), asOf: 20 }, { kind: 'stored', version: 20 }],
    ['removed', { ok: true, found: false, removed: { version: 30 }, asOf: 30 }, { kind: 'removed', version: 30, key: 'site/app.js' }],
  ])('%s', (_name, reply, expected) => {
    expect(keyState('site/app.js', reply)).toMatchObject(expected as object);
  });
  test('a key that the origin has never known has no state', () => {
    expect(keyState('site/app.js', { ok: true, found: false, asOf: 3 })).toBeUndefined();
  });
});

const REGIONS = ['US', 'EU', 'IN', 'AP'];
const someRegions = fc.subarray(REGIONS);
const someState: fc.Arbitrary<KeyState> = fc.oneof(
  fc.integer({ min: 1, max: 40 }).map((version): KeyState => ({ kind: 'removed', version, key: 'site/app.js' })),
  fc
    .record({
      version: fc.integer({ min: 11, max: 40 }),
      size: fc.nat(20_000),
      regions: someRegions,
      previous: fc.option(fc.record({ regions: someRegions, sha256: fc.constantFrom(sha('a'), sha('b')), size: fc.nat(20_000) }), {
        nil: undefined,
      }),
    })
    .map(({ previous, ...fields }) => stored(fields, previous)),
);
const someEdges: fc.Arbitrary<PlanEdge[]> = fc.uniqueArray(
  fc.record({
    id: fc.string({ minLength: 1, maxLength: 3 }),
    region: fc.constantFrom(...REGIONS),
    holds: fc.option(fc.record({ version: fc.integer({ min: 1, max: 40 }), present: fc.boolean() }), { nil: undefined }),
  }),
  { selector: ({ id }) => id, maxLength: 12 },
);

function apply(pushes: readonly PlannedPush[], edges: readonly PlanEdge[]): PlanEdge[] {
  const byEdge = new Map(pushes.map(({ edge, command }) => [edge, command]));
  return edges.map((edge) => {
    const command = byEdge.get(edge.id);
    if (command === undefined || command.op === 'invalidate') return edge;
    const version = command.op === 'store' ? command.manifest.version : command.version;
    return { ...edge, holds: { version, present: command.op === 'store' } };
  });
}

describe('any plan', () => {
  test('planning again after applying gives nothing', () => {
    fc.assert(
      fc.property(someState, someEdges, (state, edges) => {
        const applied = apply(plan(state, edges, options), edges);
        expect(plan(state, applied, options)).toEqual([]);
      }),
    );
  });

  test('the order of the edges does not matter', () => {
    fc.assert(
      fc.property(
        someState,
        someEdges.chain((edges) => fc.tuple(fc.constant(edges), fc.shuffledSubarray(edges, { minLength: edges.length }))),
        (state, [edges, shuffled]) => {
          const sorted = (pushes: PlannedPush[]) => pushes.sort((a, b) => (a.edge < b.edge ? -1 : 1));
          expect(sorted(plan(state, shuffled, options))).toEqual(sorted(plan(state, edges, options)));
        },
      ),
    );
  });

  test('no edge outside the placement is told to store, and every edge inside ends up with the version', () => {
    fc.assert(
      fc.property(someState, someEdges, fc.boolean(), (state, edges, again) => {
        const pushes = plan(state, edges, { ...options, again });
        const placed = (edge: PlanEdge): boolean => state.kind === 'stored' && isPlacedIn(state.manifest.regions, edge.region);
        const stores = new Set(pushes.filter(({ command }) => command.op === 'store').map(({ edge }) => edge));
        for (const edge of edges) if (stores.has(edge.id)) expect(placed(edge)).toBe(true);
        for (const edge of apply(pushes, edges)) if (placed(edge)) expect(edge.holds?.version).toBeGreaterThanOrEqual(state.version);
        expect(new Set(pushes.map(({ edge }) => edge)).size).toBe(pushes.length);
      }),
    );
  });

  test('every edge that has to know is either pushed to or already current', () => {
    fc.assert(
      fc.property(someState, someEdges, (state, edges) => {
        const reached = new Set([
          ...plan(state, edges, options).map(({ edge }) => edge),
          ...alreadyCurrent(state, edges).map(({ id }) => id),
        ]);
        const concerned = edges.filter(({ region }) => state.kind === 'removed' || isPlacedIn(state.manifest.regions, region));
        expect(concerned.filter(({ id }) => !reached.has(id))).toEqual([]);
      }),
    );
  });
});
