import { createHash, randomBytes } from 'node:crypto';
import { INLINE_MAX_BYTES, type Operate } from '@sluice/blobs';
import { expect, test } from 'vitest';
import { contentOf } from '../testing/scripted-source.fixture.ts';
import { checkCache, type SourcedFixture, sourcedFixture } from '../testing/sourced-blobs.fixture.ts';
import { IDLE_MS } from './source-chunks.ts';

const CACHE = 4 * 1024 * 1024;

const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function ingest({ blobs, source }: SourcedFixture, bytes: Uint8Array, options?: { keep: boolean }) {
  const object = source.put('site/a', contentOf(bytes));
  return blobs.ingest(object, await source.open(object), options);
}

test.each([
  ['no bytes', 0, true],
  ['a few', 100, true],
  ['as many as fit a row', INLINE_MAX_BYTES, true],
  ['one more', INLINE_MAX_BYTES + 1, true],
  ['a quarter of the cache', CACHE / 4, true],
  ['more than the cache takes', CACHE / 4 + 1, false],
])('an object with %s is named in one read, and kept if it fits', async (_, size, isKept) => {
  await using fixture = await sourcedFixture({ maxBytes: CACHE });
  const bytes = randomBytes(size);
  expect(await ingest(fixture, bytes)).toEqual({ sha256: sha256(bytes), size, md5: md5(bytes) });
  expect(fixture.source.reads).toHaveLength(1);
  expect(fixture.source.openings.size).toBe(0);
  expect(fixture.blobs.has(sha256(bytes))).toBe(isKept);
  await checkCache(fixture);
});

test('one that is only to be named leaves the cache as it is', async () => {
  await using fixture = await sourcedFixture({ maxBytes: CACHE });
  const bytes = randomBytes(300_000);
  expect(await ingest(fixture, bytes, { keep: false })).toMatchObject({ sha256: sha256(bytes) });
  expect(fixture.store.totals.count).toBe(0);
});

test.each([
  ['fewer', -1],
  ['more', 1],
])('one that has %s bytes than were found has changed, and nothing of it is kept', async (_, more) => {
  await using fixture = await sourcedFixture({ maxBytes: CACHE });
  for (const size of [1_000, 300_000]) {
    const object = fixture.source.put('site/a', contentOf(randomBytes(size)));
    fixture.source.corrupt('site/a', contentOf(randomBytes(size + more)));
    await expect(fixture.blobs.ingest(object, await fixture.source.open(object))).rejects.toMatchObject({ code: 'REVISION_GONE' });
  }
  expect([fixture.store.totals.count, fixture.blobs.load.reservedBytes, fixture.source.openings.size]).toEqual([0, 0, 0]);
  await checkCache(fixture);
});

test('one that hangs is left after a while, and stopping ends it at once', async () => {
  for (const end of ['time', 'stop']) {
    await using fixture = await sourcedFixture({ maxBytes: CACHE });
    const never = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    fixture.source.onChunk = (_, at) => {
      if (at === 0) return;
      reached.resolve();
      return never.promise;
    };
    const ingesting = ingest(fixture, randomBytes(300_000)).catch((error: unknown) => error);
    await reached.promise;
    if (end === 'time') fixture.clock.advance(IDLE_MS);
    else await fixture.blobs.stop();
    expect(await ingesting).toMatchObject({ code: 'SOURCE_AWAY', retryable: true });
    expect(fixture.source.openings.size).toBe(0);
    await checkCache(fixture);
  }
});

test.each(['BLOB_WRITE:CREATE', 'BLOB_WRITE:WRITE', 'BLOB_COMMIT:RENAME'])(
  'a disk that is full at %s keeps nothing, and the object is named all the same',
  async (at) => {
    // Something has been written before it is full.
    let left = at === 'BLOB_WRITE:WRITE' ? 1 : 0;
    const operate: Operate = (label, operation) => {
      if (label === at) left -= 1;
      // What is removed needs no room.
      if (left < 0 && label !== 'BLOB_WRITE:DISCARD') throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
      return operation();
    };
    await using fixture = await sourcedFixture({ maxBytes: 64 * CACHE }, operate);
    const bytes = randomBytes(4 * 1024 * 1024);
    expect(await ingest(fixture, bytes)).toEqual({ sha256: sha256(bytes), size: bytes.byteLength, md5: md5(bytes) });
    expect([fixture.store.totals.count, fixture.source.reads.length]).toEqual([0, 1]);
    await checkCache(fixture);
  },
);

test('one that does not end is left when it has given more than was found', async () => {
  await using fixture = await sourcedFixture({ maxBytes: CACHE });
  const object = fixture.source.put('site/a', contentOf(randomBytes(100_000)));
  fixture.source.corrupt('site/a', contentOf(randomBytes(3_000_000)));
  for (const keep of [true, false]) {
    const before = fixture.source.givenBytes;
    await expect(fixture.blobs.ingest(object, await fixture.source.open(object), { keep })).rejects.toMatchObject({
      code: 'REVISION_GONE',
    });
    expect(fixture.source.givenBytes - before).toBeLessThanOrEqual(100_000 + fixture.source.chunkBytes);
  }
});
