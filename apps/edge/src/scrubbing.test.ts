/** An edge whose disk flips bits. */
import { randomBytes } from 'node:crypto';
import { open, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { eventually } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { Scene } from './scene.fixture.ts';

const SMALL = randomBytes(5_000);
const MIDDLE = randomBytes(300_000);
const LARGE = randomBytes(3_000_000);
/** Nothing is kept in memory, so that each request reads the disk. */
const FROM_DISK = { EDGE_MEMORY_BYTES: '0', EDGE_SCRUB_BYTES_PER_SECOND: '0' };

function fileOf(scene: Scene, sha256: string): string {
  return join(scene.dir, 'blobs', 'files', sha256.slice(0, 2), sha256);
}

/** Flips one bit of a blob on the disk, wherever it is. */
async function flipBit(scene: Scene, { sha256, size }: { sha256: string; size: number }, at: number): Promise<void> {
  if (size > 64 * 1024) {
    const file = await open(fileOf(scene, sha256), 'r+');
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, at);
    byte[0] = (byte[0] as number) ^ 16;
    await file.write(byte, 0, 1, at);
    return file.close();
  }
  const db = new DatabaseSync(join(scene.dir, 'blobs', 'blobs.db'));
  const { id, bytes } = db.prepare('SELECT id, bytes FROM blobs JOIN bodies ON id = body WHERE sha256 = ?').get(sha256) as {
    id: number;
    bytes: Uint8Array;
  };
  bytes[at] = (bytes[at] as number) ^ 16;
  db.prepare('UPDATE bodies SET bytes = ? WHERE id = ?').run(bytes, id);
  db.close();
}

for (const threads of ['0', '2']) {
  test(`${threads} threads: a visitor whose bytes a flipped bit has changed gets them from the origin, and the next one from the disk again`, async () => {
    await using scene = await Scene.start({ ...FROM_DISK, EDGE_SERVING_THREADS: threads });
    for (const [key, content] of [
      ['site/small', SMALL],
      ['site/middle', MIDDLE],
      ['site/large', LARGE],
    ] as const) {
      const manifest = scene.origin.upload(key, content);
      await scene.pushStore(manifest);
      expect((await scene.get(key)).cache).toContain('hit');
      await flipBit(scene, manifest, 777);
      const broken = await scene.get(key);
      expect(broken.status).toBe(200);
      expect(broken.body.equals(content)).toBe(true);
      await eventually(async () => expect((await scene.get(key)).cache).toContain('hit'));
      expect((await scene.get(key)).body.equals(content)).toBe(true);
    }
    expect(await scene.metric('sluice_edge_scrub_mismatches_total{found_by="read"')).toBe(3);
  }, 60_000);
}

test('a body that was begun when its damage is met is cut off, never completed, and right for the next visitor', async () => {
  await using scene = await Scene.start(FROM_DISK);
  const manifest = scene.origin.upload('site/large', LARGE);
  await scene.pushStore(manifest);
  await flipBit(scene, manifest, 2_900_000);
  await expect(scene.get('site/large')).rejects.toThrow();
  await eventually(async () => expect((await scene.get('site/large')).body.equals(LARGE)).toBe(true));
});

test('any range of a damaged file is either right or cut off', async () => {
  await using scene = await Scene.start(FROM_DISK);
  const manifest = scene.origin.upload('site/large', LARGE);
  await scene.pushStore(manifest);
  for (const [start, end] of [
    [0, 10],
    [1_499_000, 1_501_000],
    [1_500_000, 1_500_000],
    [2_999_999, 2_999_999],
    [100_000, 2_000_000],
  ] as const) {
    await flipBit(scene, manifest, 1_500_000);
    const answer = await scene.get('site/large', { range: `bytes=${start}-${end}` }).catch(() => undefined);
    if (answer !== undefined) expect(answer.body.equals(LARGE.subarray(start, end + 1))).toBe(true);
    await scene.get('site/large').catch(() => undefined);
    await eventually(async () => expect((await scene.get('site/large')).cache).toContain('hit'));
  }
});

test('while the origin is away a damaged blob is not served, and with it back it is', async () => {
  await using scene = await Scene.start(FROM_DISK);
  const manifest = scene.origin.upload('site/small', SMALL);
  await scene.pushStore(manifest);
  await scene.origin.stop();
  await flipBit(scene, manifest, 1);
  expect((await scene.get('site/small')).status).toBe(504);
  await scene.origin.start();
  await eventually(async () => expect((await scene.get('site/small')).body.equals(SMALL)).toBe(true));
});

test('what nobody asks for is found by scrubbing, also a variant, a shortened file and one that is gone, and brought again', async () => {
  await using scene = await Scene.start(FROM_DISK);
  const coded = scene.origin.uploadCoded('site/coded', 'x y z '.repeat(4_000));
  const manifests = [
    coded,
    scene.origin.upload('site/small', SMALL),
    scene.origin.upload('site/middle', MIDDLE),
    scene.origin.upload('site/large', LARGE),
    scene.origin.upload('site/gone', randomBytes(200_000)),
  ];
  for (const manifest of manifests) await scene.pushStore(manifest);
  const [variant] = coded.variants ?? [];
  await eventually(async () => expect(await scene.metric('sluice_edge_blobs')).toBe(manifests.length + (coded.variants?.length ?? 0)));
  await scene.stopEdge();
  for (const manifest of manifests.slice(1, 3)) await flipBit(scene, manifest, 4_321);
  await flipBit(scene, variant as { sha256: string; size: number }, 5);
  await truncate(fileOf(scene, manifests[3]?.sha256 as string), 1_000_000);
  const readBefore = scene.origin.counts.readBytes;
  scene.variables.EDGE_SCRUB_BYTES_PER_SECOND = String(100 * 1024 * 1024);
  await scene.startEdge();
  await rm(fileOf(scene, manifests[4]?.sha256 as string));
  await eventually(async () => expect(await scene.metric('sluice_edge_scrub_mismatches_total{found_by="scrub"')).toBe(5), 20_000);
  await eventually(() => expect(scene.origin.counts.readBytes).toBeGreaterThanOrEqual(readBefore + 3_505_000 + (variant?.size ?? 0)));
  await eventually(async () => {
    for (const { key } of manifests) expect((await scene.get(key)).cache).toContain('hit');
  });
  expect((await scene.get('site/large')).body.equals(LARGE)).toBe(true);
  expect(await scene.metric('sluice_edge_scrubbed_bytes_total')).toBeGreaterThan(1_000_000);
  expect(scene.said('warn')).toContain('a blob was damaged on the disk and is dropped');
}, 60_000);

test('with a rate of 0 nothing is read behind the visitors', async () => {
  await using scene = await Scene.start(FROM_DISK);
  await scene.pushStore(scene.origin.upload('site/small', SMALL));
  await scene.get('site/small');
  expect(await scene.metric('sluice_edge_scrubbed_bytes_total')).toBe(0);
  expect(await scene.metric('sluice_edge_scrub_age_seconds')).toBe(-1);
});
