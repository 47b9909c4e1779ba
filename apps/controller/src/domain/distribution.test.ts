import { CONTENT_DISTRIBUTED, decode, encode } from '@sluice/contracts';
import { describe, expect, test } from 'vitest';
import { Distribution, type PushResult } from './distribution.ts';

const STORED: PushResult = { outcome: 'stored', transfer: 'full', bytes: 5, attempts: 1 };
const start = {
  id: 'e-1',
  event: 'uploaded',
  subject: 'site/a',
  version: 3,
  startedAt: '2026-01-01T00:00:00.000Z',
  startedMs: 1_000,
} as const;

function planned(edges: readonly string[]): Distribution {
  const distribution = new Distribution(start);
  distribution.plan({ version: 4, targets: edges.map((edge) => ({ edge, region: 'US' })), emptyRegions: ['IN'] });
  return distribution;
}

describe('distribution', () => {
  test('it is complete when every target has confirmed, and says how long each took', () => {
    const distribution = planned(['a', 'b']);
    distribution.settle('a', STORED, 1_010.5);
    expect(distribution.pending).toEqual([{ edge: 'b', region: 'US' }]);
    expect(distribution.message(1_011)).toMatchObject({ complete: false, edges: [{ edge: 'a', ms: 10.5 }] });
    distribution.settle('b', { outcome: 'current', bytes: 0, attempts: 2 }, 1_020);
    expect(distribution.message(1_030)).toEqual({
      id: 'e-1',
      event: 'uploaded',
      subject: 'site/a',
      version: 4,
      startedAt: start.startedAt,
      durationMs: 30,
      complete: true,
      edges: [
        { edge: 'a', region: 'US', outcome: 'stored', transfer: 'full', bytes: 5, ms: 10.5, attempts: 1 },
        { edge: 'b', region: 'US', outcome: 'current', bytes: 0, ms: 20, attempts: 2 },
      ],
      emptyRegions: ['IN'],
    });
  });

  test.each(['unreachable', 'deferred', 'failed'] as const)('one target that is %s makes it incomplete', (outcome) => {
    const distribution = planned(['a', 'b']);
    distribution.settle('a', STORED, 1_001);
    distribution.settle('b', { outcome, bytes: 0, attempts: 4, error: 'no' }, 1_002);
    expect(distribution.message(1_003)).toMatchObject({ complete: false, edges: [{ edge: 'b', outcome, error: 'no' }, { edge: 'a' }] });
  });

  test('an edge counts once, and one that is no target not at all', () => {
    const distribution = planned(['a']);
    distribution.settle('a', STORED, 1_001);
    distribution.settle('a', { ...STORED, outcome: 'failed' }, 1_002);
    distribution.settle('x', STORED, 1_003);
    expect(distribution.message(1_004).edges).toHaveLength(1);
  });

  test('without targets it is complete at once', () => {
    expect(planned([]).message(1_000)).toMatchObject({ complete: true, edges: [] });
  });

  test('ten thousand failing edges still fit one message, and no failure gives way to a success', () => {
    const edges = Array.from({ length: 10_000 }, (_, index) => `edge-${index}-${'x'.repeat(50)}`);
    const distribution = planned(edges);
    for (const [index, edge] of edges.entries()) {
      distribution.settle(edge, index < 9_500 ? STORED : { outcome: 'failed', bytes: 0, attempts: 4, error: '€'.repeat(5_000) }, 2_000);
    }
    const message = distribution.message(2_000);
    const sent = decode(
      CONTENT_DISTRIBUTED.subject,
      CONTENT_DISTRIBUTED.message,
      encode(CONTENT_DISTRIBUTED.subject, CONTENT_DISTRIBUTED.message, message),
    );
    expect(sent.complete).toBe(false);
    expect(sent.edges.filter(({ outcome }) => outcome === 'failed')).toHaveLength(500);
    expect(sent.edges.length).toBeGreaterThan(1_000);
  });
});
