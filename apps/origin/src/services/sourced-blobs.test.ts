import { randomBytes } from 'node:crypto';
import { INLINE_MAX_BYTES } from '@sluice/blobs';
import { eventually } from '@sluice/testkit';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { contentOf } from '../testing/scripted-source.fixture.ts';
import { checkCache, checksumOf, readInOrder, sourcedFixture } from '../testing/sourced-blobs.fixture.ts';
import { NEAR_BYTES } from './fill-reader.ts';
import { IDLE_MS } from './source-chunks.ts';
import { SourceAwayError } from './source-port.ts';
import { SHORT_FILLS_MAX, STRAIGHT_MAX, WRONG_REST_MS } from './sourced-blobs.ts';

const MIB = 1024 * 1024;
const CACHE = 16 * MIB;
const SMALL = randomBytes(1_000);
const LARGE = randomBytes(3 * MIB + 17);
const HUGE = randomBytes(CACHE / 4 + 1);
/** What edges ask again about, and S3 clients are told as 503. */
const CHANGED = { code: 'BLOB_MISSING', retryable: true };

const SIZES: [string, Buffer][] = [
  ['small', SMALL],
  ['large', LARGE],
  ['larger than the cache takes', HUGE],
];

/** Holds a source back before a byte of an object. */
function gate(offset: number) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const reached = Promise.withResolvers<void>();
  const onChunk = (_key: string, at: number): Promise<void> | void => {
    if (at < offset) return;
    reached.resolve();
    return promise;
  };
  return { onChunk, open: resolve, reached: reached.promise };
}

describe('what is in the cache', () => {
  test('is read from it, and nothing at the source', async () => {
    await using fixture = await sourcedFixture();
    for (const [key, bytes] of SIZES.slice(0, 2)) {
      const name = fixture.add(key, bytes);
      await readInOrder(fixture.blobs, name);
      fixture.source.isAway = true;
      expect((await readInOrder(fixture.blobs, name)).equals(bytes)).toBe(true);
      expect(Buffer.from(await fixture.blobs.readAll(name)).equals(bytes)).toBe(true);
      fixture.source.isAway = false;
    }
    expect(fixture.source.reads).toHaveLength(2);
  });

  test('has a size before it is there, and is not said to be here', async () => {
    await using fixture = await sourcedFixture();
    const name = fixture.add('site/a', SMALL);
    expect([fixture.blobs.has(name), fixture.blobs.size(name), fixture.blobs.size('f'.repeat(64))]).toEqual([false, 1_000, undefined]);
    await (await fixture.blobs.reader(name)).close();
    expect(fixture.source.reads).toEqual([]);
    await expect(fixture.blobs.reader('f'.repeat(64))).rejects.toMatchObject({ code: 'BLOB_MISSING', retryable: false });
  });
});

test.each(SIZES.slice(0, 2))('many readers of a %s blob have the source read once, and all get all of it', async (_, bytes) => {
  await using fixture = await sourcedFixture({ maxBytes: CACHE });
  const name = fixture.add('site/a', bytes);
  const readers = Array.from({ length: 50 }, (_, index) => readInOrder(fixture.blobs, name, 100_000 + index));
  const ranges = Array.from({ length: 50 }, async (_, index) => {
    const reader = await fixture.blobs.reader(name);
    return reader.read(index * 7, 20).finally(() => reader.close());
  });
  for (const read of await Promise.all(readers)) expect(read.equals(bytes)).toBe(true);
  for (const [index, read] of (await Promise.all(ranges)).entries()) expect(read).toEqual(bytes.subarray(index * 7, index * 7 + 20));
  expect(fixture.source.reads).toEqual([{ key: 'site/a', range: undefined }]);
  await checkCache(fixture);
  expect(await fixture.metric('sourceReads', 'filled')).toBe(1);
});

test('a large blob is read while it comes, but for its last bytes, which wait until the source has said that it is all of one state', async () => {
  await using fixture = await sourcedFixture({ maxBytes: CACHE });
  const name = fixture.add('site/a', LARGE);
  const [half, end] = [gate(MIB), gate(LARGE.byteLength)];
  fixture.source.onChunk = half.onChunk;
  const reader = await fixture.blobs.reader(name);
  const first = Buffer.alloc(MIB);
  await reader.readInto(first, 0);
  expect(first.equals(LARGE.subarray(0, MIB))).toBe(true);
  fixture.source.onChunk = end.onChunk;
  half.open();
  const rest = Buffer.alloc(LARGE.byteLength - MIB - 1);
  await reader.readInto(rest, MIB);
  expect(rest.equals(LARGE.subarray(MIB, -1))).toBe(true);
  let isThere = false;
  const last = reader.read(LARGE.byteLength - 1, 1).then((bytes) => {
    isThere = true;
    return bytes;
  });
  await eventually(() => expect(fixture.source.givenBytes).toBe(LARGE.byteLength));
  await new Promise((resolve) => setImmediate(resolve));
  expect([isThere, fixture.blobs.has(name)]).toEqual([false, false]);
  end.open();
  expect(await last).toEqual(LARGE.subarray(-1));
  await reader.close();
});

test('what lies far ahead of what has come is read at the source at once', async () => {
  const bytes = randomBytes(NEAR_BYTES + 2 * MIB);
  await using fixture = await sourcedFixture();
  const name = fixture.add('site/a', bytes);
  const held = gate(MIB);
  fixture.source.onChunk = (key, at) => (fixture.source.reads.length === 1 ? held.onChunk(key, at) : undefined);
  const reader = await fixture.blobs.reader(name);
  await reader.read(0, 1);
  const offset = bytes.byteLength - 100;
  fixture.source.onChunk = (key, at) => (at >= MIB && at < offset ? held.onChunk(key, at) : undefined);
  expect(await reader.read(offset, 50)).toEqual(bytes.subarray(offset, offset + 50));
  await reader.prepare?.({ start: offset, end: offset + 99 });
  const span = Buffer.alloc(100);
  await reader.readInto(span.subarray(0, 60), offset);
  await reader.readInto(span.subarray(60), offset + 60);
  expect(span.equals(bytes.subarray(offset))).toBe(true);
  const asked = fixture.source.reads.slice(1).map(({ range }) => range);
  expect(asked).toEqual([
    { offset, length: 50 },
    { offset, length: 100 },
  ]);
  held.open();
  await reader.close();
});

describe('a blob larger than a quarter of the cache', () => {
  test('is read straight from the source each time, verified, and not kept', async () => {
    await using fixture = await sourcedFixture({ maxBytes: CACHE });
    const name = fixture.add('site/a', HUGE);
    expect((await readInOrder(fixture.blobs, name)).equals(HUGE)).toBe(true);
    expect(Buffer.from(await fixture.blobs.readAll(name)).equals(HUGE)).toBe(true);
    expect(fixture.source.reads).toEqual(Array(2).fill({ key: 'site/a', range: undefined }));
    expect(fixture.store.totals.count).toBe(0);
    expect(fixture.source.openings.size).toBe(0);
    expect(await fixture.blobs.bring(name)).toBe(false);
  });

  test('gives a span with one read of just that span, however small the pieces', async () => {
    await using fixture = await sourcedFixture({ maxBytes: CACHE });
    const name = fixture.add('site/a', HUGE);
    const reader = await fixture.blobs.reader(name);
    await reader.prepare?.({ start: 1_000, end: 500_999 });
    const span = Buffer.alloc(500_000);
    for (let at = 0; at < span.byteLength; at += 10_000) await reader.readInto(span.subarray(at, at + 10_000), 1_000 + at);
    expect(span.equals(HUGE.subarray(1_000, 501_000))).toBe(true);
    expect(fixture.source.reads).toEqual([{ key: 'site/a', range: { offset: 1_000, length: 500_000 } }]);
    await reader.close();
  });

  test('has no more streams at a time than a bound, and one that is closed makes room', async () => {
    await using fixture = await sourcedFixture({ maxBytes: CACHE });
    const name = fixture.add('site/a', HUGE);
    const open = async () => {
      const reader = await fixture.blobs.reader(name);
      await reader.prepare?.({ start: 0, end: 99 });
      return reader;
    };
    const readers = await Promise.all(Array.from({ length: STRAIGHT_MAX }, open));
    expect(fixture.blobs.load.straight).toBe(STRAIGHT_MAX);
    await expect(open()).rejects.toMatchObject({ code: 'BUSY', retryable: true });
    await readers[0]?.close();
    await eventually(() => expect(fixture.blobs.load.straight).toBe(STRAIGHT_MAX - 1));
    readers[0] = await open();
    for (const reader of readers) await reader.close();
    await eventually(() => expect([fixture.blobs.load.straight, fixture.source.openings.size]).toEqual([0, 0]));
  });
});

test.each(SIZES)(
  'of a %s blob whose bytes have become others nobody gets the end, nothing stays, and its key is looked at once',
  async (_, bytes) => {
    await using fixture = await sourcedFixture({ maxBytes: CACHE });
    const name = fixture.add('site/a', bytes);
    const wrong = Buffer.from(bytes);
    wrong[0] = (wrong[0] as number) ^ 1;
    fixture.source.corrupt('site/a', contentOf(wrong));
    const isStraight = bytes === HUGE;
    const outcomes = await Promise.allSettled(Array.from({ length: isStraight ? 1 : 10 }, () => readInOrder(fixture.blobs, name)));
    for (const outcome of outcomes) expect(outcome).toMatchObject({ status: 'rejected', reason: CHANGED });
    expect([fixture.gone, fixture.wrong, fixture.store.totals.count]).toEqual([['site/a'], [name], 0]);
    // Who asks again while the key is looked at costs the source nothing.
    await expect(fixture.blobs.readAll(name)).rejects.toMatchObject(CHANGED);
    expect(fixture.source.reads).toHaveLength(1);
    await checkCache(fixture);
    // It was no more than a moment, or the same bytes have come back as another state.
    fixture.source.corrupt('site/a', contentOf(bytes));
    fixture.clock.advance(WRONG_REST_MS);
    expect((await readInOrder(fixture.blobs, name)).equals(bytes)).toBe(true);
    await fixture.blobs.idle();
    expect(fixture.blobs.load).toMatchObject({ fills: 0, fillingBytes: 0, reservedBytes: 0 });
  },
);

test.each([
  ['fewer', (bytes: Buffer) => bytes.subarray(0, -1)],
  ['more', (bytes: Buffer) => Buffer.concat([bytes, Buffer.from('more')])],
])('%s bytes than were found are no blob', async (_, change) => {
  await using fixture = await sourcedFixture({ maxBytes: CACHE });
  for (const [key, bytes] of SIZES) {
    const name = fixture.add(key, bytes);
    fixture.source.corrupt(key, contentOf(change(bytes)));
    await expect(readInOrder(fixture.blobs, name)).rejects.toMatchObject(CHANGED);
  }
  expect(fixture.store.totals.count).toBe(0);
});

test.each(SIZES)('a %s blob that does not end is left when it has given more than it has', async (_, bytes) => {
  await using fixture = await sourcedFixture({ maxBytes: CACHE });
  const name = fixture.add('site/a', bytes);
  fixture.source.chunkBytes = 10_000;
  fixture.source.corrupt('site/a', contentOf(Buffer.alloc(3 * CACHE)));
  await expect(readInOrder(fixture.blobs, name)).rejects.toMatchObject(CHANGED);
  await fixture.blobs.idle();
  expect(fixture.source.givenBytes).toBeLessThanOrEqual(bytes.byteLength + 2 * fixture.source.chunkBytes);
  await eventually(() => expect(fixture.source.openings.size).toBe(0));
});

test.each(SIZES)('a %s object that changes while it is read is never given whole, and its key is looked at', async (_, bytes) => {
  await using fixture = await sourcedFixture({ maxBytes: CACHE });
  const name = fixture.add('site/a', bytes);
  const half = Math.floor(bytes.byteLength / 2);
  fixture.source.onChunk = (_key, at) => {
    if (at >= half) fixture.source.put('site/a', contentOf(Buffer.from('another state')));
  };
  await expect(readInOrder(fixture.blobs, name)).rejects.toMatchObject(CHANGED);
  expect(fixture.gone).toEqual(['site/a']);
  // Now it cannot even be opened.
  fixture.clock.advance(WRONG_REST_MS);
  await expect(readInOrder(fixture.blobs, name)).rejects.toMatchObject(CHANGED);
  // The engine has looked, and the catalog knows: other bytes are there under another name.
  fixture.source.onChunk = () => {};
  const next = fixture.add('site/a', bytes);
  expect((await readInOrder(fixture.blobs, next)).equals(bytes)).toBe(true);
});

test.each(SIZES)('a %s object that was looked at again is read at once, also when only its fields had changed', async (_, bytes) => {
  await using fixture = await sourcedFixture({ maxBytes: CACHE });
  const name = fixture.add('site/a', bytes);
  const object = { ...fixture.source.put('site/a', contentOf(bytes)), bytesRevision: 'r1' };
  await expect(readInOrder(fixture.blobs, name)).rejects.toMatchObject(CHANGED);
  fixture.known.set(name, { object, size: bytes.byteLength });
  expect((await readInOrder(fixture.blobs, name)).equals(bytes)).toBe(true);
});

test.each(SIZES)('while the source is away who reads a %s blob is told so, and gets it when the source is back', async (_, bytes) => {
  await using fixture = await sourcedFixture({ maxBytes: CACHE });
  const name = fixture.add('site/a', bytes);
  fixture.source.isAway = true;
  const reader = await fixture.blobs.reader(name);
  await expect(reader.read(0, 10)).rejects.toMatchObject({ code: 'SOURCE_AWAY', retryable: true });
  fixture.source.isAway = false;
  // The same reader: one may be kept open for all who ask.
  expect(await reader.read(0, 10)).toEqual(bytes.subarray(0, 10));
  await reader.close();
  // It goes away in the middle of a fill, or of a span.
  const other = fixture.add('site/b', Buffer.concat([bytes, bytes.subarray(0, 1)]));
  fixture.source.onChunk = (_key, at) => {
    if (at > 0) throw new SourceAwayError('scripted source', 'it ends here');
  };
  await expect(readInOrder(fixture.blobs, other)).rejects.toMatchObject({ code: 'SOURCE_AWAY' });
  fixture.source.onChunk = () => {};
  expect((await readInOrder(fixture.blobs, other)).subarray(0, -1).equals(bytes)).toBe(true);
  expect(fixture.gone).toEqual([]);
});

test.each(SIZES)(
  'a source that hangs in the middle of a %s blob is left after a while, and what it had begun is closed',
  async (_, bytes) => {
    await using fixture = await sourcedFixture({ maxBytes: CACHE });
    const name = fixture.add('site/a', bytes);
    fixture.source.chunkBytes = 500;
    const never = gate(500);
    fixture.source.onChunk = never.onChunk;
    const reading = readInOrder(fixture.blobs, name).catch((error: unknown) => error);
    await never.reached;
    fixture.clock.advance(IDLE_MS - 1);
    expect(fixture.source.openings.size).toBe(1);
    fixture.clock.advance(1);
    expect(await reading).toMatchObject({ code: 'SOURCE_AWAY', retryable: true });
    expect(fixture.source.openings.size).toBe(0);
    never.open();
  },
);

test.each(SIZES)('a source that opens a %s blob when nobody waits any more has it closed', async (_, bytes) => {
  await using fixture = await sourcedFixture({ maxBytes: CACHE });
  const name = fixture.add('site/a', bytes);
  const opening = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  fixture.source.onOpen = () => {
    asked.resolve();
    return opening.promise;
  };
  const reading = readInOrder(fixture.blobs, name).catch((error: unknown) => error);
  await asked.promise;
  // The source has been asked, and in this turn its patience begins.
  await new Promise((resolve) => setImmediate(resolve));
  fixture.clock.advance(IDLE_MS);
  expect(await reading).toMatchObject({ code: 'SOURCE_AWAY' });
  opening.resolve();
  await eventually(() => expect(fixture.source.openingsMax).toBe(1));
  await eventually(() => expect(fixture.source.openings.size).toBe(0));
});

test('stopping ends what is under way, waits or reads straight; what is in the cache can still be read, and nothing more at the source', async () => {
  await using fixture = await sourcedFixture({ maxBytes: CACHE });
  const kept = fixture.add('site/kept', SMALL);
  await readInOrder(fixture.blobs, kept);
  const hanging = gate(64 * 1024);
  fixture.source.onChunk = hanging.onChunk;
  const names = Array.from({ length: 30 }, (_, index) => fixture.add(`site/${index}`, randomBytes(INLINE_MAX_BYTES + 1 + index)));
  names.push(fixture.add('site/huge', HUGE));
  const readings = Promise.allSettled(names.map((name) => readInOrder(fixture.blobs, name)));
  await eventually(() => expect(fixture.source.openings.size).toBe(17));
  await fixture.blobs.stop();
  for (const outcome of await readings)
    expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'SOURCE_AWAY', retryable: true } });
  expect([fixture.source.openings.size, fixture.blobs.load.reservedBytes]).toEqual([0, 0]);
  await checkCache(fixture);
  expect(Buffer.from(await fixture.blobs.readAll(kept)).equals(SMALL)).toBe(true);
  const reads = fixture.source.reads.length;
  for (const name of [names[0], names.at(-1)])
    await expect(fixture.blobs.readAll(name as string)).rejects.toMatchObject({ code: 'SOURCE_AWAY' });
  expect(fixture.source.reads).toHaveLength(reads);
  hanging.open();
});

test('any part of any blob has its bytes, whether it is in the cache, on its way, or read straight', async () => {
  const maxBytes = 1_000_000;
  await using fixture = await sourcedFixture({ maxBytes });
  const bytes = randomBytes(maxBytes);
  let objects = 0;
  const size = fc.oneof(
    fc.integer({ min: 1, max: 300 }),
    fc.integer({ min: INLINE_MAX_BYTES - 2, max: INLINE_MAX_BYTES + 2 }),
    fc.integer({ min: maxBytes / 4 - 2, max: maxBytes / 4 + 2 }),
    fc.integer({ min: 1, max: 400_000 }),
  );
  const part = fc.record({
    start: fc.double({ min: 0, max: 1, noNaN: true }),
    length: fc.double({ min: 0, max: 1, noNaN: true }),
    inOrder: fc.boolean(),
  });
  const law = fc.asyncProperty(
    size,
    fc.integer({ min: 0, max: 1_000 }),
    fc.integer({ min: 700, max: 100_000 }),
    fc.array(part, { minLength: 1, maxLength: 6 }),
    async (total, from, chunkBytes, parts) => {
      objects += 1;
      fixture.source.chunkBytes = chunkBytes;
      const content = Buffer.concat([bytes.subarray(from, from + total - 1), Buffer.from([objects % 256])]);
      const name = fixture.add(`site/${objects}`, content);
      const reader = await fixture.blobs.reader(name);
      await Promise.all(
        parts.map(async ({ start, length, inOrder }) => {
          const offset = Math.min(total - 1, Math.floor(start * total));
          const end = Math.min(total, offset + 1 + Math.floor(length * (total - offset)));
          if (!inOrder)
            return expect(
              Buffer.from(await reader.read(offset, end - offset + 5)).equals(content.subarray(offset, Math.min(total, end + 5))),
            ).toBe(true);
          const own = await fixture.blobs.reader(name);
          const got = Buffer.alloc(end - offset);
          await own.prepare?.({ start: offset, end: end - 1 });
          const piece = Math.ceil(got.byteLength / 3);
          for (let at = 0; at < got.byteLength; at += piece) await own.readInto(got.subarray(at, at + piece), offset + at);
          await own.close();
          expect(got.equals(content.subarray(offset, end))).toBe(true);
        }),
      );
      await reader.close();
    },
  );
  await fc.assert(law, { numRuns: 150 });
  await eventually(() => expect(fixture.source.openings.size).toBe(0));
  await checkCache(fixture);
});

test('what comes into the cache in another way while a fill waits for its turn is not read again', async () => {
  await using fixture = await sourcedFixture();
  const held = gate(0);
  fixture.source.onChunk = (key, at) => (key === 'site/b' ? undefined : held.onChunk(key, at));
  const others = Array.from({ length: SHORT_FILLS_MAX }, (_, index) =>
    fixture.blobs.readAll(fixture.add(`site/${index}`, randomBytes(100 + index))),
  );
  const waiting = fixture.blobs.readAll(fixture.add('site/a', SMALL));
  const object = fixture.source.put('site/b', contentOf(SMALL));
  await fixture.blobs.ingest(object, await fixture.source.open(object));
  held.open();
  expect(Buffer.from(await waiting).equals(SMALL)).toBe(true);
  await Promise.all(others);
  expect(fixture.source.reads.filter(({ key }) => key === 'site/a')).toEqual([]);
});

describe('bytes that are at no source', () => {
  const variant = randomBytes(5_000);
  const name = checksumOf(contentOf(variant));
  async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.byteLength; at += 1_000) yield bytes.subarray(at, at + 1_000);
  }

  test('come from elsewhere, once, and are kept', async () => {
    let asked = 0;
    const elsewhere = async () => {
      asked += 1;
      return chunksOf(variant);
    };
    await using fixture = await sourcedFixture({ elsewhere });
    fixture.known.set(name, { size: variant.byteLength });
    const all = await Promise.all(Array.from({ length: 10 }, () => fixture.blobs.readAll(name)));
    for (const bytes of all) expect(Buffer.from(bytes).equals(variant)).toBe(true);
    expect([asked, fixture.blobs.has(name)]).toEqual([1, true]);
  });

  test.each<[string, (bytes: Uint8Array) => Promise<Uint8Array | undefined>, number]>([
    ['holds them is asked instead of the source', async (bytes) => bytes, 0],
    ['holds others is not believed', async (bytes) => Buffer.from(bytes).reverse(), 1],
    ['does not hold them sends to the source', async () => undefined, 1],
  ])('of an object at the source: another origin that %s', async (_, answer, reads) => {
    await using fixture: Awaited<ReturnType<typeof sourcedFixture>> = await sourcedFixture({ held: () => answer(variant) });
    const sha256 = fixture.add('site/a', variant);
    expect(Buffer.from(await fixture.blobs.readAll(sha256)).equals(variant)).toBe(true);
    expect([fixture.source.reads.length, fixture.gone]).toEqual([reads, []]);
  });

  test('that are larger than the cache takes are given by part', async () => {
    await using fixture = await sourcedFixture({ maxBytes: 8_000, elsewhere: async () => chunksOf(variant) });
    fixture.known.set(name, { size: variant.byteLength });
    expect((await readInOrder(fixture.blobs, name)).equals(variant)).toBe(true);
    const reader = await fixture.blobs.reader(name);
    expect(await reader.read(1_500, 2_100)).toEqual(variant.subarray(1_500, 3_600));
    expect(await reader.read(4_999, 100)).toEqual(variant.subarray(4_999));
    await reader.close();
    expect(fixture.store.totals.count).toBe(0);
  });

  test.each<[string, (() => Promise<AsyncIterable<Uint8Array> | undefined>) | undefined]>([
    ['there is no elsewhere', undefined],
    ['elsewhere has them not', async () => undefined],
    ['elsewhere is away', async () => Promise.reject(new Error('away'))],
    ['elsewhere has others', async () => chunksOf(randomBytes(5_000))],
  ])('are made again where %s', async (_, elsewhere) => {
    await using fixture: Awaited<ReturnType<typeof sourcedFixture>> = await sourcedFixture({
      ...(elsewhere && { elsewhere }),
      remake: async () => {
        const writer = fixture.blobs.writer();
        await writer.write(variant);
        await writer.finish();
        return true;
      },
    });
    fixture.known.set(name, { size: variant.byteLength });
    expect(Buffer.from(await fixture.blobs.readAll(name)).equals(variant)).toBe(true);
    expect(fixture.gone).toEqual([]);
  });

  test('are missing where they cannot be made either', async () => {
    await using fixture = await sourcedFixture({ elsewhere: async () => undefined, remake: async () => false });
    fixture.known.set(name, { size: variant.byteLength });
    await expect(fixture.blobs.readAll(name)).rejects.toMatchObject({ code: 'BLOB_MISSING', retryable: false });
  });
});
