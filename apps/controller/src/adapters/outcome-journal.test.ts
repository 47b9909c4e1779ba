import type { ContentDistributed } from '@sluice/contracts';
import { describe, expect, test } from 'vitest';
import { OutcomeJournal } from './outcome-journal.ts';

const outcome = (id: string, edges = 0): ContentDistributed => ({
  id,
  event: 'uploaded',
  subject: 'site/a',
  version: 3,
  startedAt: '2026-01-01T00:00:00.000Z',
  durationMs: 3,
  complete: true,
  edges: Array.from({ length: edges }, (_, index) => ({
    edge: `e-${index}`,
    region: 'US',
    outcome: 'stored' as const,
    bytes: 0,
    ms: 1,
    attempts: 1,
  })),
  emptyRegions: [],
});

describe('outcome journal', () => {
  test('the newest come first, and looking one up changes nothing', () => {
    const journal = new OutcomeJournal();
    for (const id of ['a', 'b', 'c']) journal.add(outcome(id));
    journal.get('a');
    expect(journal.newest(2).map(({ id }) => id)).toEqual(['c', 'b']);
  });

  test('ten times as many as fit: exactly the newest are kept', () => {
    const journal = new OutcomeJournal({ distributionsMax: 100, outcomesMax: 1_000_000 });
    for (let index = 0; index < 1_000; index += 1) journal.add(outcome(`e-${index}`));
    expect(journal.newest(10_000)).toHaveLength(100);
    expect([journal.has('e-899'), journal.has('e-900')]).toEqual([false, true]);
  });

  test('it is bounded by the outcomes of single edges too', () => {
    const journal = new OutcomeJournal({ distributionsMax: 100, outcomesMax: 1_000 });
    for (let index = 0; index < 50; index += 1) journal.add(outcome(`e-${index}`, 99));
    expect(journal.newest(10_000)).toHaveLength(10);
  });
});
