/** Uploads whose MD5 is made on a thread of its own. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { eventually } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { errorCode, originFixture } from '../../testing/origin.fixture.ts';
import { THREAD_FROM_BYTES } from '../blobs/md5-threads.ts';

const md5 = (bytes: Uint8Array, encoding: 'hex' | 'base64'): string => createHash('md5').update(bytes).digest(encoding);

test('large uploads, more at once than there are threads, have their own ETag and bytes', async () => {
  await using origin = await originFixture();
  const bodies = Array.from({ length: 6 }, (_, number) => randomBytes(THREAD_FROM_BYTES + number));
  const stored = await Promise.all(
    bodies.map((body, number) =>
      fetch(`${origin.url}/site/${number}`, { method: 'PUT', body, headers: { 'content-md5': md5(body, 'base64') } }),
    ),
  );
  expect(stored.map(({ status, headers }) => [status, headers.get('etag')])).toEqual(bodies.map((body) => [200, `"${md5(body, 'hex')}"`]));
  for (const [number, body] of bodies.entries()) {
    const got = Buffer.from(await (await fetch(`${origin.url}/site/${number}`)).arrayBuffer());
    expect(got.equals(body)).toBe(true);
  }
});

test('a large body that is not what Content-MD5 says is refused, and clients that go away harm no other', async () => {
  await using origin = await originFixture();
  const body = randomBytes(THREAD_FROM_BYTES);
  const wrong = { 'content-md5': md5(Buffer.from('other'), 'base64') };
  const refused = await fetch(`${origin.url}/site/a`, { method: 'PUT', body, headers: wrong });
  expect([refused.status, await errorCode(refused)]).toEqual([400, 'BadDigest']);
  for (let time = 1; time <= 5; time += 1) {
    const socket = connect(Number(new URL(origin.url).port), '127.0.0.1');
    socket.write(`PUT /site/a HTTP/1.1\r\nhost: x\r\ncontent-length: ${body.byteLength}\r\n\r\n`);
    socket.write(body.subarray(0, 1_000_000));
    await once(socket, 'drain');
    socket.destroy();
    await eventually(async () => expect(await origin.metric('sluice_origin_uploads_total{outcome="aborted"}')).toBe(time));
  }
  const stored = await fetch(`${origin.url}/site/a`, { method: 'PUT', body });
  expect(stored.headers.get('etag')).toBe(`"${md5(body, 'hex')}"`);
});
