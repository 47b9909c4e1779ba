import { describe, expect, test } from 'vitest';
import { answerOperations, counter, createMetrics, gauge, Readiness } from './mod.ts';

describe('operations', () => {
  test('alive whatever the conditions; ready only when all are met, else 503 with the reason of each', async () => {
    const readiness = new Readiness();
    const metrics = createMetrics('test');
    expect(await answerOperations('/readyz', readiness, metrics)).toMatchObject({ status: 200, body: '{"ready":true}\n' });
    let connected = false;
    readiness.require('broker', () => (connected ? undefined : 'not connected'));
    readiness.require('catalog', () => undefined);
    readiness.require('caught up', () => (connected ? undefined : 'never yet'));
    const reply = await answerOperations('/readyz', readiness, metrics);
    expect(reply?.status).toBe(503);
    expect(JSON.parse(reply?.body ?? '')).toEqual({ ready: false, problems: { broker: 'not connected', 'caught up': 'never yet' } });
    expect(await answerOperations('/healthz', readiness, metrics)).toMatchObject({ status: 200, contentType: 'application/json' });
    connected = true;
    expect((await answerOperations('/readyz', readiness, metrics))?.status).toBe(200);
  });

  test('what is noted is told, ready or not, and does not decide that', async () => {
    const readiness = new Readiness();
    let damage: string | undefined;
    readiness.note('blobs', () => damage);
    const body = async () => JSON.parse((await answerOperations('/readyz', readiness, createMetrics('test')))?.body ?? '');
    expect(await body()).toEqual({ ready: true });
    damage = '1 is damaged';
    expect(await body()).toEqual({ ready: true, warnings: { blobs: '1 is damaged' } });
    readiness.require('broker', () => 'not connected');
    expect(await body()).toEqual({ ready: false, problems: { broker: 'not connected' }, warnings: { blobs: '1 is damaged' } });
  });

  test('any other path is left to the app', async () => {
    for (const path of ['/', '/healthz/', '/readyz?x', '/metrics/x', '/site/healthz']) {
      expect(await answerOperations(path, new Readiness(), createMetrics('test'))).toBeUndefined();
    }
  });

  test('metrics carry the app, counters show 0 for each outcome before the first, gauges are read when asked', async () => {
    const metrics = createMetrics('edge');
    const pushes = counter(metrics, 'sluice_test_pushes_total', 'Pushes.', 'outcome', ['stored', 'failed']);
    let held = 1;
    gauge(metrics, 'sluice_test_held_bytes', 'Bytes held.', () => held);
    pushes.inc({ outcome: 'stored' });
    held = 42;
    const reply = await answerOperations('/metrics', new Readiness(), metrics);
    expect(reply?.contentType).toContain('text/plain');
    expect(reply?.body).toContain('sluice_test_pushes_total{outcome="stored",app="edge"} 1');
    expect(reply?.body).toContain('sluice_test_pushes_total{outcome="failed",app="edge"} 0');
    expect(reply?.body).toContain('sluice_test_held_bytes{app="edge"} 42');
  });
});
