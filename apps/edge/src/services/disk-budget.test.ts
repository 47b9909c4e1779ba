import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { manifestOf } from '../domain/history.fixture.ts';
import { rank, UNNEEDED_RANK } from '../domain/value.ts';
import { sha256Of } from '../scripted-origin.fixture.ts';
import type { OriginPort } from './origin-port.ts';
import { replicaParts } from './replica.fixture.ts';

const CONTENT = randomBytes(1_000);
const MANIFEST = manifestOf('site/a', 1, { sha256: sha256Of(CONTENT), size: CONTENT.byteLength });
const notAsked = () => Promise.reject(new Error('not asked for'));
const ORIGIN: OriginPort = {
  chunkBytes: 1024,
  download: async () => false,
  resolve: notAsked,
  read: async () => CONTENT,
  blocks: notAsked,
  changes: notAsked,
};

test.each([
  ['announced again', false, true],
  ['deleted and brought again', true, true],
  ['used while they come', true, false],
])('bytes that are %s have the rank of all their uses with the next one', async (_what, isDeleted, isHeldBefore) => {
  await using scene = await replicaParts(ORIGIN);
  const { budget, blobs, replica, transfers } = scene;
  if (isHeldBefore) await replica.store(MANIFEST, { kind: 'announced' }, { bases: [] });
  for (let use = 0; use < 100; use += 1) budget.touch(MANIFEST.sha256, MANIFEST.size);
  budget.flushRanks();
  if (isDeleted) {
    blobs.delete(MANIFEST.sha256);
    await transfers.ensure(MANIFEST, { bases: [] });
  } else await replica.store({ ...MANIFEST, version: 2 }, { kind: 'announced' }, { bases: [], assumed: true });
  budget.touch(MANIFEST.sha256, MANIFEST.size);
  budget.flushRanks();
  expect(blobs.lowest(1)).toEqual([{ sha256: MANIFEST.sha256, size: MANIFEST.size, rank: rank(0, 101, MANIFEST.size) }]);
});

test('uses that are told of when another version is there give bytes that nothing needs no rank, until something needs them again', async () => {
  await using scene = await replicaParts(ORIGIN);
  const { budget, blobs, index, replica } = scene;
  const used = (): void => {
    budget.touch(MANIFEST.sha256, MANIFEST.size, 50);
    budget.flushRanks();
  };
  await replica.store(MANIFEST, { kind: 'announced' }, { bases: [] });
  const other = Buffer.from('another version');
  const next = { ...MANIFEST, version: 2, sha256: sha256Of(other), size: other.byteLength };
  await replica.store(next, { kind: 'announced' }, { bases: [], content: other.toString('base64') });
  used();
  expect(blobs.lowest(1)).toMatchObject([{ sha256: MANIFEST.sha256, rank: UNNEEDED_RANK }]);
  const back = { op: 'store', manifest: { ...MANIFEST, version: 3 }, provenance: { kind: 'announced' } } as const;
  for (const effect of index.applyPage([back], false)) replica.settle(effect);
  used();
  expect(blobs.lowest(2)).toContainEqual({ sha256: MANIFEST.sha256, size: MANIFEST.size, rank: rank(0, 50, MANIFEST.size) });
});
