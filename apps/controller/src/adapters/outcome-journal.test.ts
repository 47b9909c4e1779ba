import type { Streams } from '@sluice/bus';
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

  /** A stream that the test fills; a reading takes until the test lets it end. */
  function stream(held: ContentDistributed[]) {
    const readings: { after: number; count: number; end(): void }[] = [];
    const read = (_stream: unknown, _event: unknown, { after, count }: { after: number; count: number }) =>
      new Promise<{ messages: ContentDistributed[]; upTo: number }>((resolve) => {
        const snapshot = { messages: held.slice(Math.max(after, held.length - count)), upTo: held.length };
        readings.push({ after, count, end: () => resolve(snapshot) });
      });
    return { readings, streams: { read } as unknown as Streams };
  }

  test('what was not heard is read, once for all who ask, and each time from where it was read to', async () => {
    const journal = new OutcomeJournal({ distributionsMax: 100, outcomesMax: 1_000 });
    const held = [outcome('a')];
    const { readings, streams } = stream(held);
    const first = journal.refresh(streams);
    journal.add(outcome('heard'));
    held.push(outcome('b'));
    // The reading under way may have begun before that was stored.
    const others = Array.from({ length: 50 }, () => journal.refresh(streams));
    readings[0]?.end();
    await first;
    expect([journal.has('a'), journal.has('b')]).toEqual([true, false]);
    expect(journal.newest(10).map(({ id }) => id)).toEqual(['heard', 'a']);
    await new Promise((resolve) => setImmediate(resolve));
    readings[1]?.end();
    await Promise.all(others);
    expect(journal.has('b')).toBe(true);
    expect(readings.map(({ after, count }) => [after, count])).toEqual([
      [0, 100],
      [1, 100],
    ]);
  });
});
