/** What a client learns when everything below the origin fails: that it failed, and nothing of the inside. */
import type { Operate } from '@sluice/blobs';
import { createLogger } from '@sluice/runtime';
import { expect, test } from 'vitest';
import { md5, originFixture, sha256 } from '../../testing/origin.fixture.ts';

const INSIDE = '/srv/inside/blobs.db';

/** Fails as the file system does, with a path in its message. */
function failingWhen(armed: () => boolean, labels: Set<string>): Operate {
  return (label, operation) => {
    if (!armed()) return operation();
    labels.add(label);
    throw Object.assign(new Error(`EIO: i/o error, open '${INSIDE}'`), { code: 'EIO', path: INSIDE });
  };
}

test('no answer has a path, a stack or the words of the system in it, and the log has the reason with the request id', async () => {
  let armed = false;
  const failed = new Set<string>();
  const lines: string[] = [];
  const log = createLogger('origin', 'error', {}, { write: (line) => void lines.push(line) });
  await using origin = await originFixture({ log, seams: { operate: failingWhen(() => armed, failed) } });
  const large = Buffer.alloc(3 * 1024 ** 2, 'x');
  for (const [key, body] of [
    ['small', 'x'],
    ['large', large],
  ] as const)
    expect((await fetch(`${origin.url}/site/${key}`, { method: 'PUT', body })).status).toBe(200);
  const batch = '<Delete><Object><Key>small</Key></Object></Delete>';
  const requests: [string, RequestInit?][] = [
    ['/site/new', { method: 'PUT', body: 'y' }],
    ['/site/new', { method: 'PUT', body: Buffer.alloc(3 * 1024 ** 2, 'y') }],
    ['/site/small'],
    ['/site/large'],
    ['/site/large', { headers: { range: 'bytes=5-9' } }],
    [`/-/blobs/${sha256(large)}`],
    ['/site?list-type=2'],
    ['/site?versions'],
    ['/site/new?uploads', { method: 'POST' }],
    ['/site/copy', { method: 'PUT', headers: { 'x-amz-copy-source': '/site/small' } }],
    ['/site?delete', { method: 'POST', body: batch, headers: { 'content-md5': md5(batch, 'base64') } }],
    ['/site/small', { method: 'DELETE' }],
    ['/-/invalidations', { method: 'POST', body: '{"all":true}' }],
    ['/-/rollbacks', { method: 'POST', body: '{"key":"site/small"}' }],
    ['/-/rollbacks', { method: 'POST', body: '{"prefix":"site/"}' }],
  ];
  armed = true;
  const refused: (string | null)[] = [];
  for (const [path, init] of requests) {
    const response = await fetch(origin.url + path, init).catch(() => undefined);
    const text = (await response?.text().catch(() => '')) ?? '';
    const said = JSON.stringify([...(response?.headers ?? [])]) + text.slice(0, 10_000);
    for (const inside of [INSIDE, origin.dir, 'EIO', 'i/o error', 'node:', '.ts:', '    at '])
      expect([path, said]).not.toContainEqual(expect.stringContaining(inside));
    if (response !== undefined && response.status >= 500) refused.push(response.headers.get('x-amz-request-id'));
  }
  armed = false;
  expect(failed.size).toBeGreaterThan(3);
  expect(refused.length).toBeGreaterThan(4);
  for (const id of refused) expect(lines.some((line) => line.includes(`"requestId":"${id}"`) && line.includes(INSIDE))).toBe(true);
});
