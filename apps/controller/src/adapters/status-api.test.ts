import type { ContentDistributed } from '@sluice/contracts';
import { type AdminRule, createMetrics, Readiness } from '@sluice/runtime';
import { describe, expect, test } from 'vitest';
import type { DistributionStatus, StatusView } from '../status.ts';
import { createStatusApi } from './status-api.ts';

const distributed: ContentDistributed = {
  id: 'e-1',
  event: 'uploaded',
  subject: 'site/a',
  version: 3,
  startedAt: '2026-01-01T00:00:00.000Z',
  durationMs: 3,
  complete: true,
  edges: [],
  emptyRegions: [],
};
const known: DistributionStatus = { status: 'distributing', ...distributed, pending: [{ edge: 'us-1', region: 'US' }] };

function stage(view: Partial<StatusView> = {}, refusalOf: AdminRule = () => undefined) {
  const readiness = new Readiness();
  const limits: number[] = [];
  const api = createStatusApi(
    {
      edges: () => [],
      distribution: (id) => (id === 'e-1' ? known : undefined),
      distributions(limit) {
        limits.push(limit);
        return [known];
      },
      ...view,
    },
    readiness,
    createMetrics('controller'),
    refusalOf,
  );
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const response = await api.request(path, { headers });
    const challenge = response.headers.get('www-authenticate');
    return { status: response.status, type: response.headers.get('content-type'), challenge, body: await response.text() };
  };
  return { get, readiness, limits };
}

describe('status API', () => {
  test('an event that is under way shows who is awaited', async () => {
    const { status, body } = await stage().get('/distributions/e-1');
    expect([status, JSON.parse(body)]).toEqual([200, known]);
  });

  test.each(['/distributions/unknown', '/distributions/%00', '/distributions/a%2Fb', '/nothing', '/'])(
    '%s is a 404 in JSON',
    async (path) => {
      const { status, type, body } = await stage().get(path);
      expect([status, type]).toEqual([404, expect.stringContaining('application/json')]);
      expect(JSON.parse(body)).toEqual({ error: { code: expect.any(String), message: expect.any(String) } });
    },
  );

  test('the list has its limits', async () => {
    const { get, limits } = stage();
    expect(JSON.parse((await get('/distributions')).body)).toEqual({ distributions: [known] });
    await get('/distributions?limit=1000');
    expect(limits).toEqual([50, 1_000]);
    for (const limit of ['0', '1001', '-1', 'x', '1.5', '']) expect((await get(`/distributions?limit=${limit}`)).status).toBe(400);
  });

  test('a failure inside says nothing of the inside', async () => {
    const { get } = stage({
      edges() {
        throw new Error('/etc/secret');
      },
    });
    const { status, body } = await get('/edges');
    expect(status).toBe(500);
    expect(body).not.toContain('secret');
  });

  test('health, readiness and metrics are answered', async () => {
    const { get, readiness } = stage();
    expect((await get('/healthz')).status).toBe(200);
    expect((await get('/readyz')).status).toBe(200);
    readiness.require('broker', () => 'not connected');
    expect(await get('/readyz')).toMatchObject({ status: 503, body: expect.stringContaining('not connected') });
    expect((await get('/metrics')).body).toContain('process_cpu');
  });

  test('who is refused gets the reason everywhere but at health and readiness, and learns nothing of what is there', async () => {
    const challenge = 'Bearer realm="sluice"';
    const { get } = stage({}, ({ authorization }) =>
      authorization === 'Bearer right' ? undefined : { status: 401, code: 'UNAUTHORIZED', message: 'a token is needed', challenge },
    );
    for (const path of ['/edges', '/distributions', '/distributions/e-1', '/distributions?limit=0', '/metrics', '/nothing', '/']) {
      expect(await get(path)).toMatchObject({
        status: 401,
        challenge,
        body: '{"error":{"code":"UNAUTHORIZED","message":"a token is needed"}}\n',
      });
    }
    expect((await get('/healthz')).status).toBe(200);
    expect((await get('/readyz')).status).toBe(200);
    for (const path of ['/edges', '/distributions/e-1', '/metrics'])
      expect((await get(path, { authorization: 'Bearer right' })).status).toBe(200);
  });
});
