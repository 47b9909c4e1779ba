/** What becomes of those who wait for bytes that others have asked for. */
import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { manifestOf } from '../domain/history.fixture.ts';
import { sha256Of } from '../scripted-origin.fixture.ts';
import type { OriginPort } from './origin-port.ts';
import { replicaParts } from './replica.fixture.ts';

const CONTENT = randomBytes(1_000);
const MANIFEST = manifestOf('site/a', 1, { sha256: sha256Of(CONTENT), size: CONTENT.byteLength });

/** An origin that has one content for every key, and gives other bytes the first times. */
function originThatErrs(times: number): OriginPort & { reads: number } {
  return {
    reads: 0,
    chunkBytes: 1024,
    download: async () => false,
    resolve: async (key) => ({ ok: true, found: true, manifest: { ...MANIFEST, key }, asOf: 1 }),
    async read() {
      this.reads += 1;
      return this.reads <= times ? randomBytes(CONTENT.byteLength) : CONTENT;
    },
    blocks: () => Promise.reject(new Error('not asked for')),
    changes: () => Promise.reject(new Error('not asked for')),
  };
}

const outcome = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'here',
    (error: { code: string }) => error.code,
  );

test.each([
  ['a pull', 'site/a'],
  ['a transfer of another key', 'site/b'],
])('who joins %s that fails has the bytes brought once more, all together', async (_what, key) => {
  const origin = originThatErrs(1);
  await using scene = await replicaParts(origin);
  const first = outcome(scene.puller.pull('site/a', false));
  const joining = Array.from({ length: 10 }, () => outcome(scene.puller.pull(key, false)));
  expect(await first).toBe('BLOB_MISMATCH');
  expect(new Set(await Promise.all(joining))).toEqual(new Set(['here']));
  expect(origin.reads).toBe(2);
});

test('who joins one that fails, and the next too, is not held up by a third', async () => {
  const origin = originThatErrs(10);
  await using scene = await replicaParts(origin);
  const pulls = Array.from({ length: 10 }, () => outcome(scene.puller.pull('site/a', false)));
  expect(new Set(await Promise.all(pulls))).toEqual(new Set(['BLOB_MISMATCH']));
  expect(origin.reads).toBe(2);
});
