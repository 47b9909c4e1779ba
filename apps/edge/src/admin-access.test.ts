/** Who sees an edge's metrics, which are on the port of its visitors. */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { Scene } from './scene.fixture.ts';

test.each(['0', '2'])(
  'with a file of tokens metrics are for who has one, and visitors see content as before (%s threads)',
  async (threads) => {
    await using dir = await temporaryDirectory();
    const token = randomBytes(32).toString('hex');
    const file = join(dir.path, 'tokens');
    await writeFile(file, token);
    await using scene = await Scene.start({ EDGE_ADMIN_TOKEN_FILE: file, EDGE_SERVING_THREADS: threads });
    await scene.pushStore(scene.origin.upload('site/a', Buffer.from('content a')));

    const refused = await fetch(scene.url('metrics'));
    expect(refused.status).toBe(401);
    expect(refused.headers.get('www-authenticate')).toBe('Bearer realm="sluice"');
    expect(refused.headers.get('cache-control')).toBe('no-store');
    expect(await refused.text()).not.toContain('sluice_edge_');
    const wrong = await fetch(scene.url('metrics'), { headers: { authorization: `Bearer ${randomBytes(32).toString('hex')}` } });
    expect([wrong.status, wrong.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="sluice", error="invalid_token"']);
    const right = await fetch(scene.url('metrics'), { headers: { authorization: `Bearer ${token}` } });
    expect([right.status, await right.text()]).toEqual([200, expect.stringContaining('sluice_edge_')]);

    expect((await scene.get('healthz')).status).toBe(200);
    expect((await scene.get('readyz')).body.toString()).toBe('{"ready":true}\n');
    expect((await scene.get('site/a')).body.toString()).toBe('content a');
  },
);

test('without one an edge that others can reach shows them to nobody, and serves', async () => {
  // 127.0.0.1 by a name that is not taken for loopback: nothing is opened to others here.
  await using scene = await Scene.start({ EDGE_HOST: '127.1' });
  await scene.pushStore(scene.origin.upload('site/a', Buffer.from('content a')));
  const refused = await scene.get('metrics');
  expect([refused.status, refused.body.toString()]).toEqual([403, expect.stringContaining('EDGE_ADMIN_TOKEN_FILE')]);
  expect((await scene.get('site/a')).body.toString()).toBe('content a');
  expect(scene.said('warn')).toContainEqual(expect.stringContaining('the administrative interface answers nobody'));
});
