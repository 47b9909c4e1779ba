/** One of several origins may not have heard yet what an edge has been told: no visitor is worse off for it. */
import { randomBytes } from 'node:crypto';
import { eventually } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { manifestOf } from '../domain/history.fixture.ts';
import { sha256Of } from '../scripted-origin.fixture.ts';
import type { OriginPort, Resolution } from './origin-port.ts';
import { replicaParts } from './replica.fixture.ts';

const CONTENT = randomBytes(1_000);
const ANNOUNCED = manifestOf('site/a', 20, { sha256: sha256Of(CONTENT), size: CONTENT.byteLength });
const OLDER = { ok: true, found: true, manifest: manifestOf('site/a', 10), asOf: 15 } as const;
const NONE = { ok: true, found: false, asOf: 15 } as const;
const CURRENT = { ok: true, found: true, manifest: ANNOUNCED, asOf: 30 } as const;

/** Answers with one after the other, and with the last one from then on. */
function originOf(...answers: readonly Resolution[]): OriginPort & { readonly asked: (number | undefined)[] } {
  const asked: (number | undefined)[] = [];
  return {
    asked,
    chunkBytes: 1024,
    download: async () => false,
    async resolve(_key, _have, _withContent, atLeast) {
      asked.push(atLeast);
      return answers[Math.min(asked.length, answers.length) - 1] as Resolution;
    },
    read: async () => CONTENT,
    blocks: () => Promise.reject(new Error('not asked for')),
    changes: () => Promise.reject(new Error('not asked for')),
  };
}

test.each([
  ['an older version', OLDER],
  ['that there is no such key', NONE],
])('an origin that says %s than was announced has the announced one brought', async (_what, answer) => {
  const origin = originOf(answer);
  await using scene = await replicaParts(origin);
  scene.index.applyPage([{ op: 'store', manifest: ANNOUNCED, provenance: { kind: 'announced' } }], false);
  expect(await scene.puller.pull('site/a', false)).toMatchObject({ kind: 'object', manifest: { version: 20 } });
  expect(scene.blobs.has(ANNOUNCED.sha256)).toBe(true);
  expect(origin.asked).toEqual([20]);
});

test.each([
  ['an older version', OLDER],
  ['no such key', NONE],
])('after an invalidation an origin that has not heard of it and says %s is asked again, after a pause', async (_what, answer) => {
  const origin = originOf(answer, CURRENT);
  await using scene = await replicaParts(origin);
  const invalidation = { selector: { all: true }, version: 25, mode: 'stale' } as const;
  scene.index.applyPage(
    [
      { op: 'store', manifest: ANNOUNCED, provenance: { kind: 'announced' } },
      { op: 'invalidate', invalidation },
    ],
    false,
  );
  const pulled = scene.puller.pull('site/a', false);
  await eventually(() => expect(origin.asked).toEqual([25]));
  await eventually(() => {
    scene.clock.advance(100);
    expect(origin.asked).toEqual([25, 25]);
  });
  expect(await pulled).toMatchObject({ kind: 'object', manifest: { version: 20 } });
});

test('what the origin has removed since is gone', async () => {
  await using scene = await replicaParts(originOf({ ok: true, found: false, removed: { version: 40 }, asOf: 50 }));
  scene.index.applyPage([{ op: 'store', manifest: ANNOUNCED, provenance: { kind: 'announced' } }], false);
  expect(await scene.puller.pull('site/a', false)).toMatchObject({ kind: 'absent' });
  expect(scene.index.get('site/a')?.manifest).toBeUndefined();
});
