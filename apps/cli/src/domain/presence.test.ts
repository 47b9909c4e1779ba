import type { EdgeReport } from '@sluice/contracts';
import { describe, expect, test } from 'vitest';
import { EDGES_MAX, Presence } from './presence.ts';

function report(changes: Partial<EdgeReport> = {}): EdgeReport {
  return {
    id: 'us-1',
    instance: 'a',
    region: 'US',
    url: 'http://127.0.0.1:8081',
    catalogVersion: 0,
    objects: 0,
    bytes: 0,
    capacityBytes: 1,
    draining: false,
    ...changes,
  };
}

describe('presence', () => {
  test('who is heard in the first moments was there before, who comes later joined, and a heartbeat is no news', () => {
    const presence = new Presence(0);
    expect(presence.observe(report(), 1_000)?.kind).toBe('present');
    expect(presence.observe(report(), 2_000)).toBeUndefined();
    expect(presence.observe(report({ id: 'us-2' }), 3_000)?.kind).toBe('joined');
    expect(presence.observe(report({ instance: 'b' }), 3_100)?.kind).toBe('restarted');
  });

  test('an edge leaves once: by saying so, or by silence as long as its lease', () => {
    const presence = new Presence(0);
    presence.observe(report(), 0);
    presence.observe(report({ id: 'us-2' }), 0);
    expect(presence.observe(report({ draining: true }), 1_000)?.kind).toBe('draining');
    expect(presence.observe(report({ draining: true }), 1_100)).toBeUndefined();
    expect(presence.sweep(5_000)).toEqual([]);
    expect(presence.sweep(5_001).map(({ kind, edge }) => [kind, edge.id])).toEqual([['left', 'us-2']]);
    expect(presence.sweep(9_000)).toEqual([]);
    expect(presence.observe(report({ id: 'us-2' }), 9_000)?.kind).toBe('joined');
  });

  test('no more edges than its limit are followed, whoever sends heartbeats', () => {
    const presence = new Presence(0);
    let news = 0;
    for (let index = 0; index < EDGES_MAX + 50; index++) if (presence.observe(report({ id: `e${index}` }), 0) !== undefined) news++;
    expect(news).toBe(EDGES_MAX);
    expect(presence.sweep(6_000)).toHaveLength(EDGES_MAX);
  });
});
