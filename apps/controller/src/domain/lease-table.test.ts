import type { EdgeReport } from '@sluice/contracts';
import { edgeReport } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { LeaseTable, SUPERSEDED_MAX } from './lease-table.ts';

const report = (id: string, instance = 'a', fields: Partial<EdgeReport> = {}): EdgeReport => edgeReport({ id, instance, ...fields });
const table = (maxEdges = 10): LeaseTable => new LeaseTable({ leaseMs: 5_000, maxEdges });
const idsOf = (leases: LeaseTable, nowMs: number): string[] => leases.live(nowMs).map((lease) => lease.report.id);

describe('lease table', () => {
  test('an edge that dies without a word is out of the plans within 6 s, whenever the sweeps fall', () => {
    for (const phaseMs of [0, 1, 250, 499]) {
      const leases = table();
      leases.observe(report('us-1'), 1_000);
      let forgottenMs = 0;
      for (let nowMs = 1_000 + phaseMs; forgottenMs === 0; nowMs += 500) if (leases.sweep(nowMs).length > 0) forgottenMs = nowMs;
      expect(forgottenMs - 1_000).toBeGreaterThanOrEqual(5_000);
      expect(forgottenMs - 1_000).toBeLessThanOrEqual(6_000);
      expect(leases.size).toBe(0);
    }
  });

  test('a plan never counts an edge whose lease has ended, even if no sweep has come by', () => {
    const leases = table();
    leases.observe(report('us-1'), 0);
    expect(idsOf(leases, 4_999)).toEqual(['us-1']);
    expect(idsOf(leases, 5_000)).toEqual([]);
  });

  test('each report renews the lease and brings the newest figures', () => {
    const leases = table();
    expect(leases.observe(report('us-1'), 0)).toEqual({ kind: 'joined' });
    expect(leases.observe(report('us-1', 'a', { objects: 7 }), 4_000)).toEqual({ kind: 'renewed' });
    expect(leases.live(8_999)).toMatchObject([{ report: { objects: 7 }, lastSeenMs: 4_000, expiresMs: 9_000 }]);
  });

  test('a goodbye takes effect at once, and only for the instance that says it', () => {
    const leases = table();
    leases.observe(report('us-1', 'old'), 0);
    leases.observe(report('us-1', 'new'), 10);
    expect(leases.observe(report('us-1', 'old', { draining: true }), 20)).toEqual({ kind: 'absent' });
    expect(idsOf(leases, 20)).toEqual(['us-1']);
    expect(leases.observe(report('us-1', 'new', { draining: true }), 30)).toEqual({ kind: 'left' });
    expect(idsOf(leases, 30)).toEqual([]);
    expect(leases.observe(report('us-1', 'new', { draining: true }), 40)).toEqual({ kind: 'absent' });
  });

  test('a restart replaces, two live processes under one id are a conflict, and the newer one keeps the lease', () => {
    const leases = table();
    leases.observe(report('us-1', 'a'), 0);
    expect(leases.observe(report('us-1', 'b'), 100)).toEqual({ kind: 'replaced' });
    expect(leases.observe(report('us-1', 'a'), 200)).toEqual({ kind: 'conflict', first: true });
    expect(leases.observe(report('us-1', 'b'), 300)).toEqual({ kind: 'renewed' });
    expect(leases.observe(report('us-1', 'a'), 400)).toEqual({ kind: 'conflict', first: false });
    expect(leases.live(400)).toMatchObject([{ report: { instance: 'b' }, lastSeenMs: 300 }]);
    expect(leases.sweep(5_300)).toMatchObject([{ instance: 'b' }]);
    expect(leases.observe(report('us-1', 'a'), 5_400)).toEqual({ kind: 'joined' });
  });

  test('ten times as many edges as fit: exactly the limit is held, known ones stay welcome, a free place is given away', () => {
    const leases = table(100);
    const kinds = Array.from({ length: 1_000 }, (_, index) => leases.observe(report(`e-${index}`), 0).kind);
    expect(kinds.filter((kind) => kind === 'joined')).toHaveLength(100);
    expect(kinds.filter((kind) => kind === 'refused')).toHaveLength(900);
    expect(leases.size).toBe(100);
    expect(leases.observe(report('e-5'), 1)).toEqual({ kind: 'renewed' });
    leases.observe(report('e-5', 'a', { draining: true }), 2);
    expect(leases.observe(report('e-500'), 3)).toEqual({ kind: 'joined' });
  });

  test('of the earlier instances of an id the newest are remembered: one that was forgotten counts as another restart', () => {
    const leases = table();
    const restart = (number: number) => leases.observe(report('us-1', `run-${number}`), number);
    for (let number = 0; number <= SUPERSEDED_MAX; number++) restart(number);
    expect(restart(0)).toEqual({ kind: 'conflict', first: true });
    expect(restart(SUPERSEDED_MAX + 1)).toEqual({ kind: 'replaced' });
    expect(restart(1)).toEqual({ kind: 'conflict', first: false });
    expect(restart(0)).toEqual({ kind: 'replaced' });
  });

  test('when the controller was deaf every edge gets a new lease', () => {
    const leases = table();
    leases.observe(report('us-1'), 0);
    leases.renewAll(60_000);
    expect(leases.sweep(64_999)).toEqual([]);
    expect(leases.sweep(65_000)).toHaveLength(1);
  });
});
