import { expect, test } from 'vitest';
import { FAULTS } from './faults/index.ts';
import { planOf } from './plan.ts';
import type { World } from './world.ts';

/** Only what faults look at to choose what they strike. */
const WORLD = {
  edges: ['us-1', 'us-2', 'in-1', 'eu-1'].map((id) => ({ id, member: { name: `edge ${id}` } })),
  surroundings: { host: () => ({}), disk: () => ({}), clock: () => ({}), events: {}, missing: {} },
} as unknown as World;
const MINUTE_MS = 60_000;
const planned = (seed: number, minutes = 1) => planOf(seed, minutes * MINUTE_MS, WORLD, FAULTS);
const told = (seed: number): string => {
  const { operations, faults } = planned(seed);
  return JSON.stringify([operations, faults.map(({ fault, target, ...when }) => [fault.name, target, when])]);
};

test('the same seed plans the same, another one something else', () => {
  expect(told(7)).toBe(told(7));
  expect(told(7)).not.toBe(told(8));
});

test('a plan has every kind of operation, contents from nothing to much, and keeps to its time', () => {
  const { operations, faults } = planned(7, 10);
  expect([...new Set(operations.map(({ operation }) => operation.kind))].sort()).toEqual([
    'announce',
    'delete',
    'garbage',
    'invalidate',
    'put',
    'replay',
  ]);
  const sizes = operations.flatMap(({ operation }) =>
    operation.kind === 'put' && operation.content.kind !== 'edit' ? [operation.content.size] : [],
  );
  expect(Math.min(...sizes)).toBe(0);
  expect(Math.max(...sizes)).toBeGreaterThan(10_000_000);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(50_000_000);
  expect(operations.length).toBeGreaterThan(14 * 600);
  for (const { atMs, lastsMs } of faults) expect(atMs + lastsMs).toBeLessThanOrEqual(10 * MINUTE_MS);
});

test('all faults strike before one strikes more often than it weighs', () => {
  const { faults } = planned(7, 10);
  const weight = FAULTS.reduce((sum, fault) => sum + (fault.weight ?? 1), 0);
  const first = faults.slice(0, weight).map(({ fault }) => fault.name);
  for (const fault of FAULTS) expect(first.filter((name) => name === fault.name)).toHaveLength(fault.weight ?? 1);
});
