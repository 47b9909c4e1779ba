/** Ranges of large objects whose bytes have not come yet. */
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { SluiceError } from '@sluice/contracts';
import { eventually } from '@sluice/testkit';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Scene } from './scene.fixture.ts';

const SIZE_BYTES = 30_000_000;
/** The fill is held up behind so many bytes. */
const BEGINNING_BYTES = 2_000_000;
const MIDDLE = 'bytes=15000000-15999999';
const AHEAD = 'sluice_edge_transferred_bytes_total{transfer="ahead"';

/** A scene with a cold large object, whose fill gets no further than its beginning until it is told. */
async function coldScene(variables: Record<string, string> = {}, fields: object = {}) {
  const scene = await Scene.start(variables);
  const { promise: open, resolve } = Promise.withResolvers<void>();
  const chunkBytes = scene.bus.chunkBytes;
  // A read of the fill begins at a multiple of what fits a message; a block does so at the very beginning only.
  const isOfFill = (offset: number) => offset % chunkBytes === 0;
  scene.origin.interfere = (what, offset = 0) => (what === 'read' && offset > BEGINNING_BYTES && isOfFill(offset) ? open : undefined);
  const content = randomBytes(SIZE_BYTES);
  scene.origin.upload('site/film', content, fields);
  const isAhead = (offset: number) => offset > BEGINNING_BYTES && !isOfFill(offset);
  return Object.assign(scene, { content, isAhead, open: () => resolve() });
}

/** The parts of a `multipart/byteranges` body, in order. */
function partsOf(body: Buffer, contentType: string | null): Buffer[] {
  const boundary = /boundary=(.*)/.exec(contentType ?? '')?.[1] ?? '';
  const text = body.toString('latin1');
  const parts = text.split(`--${boundary}`).slice(1, -1);
  return parts.map((part) => Buffer.from(part.slice(part.indexOf('\r\n\r\n') + 4, -2), 'latin1'));
}

test.each([['0'], ['2']])(
  'the middle, the end and several ranges come while the fill is held up at its beginning, and the whole when it goes on (%s threads)',
  async (threads) => {
    await using scene = await coldScene({ EDGE_SERVING_THREADS: threads });
    const { content } = scene;
    const middle = await scene.get('site/film', { range: MIDDLE });
    expect([middle.status, middle.headers.get('content-range')]).toEqual([206, `bytes 15000000-15999999/${SIZE_BYTES}`]);
    expect(middle.body.equals(content.subarray(15_000_000, 16_000_000))).toBe(true);
    expect(middle.cache).toBe('us-1;fwd=uri-miss;fwd-status=200;stored');
    const end = await scene.get('site/film', { range: 'bytes=-1000' });
    expect(end.body.equals(content.subarray(-1000))).toBe(true);
    expect(end.cache).toBe('us-1;fwd=miss;fwd-status=200;stored;collapsed');
    const open = await scene.get('site/film', { range: 'bytes=28000000-' });
    expect(open.body.equals(content.subarray(28_000_000))).toBe(true);
    const several = await scene.get('site/film', { range: 'bytes=0-99,10000000-12000000,-5' });
    expect(several.status).toBe(206);
    const expected = [content.subarray(0, 100), content.subarray(10_000_000, 12_000_001), content.subarray(-5)];
    const parts = partsOf(several.body, several.headers.get('content-type'));
    expect(parts.map((part, at) => part.equals(expected[at] as Buffer))).toEqual([true, true, true]);
    // One question about the key, and no block twice: a million bytes of the middle, two of the end, two further on.
    expect(scene.origin.counts.resolve).toBe(1);
    expect(await scene.metric(AHEAD)).toBeLessThan(8_000_000);
    scene.open();
    expect((await scene.get('site/film')).body.equals(content)).toBe(true);
    await eventually(async () => expect((await scene.get('site/film', { range: MIDDLE })).cache).toBe('us-1;hit'));
    expect(await scene.metric('sluice_edge_broken_bodies_total')).toBe(0);
  },
);

test('any range of a cold object has the bytes of the content', async () => {
  await using scene = await coldScene();
  const range = fc
    .tuple(fc.nat(SIZE_BYTES - 1), fc.nat(3_000_000))
    .map(([start, length]) => [start, Math.min(start + length, SIZE_BYTES - 1)]);
  await fc.assert(
    fc.asyncProperty(range, async ([start = 0, end = 0]) => {
      // What a fill that stands still is about to bring is waited for a second; the rest of this is quick.
      fc.pre(start > BEGINNING_BYTES + 5_000_000 || end < BEGINNING_BYTES - 1_000_000);
      const { body } = await scene.get('site/film', { range: `bytes=${start}-${end}` });
      expect(body.equals(scene.content.subarray(start, end + 1))).toBe(true);
    }),
    { numRuns: 40 },
  );
});

test('blocks are brought once for all who want them at the same time or soon after, whatever their threads', async () => {
  await using scene = await coldScene({ EDGE_SERVING_THREADS: '2' });
  const fresh = { range: MIDDLE, connection: 'close' };
  await scene.get('site/film', { range: 'bytes=0-9' });
  const answers = await Promise.all(Array.from({ length: 20 }, () => scene.get('site/film', fresh)));
  expect(answers.every(({ body }) => body.equals(scene.content.subarray(15_000_000, 16_000_000)))).toBe(true);
  // A million bytes lie in three blocks at most.
  expect(await scene.metric(AHEAD)).toBeLessThanOrEqual(3 * 512 * 1024);
  scene.open();
});

test('a fill that goes on is read as soon as it has overtaken the visitor: what it brought is not brought again', async () => {
  await using scene = await coldScene();
  const response = await fetch(scene.url('site/film'), { headers: { range: 'bytes=10000000-' } });
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const pieces = [(await reader.read()).value ?? new Uint8Array()];
  scene.open();
  await eventually(async () => expect(await scene.metric('sluice_edge_blobs')).toBe(1));
  const aheadBytes = await scene.metric(AHEAD);
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) pieces.push(piece.value);
  expect(Buffer.concat(pieces).equals(scene.content.subarray(10_000_000))).toBe(true);
  expect(await scene.metric(AHEAD)).toBe(aheadBytes);
  expect(aheadBytes).toBeLessThan(15_000_000);
});

test('wrong bytes in a block are cut off and counted, and nothing of them is delivered or stored', async () => {
  await using scene = await coldScene();
  scene.origin.distort = (bytes, offset) => (scene.isAhead(offset) ? Buffer.from(bytes).fill(0, 5, 6) : bytes);
  const failures = await scene.metric('sluice_edge_transfer_failures_total');
  await expect(scene.get('site/film', { range: 'bytes=15000000-15000999' })).rejects.toThrow();
  expect(await scene.metric('sluice_edge_broken_bodies_total')).toBe(1);
  expect(await scene.metric('sluice_edge_transfer_failures_total')).toBe(failures + 1);
  // What is right is not blamed for it: the fill goes on.
  scene.origin.distort = (bytes) => bytes;
  const again = await scene.get('site/film', { range: 'bytes=15000000-15000999' });
  expect(again.body.equals(scene.content.subarray(15_000_000, 15_001_000))).toBe(true);
  scene.open();
  expect((await scene.get('site/film')).body.equals(scene.content)).toBe(true);
});

test('a fill that brings wrong bytes delivers none of them to ranges either, not even at its beginning', async () => {
  await using scene = await coldScene();
  scene.origin.distort = (bytes, offset) => (offset === 0 && bytes.byteLength > 600_000 ? Buffer.from(bytes).fill(7, 0, 10) : bytes);
  const beginning = await scene.get('site/film', { range: 'bytes=0-999' });
  expect(beginning.body.equals(scene.content.subarray(0, 1000))).toBe(true);
  scene.open();
  await eventually(async () => expect(await readdir(join(scene.dir, 'blobs', 'incoming'))).toEqual([]));
  expect(await scene.metric('sluice_edge_blobs')).toBe(0);
});

test('wrong digests deliver nothing, and digests that do not fit the blob are as good as none', async () => {
  await using scene = await coldScene();
  scene.origin.distortDigests = (digests) => Buffer.from(digests).fill(0);
  await expect(scene.get('site/film', { range: MIDDLE })).rejects.toThrow();
  scene.open();
  expect((await scene.get('site/film')).body.equals(scene.content)).toBe(true);

  scene.origin.distortDigests = (digests) => digests.subarray(32);
  const second = randomBytes(SIZE_BYTES);
  scene.origin.upload('site/second', second);
  expect((await scene.get('site/second', { range: MIDDLE })).body.equals(second.subarray(15_000_000, 16_000_000))).toBe(true);
});

test.each([
  ['an origin that does not know of blocks', new SluiceError('INVALID_MESSAGE', 'op: unknown')],
  ['a blob without them', new SluiceError('NO_BLOCKS', 'none')],
])('without digests a range waits for the fill: %s', async (_what, refusal) => {
  await using scene = await coldScene();
  const { interfere } = scene.origin;
  scene.origin.interfere = (what, offset) => {
    if (what === 'blocks') throw refusal;
    return interfere(what, offset);
  };
  const whole = scene.get('site/film');
  const middle = scene.get('site/film', { range: MIDDLE });
  await eventually(() => expect(scene.origin.counts.blocks).toBe(1));
  expect(await scene.metric('sluice_edge_sent_bytes_total')).toBeLessThan(15_000_000);
  scene.open();
  expect((await middle).body.equals(scene.content.subarray(15_000_000, 16_000_000))).toBe(true);
  expect((await whole).body.equals(scene.content)).toBe(true);
  expect([scene.origin.counts.blocks, scene.origin.counts.readBytes]).toEqual([1, SIZE_BYTES]);
});

test('digests that are still being made are asked for again, and then the range comes', async () => {
  await using scene = await coldScene();
  const { interfere } = scene.origin;
  scene.origin.interfere = (what, offset) => {
    if (what === 'blocks' && scene.origin.counts.blocks <= 6) throw new SluiceError('BLOCKS_PENDING', 'later', { retryable: true });
    return interfere(what, offset);
  };
  expect((await scene.get('site/film', { range: MIDDLE })).body.equals(scene.content.subarray(15_000_000, 16_000_000))).toBe(true);
  scene.open();
}, 15_000);

test('while the origin gives no blocks, a range waits for the fill, and is verified all the same', async () => {
  await using scene = await coldScene();
  const { interfere } = scene.origin;
  let refused = 0;
  scene.origin.interfere = (what, offset = 0) => {
    if (what === 'read' && scene.isAhead(offset)) {
      refused += 1;
      throw new SluiceError('SOME_FAULT', 'not now');
    }
    return interfere(what, offset);
  };
  const middle = scene.get('site/film', { range: MIDDLE });
  await eventually(() => expect(refused).toBeGreaterThan(0));
  scene.open();
  expect((await middle).body.equals(scene.content.subarray(15_000_000, 16_000_000))).toBe(true);
});

test.each([
  ['too large to keep', { EDGE_CAPACITY_BYTES: '1000000' }, {}],
  ['private', {}, { cacheControl: 'private' }],
])('of an object that is %s, only the blocks that are asked for are brought', async (_what, variables, fields) => {
  await using scene = await coldScene(variables, fields);
  const middle = await scene.get('site/film', { range: MIDDLE });
  expect(middle.body.equals(scene.content.subarray(15_000_000, 16_000_000))).toBe(true);
  expect(scene.origin.counts.readBytes).toBeLessThanOrEqual(3 * 512 * 1024);
  expect(await readdir(join(scene.dir, 'blobs', 'incoming'))).toEqual([]);
  scene.open();
  expect((await scene.get('site/film')).body.equals(scene.content)).toBe(true);
});

test('a range of a blob too small for digests is given when all of it is verified', async () => {
  await using scene = await coldScene();
  const content = randomBytes(5_000_000);
  scene.origin.upload('site/small', content);
  scene.origin.distort = (bytes, offset) => (offset > 4_000_000 ? Buffer.from(bytes).fill(0, 0, 9) : bytes);
  const early = scene.get('site/small', { range: 'bytes=0-999' });
  scene.open();
  await expect(early).rejects.toThrow();
  scene.origin.distort = (bytes) => bytes;
  // Who comes before the failed transfer is cleared away shares its end.
  await eventually(async () => {
    const { body } = await scene.get('site/small', { range: 'bytes=0-999' });
    expect(body.equals(content.subarray(0, 1000))).toBe(true);
  });
});
