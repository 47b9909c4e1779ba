import { createHash, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { GrowingReader, Growth, sendRange } from '@sluice/blobs';
import { BLOCK_MIN_BYTES, type BlockDigests, type Manifest, SluiceError } from '@sluice/contracts';
import type { ByteRange } from '@sluice/http-semantics';
import { FakeClock, temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { BlobBlocks, PENDING_ATTEMPTS } from './blob-blocks.ts';
import { BLOCKWISE_MAX, DetachedSources } from './detached-source.ts';
import { NEAR_BYTES, RangeReader, STILL_MS } from './range-reader.ts';
import type { ReplicaLink } from './replica-link.ts';
import type { BlockQuestion, KnownBlocks } from './serving-messages.ts';

const BLOCKS = 40;
const content = randomBytes(BLOCKS * BLOCK_MIN_BYTES - 7);
const blocks: BlockDigests = {
  blockBytes: BLOCK_MIN_BYTES,
  digests: Buffer.concat(
    Array.from({ length: BLOCKS }, (_, at) =>
      createHash('sha256')
        .update(content.subarray(at * BLOCK_MIN_BYTES, (at + 1) * BLOCK_MIN_BYTES))
        .digest(),
    ),
  ),
};
const whole: ByteRange = { start: 0, end: content.byteLength - 1 };
const ref = { sha256: createHash('sha256').update(content).digest('hex'), size: content.byteLength };
const turns = async (count = 20): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** A reader of a file of which the test says how far it has come, and a replica that gives blocks as it is told. */
async function stage(
  options: {
    answer?: (question: BlockQuestion) => Promise<Uint8Array>;
    known?: KnownBlocks;
    ranges?: ByteRange[];
    verifiedOnly?: boolean;
  } = {},
) {
  const dir = await temporaryDirectory();
  const path = join(dir.path, 'incoming');
  await writeFile(path, content);
  const growth = new Growth();
  const clock = new FakeClock();
  const asked: number[] = [];
  const bytesOf = async ({ range }: BlockQuestion) => content.subarray(range.start, range.end + 1);
  let questions = 0;
  const link = {
    ask: async (name: string, question: never) => {
      if (name === 'blockDigests') {
        questions += 1;
        return options.known ?? { kind: 'known', blocks };
      }
      asked.push((question as BlockQuestion).range.start / BLOCK_MIN_BYTES);
      return (options.answer ?? bytesOf)(question);
    },
  } as Pick<ReplicaLink, 'ask'>;
  const file = (await GrowingReader.open(path, ref, growth)) as GrowingReader;
  const known = new BlobBlocks(ref, { link, clock });
  const reader = new RangeReader({
    blocks: known,
    ranges: options.ranges ?? [whole],
    file,
    link,
    clock,
    verifiedOnly: options.verifiedOnly,
  });
  return {
    ...{ path, growth, clock, asked, known, reader },
    get questions() {
      return questions;
    },
    async [Symbol.asyncDispose]() {
      growth.fail();
      await reader.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

test('what the fill is about to bring is waited for while it moves, and brought when it stands still', async () => {
  await using scene = await stage();
  const far = NEAR_BYTES + 1;
  await scene.reader.read(far, 10);
  expect(scene.asked[0]).toBe(Math.floor(far / BLOCK_MIN_BYTES));
  scene.asked.length = 0;
  let got: Uint8Array | undefined;
  const reading = scene.reader.read(3 * BLOCK_MIN_BYTES, 10).then((bytes) => {
    got = bytes;
  });
  for (let come = 1; come <= 3; come += 1) {
    await turns();
    scene.growth.advanceTo(come * BLOCK_MIN_BYTES);
    await turns();
    scene.clock.advance(STILL_MS);
  }
  await turns();
  expect([scene.asked, got]).toEqual([[], undefined]);
  scene.clock.advance(STILL_MS);
  await reading;
  expect(scene.asked).toEqual([3]);
  expect(Buffer.from(got ?? []).equals(content.subarray(3 * BLOCK_MIN_BYTES, 3 * BLOCK_MIN_BYTES + 10))).toBe(true);
});

test('while one block is sent the next is brought, one at a time and none that the answer does not need', async () => {
  await using scene = await stage({ ranges: [{ start: 20 * BLOCK_MIN_BYTES, end: 23 * BLOCK_MIN_BYTES - 1 }] });
  await scene.reader.read(20 * BLOCK_MIN_BYTES, 10);
  await turns();
  expect(scene.asked).toEqual([20, 21]);
  await scene.reader.read(22 * BLOCK_MIN_BYTES, 10);
  await turns();
  expect(scene.asked).toEqual([20, 21, 22]);
});

test('while a block that is brought ahead does not come, no other is brought ahead', async () => {
  const never = new Promise<Uint8Array>(() => {});
  const answer = async ({ range }: BlockQuestion) =>
    range.start === 21 * BLOCK_MIN_BYTES ? never : content.subarray(range.start, range.end + 1);
  await using scene = await stage({ answer });
  for (const index of [20, 25, 30]) await scene.reader.read(index * BLOCK_MIN_BYTES, 10);
  expect(scene.asked).toEqual([20, 21, 25, 30]);
});

test('a visitor who does not read has two blocks brought, and no more', async () => {
  await using scene = await stage();
  const stalled = new Writable({ highWaterMark: 1, write() {} });
  void sendRange(scene.reader, { start: 20 * BLOCK_MIN_BYTES, end: whole.end }, stalled).catch(() => {});
  await turns(200);
  expect(new Set(scene.asked)).toEqual(new Set([20, 21]));
});

test('a block that has come is given when its digest says so, not when it has only come; else it is brought from the origin', async () => {
  await using scene = await stage();
  await writeFile(scene.path, Buffer.concat([content.subarray(0, 100), Buffer.of((content[100] ?? 0) ^ 1), content.subarray(101)]));
  scene.growth.advanceTo(4 * BLOCK_MIN_BYTES);
  const read = async (start: number, length: number) =>
    Buffer.from(await scene.reader.read(start, length)).equals(content.subarray(start, start + length));
  expect(await read(BLOCK_MIN_BYTES - 5, 10)).toBe(true);
  expect(await read(90, 20)).toBe(true);
  expect(new Set(scene.asked)).toEqual(new Set([0]));
  // The last block is shorter; whole and verified, nothing is asked for.
  scene.growth.advanceTo(content.byteLength);
  expect(await read(content.byteLength - 20, 20)).toBe(true);
  expect(new Set(scene.asked)).toEqual(new Set([0]));
});

test('wrong bytes from the origin end the answer; when it is silent or this edge busy, the fill is waited for', async () => {
  for (const [code, ends] of [
    ['BLOB_MISMATCH', true],
    ['EDGE_BUSY', false],
    ['NO_REPLY', false],
  ] as const) {
    await using scene = await stage({ answer: () => Promise.reject(new SluiceError(code, 'no')) });
    const reading = scene.reader.read(30 * BLOCK_MIN_BYTES, 10);
    if (ends) await expect(reading).rejects.toMatchObject({ code });
    else {
      await turns();
      scene.growth.advanceTo(31 * BLOCK_MIN_BYTES);
      expect(Buffer.from(await reading).equals(content.subarray(30 * BLOCK_MIN_BYTES, 30 * BLOCK_MIN_BYTES + 10))).toBe(true);
    }
  }
});

test('a fill that fails while the origin gives nothing ends the answer', async () => {
  await using scene = await stage({ answer: () => Promise.reject(new SluiceError('NO_REPLY', 'no')) });
  const reading = expect(scene.reader.read(30 * BLOCK_MIN_BYTES, 10)).rejects.toMatchObject({ code: 'BLOB_MISMATCH' });
  await turns();
  scene.growth.fail();
  await reading;
});

test('digests that are not made yet are asked for a bounded number of times, and not when the fill is over', async () => {
  await using scene = await stage({ known: { kind: 'pending' } });
  const learned = scene.known.digests(() => false);
  for (let attempt = 0; attempt < 2 * PENDING_ATTEMPTS; attempt += 1) {
    await turns(2);
    scene.clock.advance(1_000);
  }
  expect(await learned).toBeUndefined();
  expect(scene.questions).toBe(PENDING_ATTEMPTS);
  await using other = await stage({ known: { kind: 'pending' } });
  const verified = other.reader.read(30 * BLOCK_MIN_BYTES, 10);
  await turns();
  other.growth.advanceTo(content.byteLength);
  other.growth.complete();
  expect(Buffer.from(await verified).equals(content.subarray(30 * BLOCK_MIN_BYTES, 30 * BLOCK_MIN_BYTES + 10))).toBe(true);
  other.clock.advance(10_000);
  await turns();
  expect(other.questions).toBe(1);
});

test('of what is not kept, more visitors than may have blocks brought have the whole brought', async () => {
  const asked: string[] = [];
  const link = {
    ask: async (name: string) => {
      asked.push(name);
      if (name === 'bringDetached') return { kind: 'bytes', bytes: content };
      return { kind: 'known', blocks };
    },
    tell() {},
  } as unknown as Pick<ReplicaLink, 'ask' | 'tell'>;
  const sources = new DetachedSources(link, new FakeClock());
  const bring = () => sources.bring(ref as Manifest, [{ start: 5, end: 10 }], new AbortController().signal);
  const readers = [];
  for (let count = 0; count < BLOCKWISE_MAX; count += 1) readers.push(await bring());
  expect(asked).not.toContain('bringDetached');
  await bring();
  expect(asked.filter((name) => name === 'bringDetached')).toHaveLength(1);
  for (const reader of readers) await reader.close();
  await bring();
  expect(asked.filter((name) => name === 'bringDetached')).toHaveLength(1);
});

test('where nothing is to be given before it is verified and there are no digests, the whole is waited for', async () => {
  for (const verifiedOnly of [false, true]) {
    await using it = await stage({ known: { kind: 'none' }, verifiedOnly });
    it.growth.advanceTo(1_000_000);
    let given = false;
    const reading = it.reader.read(0, 1_000).then((bytes) => {
      given = true;
      return bytes;
    });
    // As a visitor without this wish is given it.
    if (!verifiedOnly) await reading;
    await turns();
    expect(given).toBe(!verifiedOnly);
    it.growth.complete();
    expect(Buffer.from(await reading).equals(content.subarray(0, 1_000))).toBe(true);
  }
});
