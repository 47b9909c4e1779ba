import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readlink } from 'node:fs/promises';
import { connect } from 'node:net';
import { httpUrl, type Logger } from '@sluice/runtime';
import { eventually } from '@sluice/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorCode, type OriginFixture, originFixture, sha256, silent } from '../../testing/origin.fixture.ts';

let origin: OriginFixture;
const failures: unknown[] = [];
beforeAll(async () => {
  const log: Logger = Object.assign(Object.create(silent), { error: (...said: unknown[]) => failures.push(said) });
  origin = await originFixture({ log });
});
afterAll(() => origin[Symbol.asyncDispose]());

/** Files of the blob store that this process has open. */
async function openFiles(): Promise<string[]> {
  const links = await Promise.all((await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
  return links.filter((path) => path.includes('/blobs/files/'));
}

describe('blobs by checksum', () => {
  test('are sent whole, large and small, to several at once', async () => {
    for (const size of [10, 3_000_000]) {
      const bytes = randomBytes(size);
      await fetch(`${origin.url}/site/${size}`, { method: 'PUT', body: bytes });
      const answers = await Promise.all(Array.from({ length: 5 }, () => fetch(`${origin.url}/-/blobs/${sha256(bytes)}`)));
      for (const answer of answers) {
        expect(answer.headers.get('content-length')).toBe(String(size));
        expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true);
      }
    }
  });

  test.each([
    ['GET', 'a'.repeat(64), 404, 'NoSuchKey'],
    ['GET', 'no-checksum', 400, 'InvalidArgument'],
    ['GET', `${'a'.repeat(64)}/x`, 400, 'InvalidArgument'],
    ['PUT', 'a'.repeat(64), 405, 'MethodNotAllowed'],
  ])('%s of %s is answered %i %s', async (method, name, status, code) => {
    const answer = await fetch(`${origin.url}/-/blobs/${name}`, { method, ...(method === 'PUT' ? { body: 'x' } : {}) });
    expect([answer.status, await errorCode(answer)]).toEqual([status, code]);
    if (status === 405) expect(answer.headers.get('allow')).toBe('GET, HEAD');
  });

  test('a reader that leaves in the middle leaves no file open, and one that reads late gets every byte', async () => {
    const bytes = randomBytes(20_000_000);
    await fetch(`${origin.url}/site/long`, { method: 'PUT', body: bytes });
    const { port } = new URL(origin.url);
    const ask = `GET /-/blobs/${sha256(bytes)} HTTP/1.1\r\nHost: origin\r\nConnection: close\r\n\r\n`;
    const leaving = Array.from({ length: 5 }, async () => {
      const socket = connect(Number(port), '127.0.0.1');
      socket.write(ask);
      await once(socket, 'data');
      expect(await openFiles()).not.toEqual([]);
      socket.destroy();
    });
    await Promise.all(leaving);
    // A file that nobody closes goes with the next collection, some seconds later.
    await eventually(async () => expect(await openFiles()).toEqual([]), 1_000);

    expect(failures).toEqual([]);
    const sent = await origin.metric('sluice_origin_fetch_bytes_total');
    expect(sent).toBeLessThan(6 * 20_000_000);

    const late = connect(Number(port), '127.0.0.1');
    late.write(ask);
    await once(late, 'readable');
    // The origin has sent what the system takes for a reader that does not read, and waits.
    await eventually(async () => expect(await openFiles()).toHaveLength(1));
    const answer = Buffer.concat(await Array.fromAsync(late));
    expect(answer.subarray(answer.indexOf('\r\n\r\n') + 4).equals(bytes)).toBe(true);
    await eventually(async () => expect(await openFiles()).toEqual([]), 1_000);
  });

  test.each([
    [1, 404],
    [2, 200],
  ])('with %i versions kept, the bytes of a removed object are answered %i', async (kept, status) => {
    await using keeping = await originFixture({ config: { ORIGIN_VERSIONS_KEPT: kept } });
    const bytes = randomBytes(100_000);
    await fetch(`${keeping.url}/site/gone`, { method: 'PUT', body: bytes });
    await fetch(`${keeping.url}/site/gone`, { method: 'DELETE' });
    const answers = async () => (await fetch(`${keeping.url}/-/blobs/${sha256(bytes)}`)).status;
    await eventually(async () => expect(await answers()).toBe(status));
  });

  test.each([
    ['127.0.0.1', 'http://127.0.0.1:9'],
    ['::1', 'http://[::1]:9'],
    ['0.0.0.0', expect.stringMatching(/^http:\/\/[^/]+:9$/)],
  ])('an origin that listens on %s is reached at %s', (host, url) => {
    expect(httpUrl(host, 9)).toEqual(url);
  });
});
