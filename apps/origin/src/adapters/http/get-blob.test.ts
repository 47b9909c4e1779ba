import { randomBytes } from 'node:crypto';
import { httpUrl } from '@sluice/runtime';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorCode, type OriginFixture, originFixture, sha256 } from '../../testing/origin.fixture.ts';

let origin: OriginFixture;
beforeAll(async () => {
  origin = await originFixture();
});
afterAll(() => origin[Symbol.asyncDispose]());

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
  });

  test('a removed object takes its bytes along', async () => {
    const bytes = randomBytes(100_000);
    await fetch(`${origin.url}/site/gone`, { method: 'PUT', body: bytes });
    await fetch(`${origin.url}/site/gone`, { method: 'DELETE' });
    expect((await fetch(`${origin.url}/-/blobs/${sha256(bytes)}`)).status).toBe(404);
  });

  test.each([
    ['127.0.0.1', 'http://127.0.0.1:9'],
    ['::1', 'http://[::1]:9'],
    ['0.0.0.0', expect.stringMatching(/^http:\/\/[^/]+:9$/)],
  ])('an origin that listens on %s is reached at %s', (host, url) => {
    expect(httpUrl(host, 9)).toEqual(url);
  });
});
