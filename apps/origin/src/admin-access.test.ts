/** Which of the origin's paths need an admin token, over real connections. */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { originFixture, rawExchange } from './testing/origin.fixture.ts';

const statusAndBody = async (url: string, init?: RequestInit): Promise<[number, string]> => {
  const response = await fetch(url, init);
  return [response.status, await response.text()];
};

test('with a file of tokens metrics and the reasons of readiness are for who has one; what is S3 goes by its own keys', async () => {
  await using dir = await temporaryDirectory();
  const token = randomBytes(32).toString('hex');
  const file = join(dir.path, 'tokens');
  await writeFile(file, token);
  await using origin = await originFixture({ config: { ORIGIN_ADMIN_TOKEN_FILE: file } });
  const refused = await fetch(`${origin.url}/metrics`);
  expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="sluice"']);
  expect(await refused.json()).toEqual({ error: { code: 'UNAUTHORIZED', message: expect.stringContaining('Bearer') } });
  expect((await fetch(`${origin.url}/metrics`, { method: 'HEAD' })).status).toBe(401);
  expect(await statusAndBody(`${origin.url}/readyz`)).toEqual([503, '{"ready":false,"unmet":["broker"]}\n']);
  expect((await statusAndBody(`${origin.url}/healthz`))[0]).toBe(200);

  const headers = { authorization: `Bearer ${token}` };
  expect(await statusAndBody(`${origin.url}/metrics`, { headers })).toEqual([200, expect.stringContaining('sluice_origin_')]);
  expect(await statusAndBody(`${origin.url}/readyz`, { headers })).toEqual([503, expect.stringContaining('not connected to the broker')]);
  expect((await fetch(`${origin.url}/site/a`, { method: 'PUT', body: 'x' })).status).toBe(200);
  expect(await statusAndBody(`${origin.url}/site/a`)).toEqual([200, 'x']);
});

test('without one an origin on loopback answers those who mean this machine, and no page whose name leads here', async () => {
  await using origin = await originFixture();
  const ask = (host: string) => rawExchange(origin.port, [`GET /metrics HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`]);
  expect(String(await ask(`localhost:${origin.port}`))).toMatch(/^HTTP\/1\.1 200 .*sluice_origin_/s);
  const refused = String(await ask(`evil.example:${origin.port}`));
  expect(refused).toMatch(/^HTTP\/1\.1 403 .*ORIGIN_ADMIN_TOKEN_FILE/s);
  expect(refused).not.toContain('sluice_origin_');
});

test.each([
  ['nobody', {}, 403],
  ['everybody when it is told to', { ORIGIN_ADMIN_OPEN: 'yes' }, 200],
  ['everybody when everybody may write', { ORIGIN_ANYONE_MAY_WRITE: 'yes' }, 200],
] as const)('without one an origin that others could reach answers %s', async (_whom, config, status) => {
  // 127.0.0.1 by a name that is not taken for loopback: nothing is opened to others here.
  await using origin = await originFixture({ config: { ORIGIN_HOST: '127.1', ...config } });
  expect((await fetch(`${origin.url}/metrics`)).status).toBe(status);
  expect((await fetch(`${origin.url}/healthz`)).status).toBe(200);
});
