import fc from 'fast-check';
import { expect, test } from 'vitest';
import { pageOf } from './page.ts';
import type { LogEntry } from './run-log.ts';
import { problemsOf, summarize } from './summary.ts';
import { tableOf, textOf } from './text.ts';

const second = (atMs: number, reads: number, excused: number): LogEntry => ({
  type: 'second',
  atMs,
  reads,
  excused,
  p50Ms: 1,
  p99Ms: 9,
  rssBytes: { origin: 80_000_000 },
});
const operation = (atMs: number, endedAtMs: number): LogEntry => ({
  type: 'operation',
  atMs,
  endedAtMs,
  kind: 'put',
  what: '{}',
  attempts: 1,
  outcome: 'done',
});
const RUN: readonly LogEntry[] = [
  {
    type: 'begin',
    seed: 7,
    minutes: 0.1,
    startedAt: '2026-01-01T00:00:00.000Z',
    edges: ['edge us-1'],
    missing: { 'disk-full': 'only root may do that' },
  },
  ...[second(1_000, 400, 0), second(2_000, 200, 3)],
  { type: 'fault', atMs: 1_200, healedAtMs: 1_900, name: 'kill', what: 'edge us-1' },
  // Before it, across its beginning, within it, across its end, behind it.
  ...[operation(0, 1_199), operation(1_100, 1_300), operation(1_400, 1_500), operation(1_800, 2_500), operation(1_901, 2_000)],
  { type: 'converged', edge: 'edge us-1', afterMs: 2_345 },
  { type: 'end', atMs: 6_000 },
];
const VIOLATION: LogEntry = {
  type: 'violation',
  invariant: 'monotonic',
  atMs: 1_500,
  edge: 'edge us-1',
  key: 'chaos/a',
  what: 'version 1 after 2',
};

test('the numbers of a run are those of its log', () => {
  const summary = summarize(RUN);
  expect(summary).toMatchObject({
    seed: 7,
    seconds: 6,
    reads: 600,
    excused: 3,
    operations: 5,
    overlapped: 3,
    strikes: { kill: 1 },
    slowestConvergenceMs: 2_345,
  });
  expect(problemsOf(summary)).toEqual([]);
  expect(textOf(summary)).toContain(
    '✓ seed 7: 600 answers checked in 6 s, 3 requests without one while something was broken; 5 operations, 3 of them during a fault',
  );
  expect(tableOf([summary, summary])).toMatch(/2 runs +1,200 +10 +2 +0\n$/);
  expect(pageOf(RUN)).toContain('every promise was kept');
});

test('a run that shows nothing is none that went well', () => {
  const without = (type: LogEntry['type']): string[] => problemsOf(summarize(RUN.filter((entry) => entry.type !== type)));
  expect(without('fault')).toEqual(['no fault struck', 'no operation overlapped a fault']);
  expect(without('operation')).toEqual(['no operation overlapped a fault']);
  expect(without('second')).toEqual(['nothing was read']);
});

test('a violation is a problem, and is told everywhere', () => {
  const run = [...RUN, VIOLATION];
  const told = 'monotonic at 1.5 s: edge us-1: chaos/a: version 1 after 2';
  expect(problemsOf(summarize(run))).toEqual([told]);
  expect(textOf(summarize(run))).toContain(`✗ ${told}`);
  expect(pageOf(run)).toContain(`<li class="bad">${told}</li>`);
});

test('whatever stands in a log, nothing of it becomes markup', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom('<', '>', '"', "'", '&', 'a', ' ', '/'), minLength: 1 }), (text) => {
      const evil = `<img src=x onerror="${text}">`;
      const page = pageOf([
        ...RUN,
        { ...VIOLATION, what: evil } as LogEntry,
        { type: 'skipped', atMs: 1, name: evil, why: evil },
        { type: 'fault', atMs: 1, healedAtMs: 2, name: evil, what: evil },
      ]);
      expect(page).not.toContain('<img');
    }),
  );
});
