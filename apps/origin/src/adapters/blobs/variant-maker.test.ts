import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { gunzipSync } from 'node:zlib';
import { BlobStore } from '@sluice/blobs';
import { Registry } from '@sluice/runtime';
import { eventually, FakeClock, temporaryDirectory } from '@sluice/testkit';
import { describe, expect, test, vi } from 'vitest';
import type { UploadFields } from '../../domain/upload-headers.ts';
import { silent } from '../../testing/origin.fixture.ts';
import { Catalog } from '../catalog/catalog.ts';
import { ATTEMPTS_MAX } from '../catalog/variant-table.ts';
import { createOriginMetrics } from '../metrics.ts';
import { CodingThreads } from './coding-threads.ts';
import { GarbageCollector } from './garbage-collector.ts';
import { REMAKES_WAITING_MAX, VariantMaker, WAITING_MAX } from './variant-maker.ts';

const TEXT: UploadFields = { contentType: 'text/plain', meta: {}, regions: [], tags: [] };
const text = (name: string): Buffer => Buffer.from(`${name} is a line of text that compresses well\n`.repeat(100));

/** A store, a catalog and a maker on real files; `encode` is the threads' own, watched or replaced. */
async function stage(options: { encode?: CodingThreads['encode']; concurrency?: number } = {}) {
  const dir = await temporaryDirectory();
  const clock = new FakeClock();
  const blobs = await BlobStore.open({ dir: join(dir.path, 'blobs'), durability: 'relaxed' });
  const metrics = createOriginMetrics(new Registry());
  const coded: number[] = [];
  const open = () => {
    const catalog: Catalog = new Catalog({
      path: join(dir.path, 'catalog.db'),
      clock,
      multipartMaxOpen: 10,
      outboxMaxEntries: 10_000,
      onVariantsWanted: () => maker.wake(),
      onGarbage: (checksums) => garbage.offer(checksums),
    });
    const garbage = new GarbageCollector({
      blobs,
      isReferenced: (sha256) => catalog.references.isReferenced(sha256),
      metrics,
      log: silent,
    });
    const threads = new CodingThreads();
    const encode: CodingThreads['encode'] = (job) => {
      coded.push(job.bytes.byteLength);
      return options.encode === undefined ? threads.encode(job) : options.encode(job);
    };
    const watched = { encode, rest: () => threads.rest(), close: () => threads.close() };
    const { concurrency = 1 } = options;
    const maker = new VariantMaker({ catalog, blobs, garbage, threads: watched, concurrency, clock, metrics, log: silent });
    return { catalog, garbage, maker };
  };
  let parts = open();
  const close = async (): Promise<void> => {
    await parts.maker.stop();
    await parts.garbage.stop();
    parts.catalog.close();
  };
  return {
    clock,
    blobs,
    path: join(dir.path, 'catalog.db'),
    /** The sizes of the contents that threads were asked to code. */
    coded,
    get catalog() {
      return parts.catalog;
    },
    get maker() {
      return parts.maker;
    },
    get garbage() {
      return parts.garbage;
    },
    manifest: (key: string) => parts.catalog.find(key)?.manifest,
    events: () => parts.catalog.outbox.oldest(10_000).map(({ payload }) => JSON.parse(Buffer.from(payload).toString())),
    async put(key: string, bytes: Uint8Array, fields: Partial<UploadFields> = {}) {
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      const unpin = parts.garbage.pin(sha256);
      const { size } = await blobs.put(bytes);
      const announced = await parts.catalog.put(key, { ...TEXT, ...fields }, { sha256, size, etag: '0'.repeat(32) });
      unpin();
      return announced;
    },
    /** Nothing waits, not even for a pause to end. */
    async settled() {
      await eventually(() => expect(parts.catalog.variants.waitingCount).toBe(0), 20_000);
      await parts.maker.idle();
    },
    async restart(between: (path: string) => void = () => {}) {
      await close();
      between(join(dir.path, 'catalog.db'));
      parts = open();
      parts.maker.wake();
    },
    outcome: async (name: string) => (await metrics.variants.get()).values.find(({ labels }) => labels.outcome === name)?.value,
    async [Symbol.asyncDispose]() {
      await close();
      blobs.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

test('text gets its variants, smallest first, as a newer version of the same upload', async () => {
  await using origin = await stage();
  await origin.put('site/a.txt', text('before'));
  await origin.settled();
  const upload = await origin.put('site/a.txt', text('a'));
  const uploaded = origin.manifest('site/a.txt');
  expect(uploaded).toMatchObject({ version: upload.version });
  expect(uploaded).not.toHaveProperty('variants');
  origin.clock.advance(5_000);
  await origin.settled();
  const { manifest, previous } = origin.catalog.find('site/a.txt') ?? {};
  expect(manifest).toMatchObject({ ...uploaded, version: expect.any(Number), contentVersion: upload.version });
  expect(manifest?.version).toBeGreaterThan(upload.version);
  // A patch is made against the content before, and that is still what it was.
  expect(previous?.sha256).toBe(createHash('sha256').update(text('before')).digest('hex'));
  expect(manifest?.variants?.map(({ coding }) => coding).sort()).toEqual(['br', 'gzip', 'zstd']);
  const sizes = manifest?.variants?.map(({ size }) => size) ?? [];
  expect(sizes).toEqual([...sizes].sort((a, b) => a - b));
  const gzip = manifest?.variants?.find(({ coding }) => coding === 'gzip');
  expect(gunzipSync(await origin.blobs.readAll(gzip?.sha256 ?? '')).equals(text('a'))).toBe(true);
  expect(origin.events().at(-1)).toMatchObject({ key: 'site/a.txt', version: manifest?.version, manifest });
  expect(await origin.outcome('made')).toBe(6);
});

test('an upload is answered and announced before its content is coded', async () => {
  const order: string[] = [];
  await using origin = await stage({
    encode: async () => {
      order.push(`coded when ${origin.events().length} event was in the outbox`);
      return [];
    },
  });
  await origin.put('site/a.txt', text('a')).then(() => order.push('answered'));
  await origin.settled();
  expect(order).toEqual(['answered', 'coded when 1 event was in the outbox']);
});

test('what does not get smaller is tried once, and no version says so', async () => {
  await using origin = await stage();
  const noise = Buffer.from(randomBytes(4_000).toString('latin1'), 'latin1');
  const { version } = await origin.put('site/noise.txt', noise);
  await origin.settled();
  expect(origin.manifest('site/noise.txt')).toMatchObject({ version });
  expect(origin.manifest('site/noise.txt')).not.toHaveProperty('variants');
  expect(await origin.outcome('not_worthwhile')).toBe(3);
  await origin.put('site/noise.txt', noise);
  await origin.put('site/other.txt', noise);
  await origin.settled();
  expect(origin.coded).toEqual([4_000]);
});

test.each<[string, Partial<UploadFields>]>([
  ['a coding of its own', { contentEncoding: 'gzip' }],
  ['a type that does not compress', { contentType: 'image/png' }],
  ['no-transform', { cacheControl: 'no-transform' }],
])('content with %s is left alone', async (_, fields) => {
  await using origin = await stage();
  await origin.put('site/a', text('a'), fields);
  await origin.settled();
  expect(origin.coded).toEqual([]);
  expect(origin.events()).toHaveLength(1);
});

test('the same content is coded once: every key that has it is told, and a later upload of it says so from the beginning', async () => {
  await using origin = await stage({ concurrency: 4 });
  await Promise.all(['a', 'b', 'c'].map((name) => origin.put(`site/${name}.txt`, text('same'))));
  await origin.settled();
  const variants = origin.manifest('site/a.txt')?.variants;
  expect(variants).toHaveLength(3);
  for (const name of ['b', 'c']) expect(origin.manifest(`site/${name}.txt`)?.variants).toEqual(variants);
  expect(origin.events()).toHaveLength(6);
  const { version } = await origin.put('site/d.txt', text('same'));
  await origin.put('site/e.bin', text('same'), { contentType: 'application/octet-stream' });
  await origin.settled();
  expect(origin.manifest('site/d.txt')).toMatchObject({ version, variants });
  expect(origin.manifest('site/d.txt')).not.toHaveProperty('contentVersion');
  expect(origin.manifest('site/e.bin')).not.toHaveProperty('variants');
  expect(origin.events()).toHaveLength(8);
  expect(origin.coded).toHaveLength(1);
});

test('content that was overtaken while it waited is not coded, and what was overtaken while it was coded is not announced', async () => {
  const gate = Promise.withResolvers<void>();
  await using origin = await stage({
    encode: async ({ bytes }) => {
      await gate.promise;
      return [{ coding: 'gzip', bytes: Buffer.from(`variant of ${bytes.byteLength}`) }];
    },
  });
  await origin.put('site/a.txt', text('first'));
  await eventually(() => expect(origin.coded).toHaveLength(1));
  await origin.put('site/a.txt', text('second one'));
  await origin.put('site/a.txt', text('the third of them'));
  gate.resolve();
  await origin.settled();
  expect(origin.coded).toEqual([text('first').byteLength, text('the third of them').byteLength]);
  expect(origin.events().filter(({ manifest }) => manifest.variants !== undefined)).toHaveLength(1);
  await origin.garbage.idle();
  // The last two contents and the one variant that is named.
  expect(origin.blobs.totals.count).toBe(3);
});

test('variants go when no object has the content any more, now or before', async () => {
  await using origin = await stage();
  await origin.put('site/a.txt', text('first'));
  await origin.settled();
  const held = async (): Promise<number> => {
    await origin.garbage.idle();
    return origin.blobs.totals.count;
  };
  expect(await held()).toBe(4);
  await origin.put('site/a.txt', text('second'));
  await origin.settled();
  expect(await held()).toBe(8);
  await origin.put('site/a.txt', text('third'));
  await origin.settled();
  expect(await held()).toBe(8);
  await origin.catalog.remove('site/a.txt');
  expect(await held()).toBe(0);
  // And then it is content like any other again.
  await origin.put('site/a.txt', text('third'));
  await origin.settled();
  expect(origin.manifest('site/a.txt')?.variants).toHaveLength(3);
});

test('ten times as many uploads as may wait in memory are all served, and no more than that were taken out of the catalog', async () => {
  const gate = Promise.withResolvers<void>();
  await using origin = await stage({
    concurrency: 2,
    encode: async ({ bytes }) => {
      await gate.promise;
      return [{ coding: 'gzip', bytes: Buffer.from(bytes.subarray(0, 30)) }];
    },
  });
  const waiting = origin.catalog.variants.waiting.bind(origin.catalog.variants);
  let taken = 0;
  origin.catalog.variants.waiting = (seq, limit) => {
    const keys = waiting(seq, limit);
    taken += keys.length;
    return keys;
  };
  const count = 10 * WAITING_MAX;
  await Promise.all(Array.from({ length: count }, (_, index) => origin.put(`site/${index}.txt`, text(`${index}`))));
  await eventually(() => expect(origin.coded).toHaveLength(2));
  // Of the first that were taken two are under way, and what came in a later transaction has taken their places.
  expect([WAITING_MAX, WAITING_MAX + 2]).toContain(taken);
  gate.resolve();
  await origin.settled();
  expect(origin.coded).toHaveLength(count);
  expect(taken).toBe(count);
  for (let index = 0; index < count; index += 1) expect(origin.manifest(`site/${index}.txt`)?.variants).toHaveLength(1);
});

test('a failure costs nothing but time: it is tried again after a pause, a few times, and again after the next start', async () => {
  let broken = true;
  await using origin = await stage({
    encode: async () => {
      if (broken) throw new Error('the coding thread ended');
      return [{ coding: 'gzip', bytes: Buffer.from('smaller') }];
    },
  });
  const { version } = await origin.put('site/a.txt', text('a'));
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt += 1) {
    await eventually(() => expect(origin.coded).toHaveLength(attempt));
    await origin.maker.idle();
    expect(origin.manifest('site/a.txt')?.version).toBe(version);
    origin.clock.advance(10_000);
  }
  await origin.maker.idle();
  expect(origin.coded).toHaveLength(ATTEMPTS_MAX);
  expect(await origin.outcome('failed')).toBe(ATTEMPTS_MAX);
  // Others are not held up by it.
  broken = false;
  await origin.put('site/b.txt', text('b'));
  await eventually(() => expect(origin.manifest('site/b.txt')?.variants).toHaveLength(1));
  await origin.restart();
  await origin.settled();
  expect(origin.manifest('site/a.txt')?.variants).toHaveLength(1);
});

test('what was waiting or being coded when the origin ended is made after the next start', async () => {
  let held = true;
  await using origin = await stage({
    encode: ({ bytes }) =>
      held ? new Promise((_, reject) => setTimeout(reject, 50)) : Promise.resolve([{ coding: 'br', bytes: bytes.subarray(0, 20) }]),
  });
  await Promise.all(['a', 'b'].map((name) => origin.put(`site/${name}.txt`, text(name))));
  await eventually(() => expect(origin.coded).toHaveLength(1));
  await origin.restart(() => {
    held = false;
  });
  await origin.settled();
  for (const name of ['a', 'b']) expect(origin.manifest(`site/${name}.txt`)?.variants).toHaveLength(1);
});

test('content over which the origin dies again and again is left alone, whatever keys have it, and others are not', async () => {
  await using origin = await stage({ encode: ({ bytes }) => Promise.resolve([{ coding: 'br', bytes: bytes.subarray(0, 20) }]) });
  const deadly = text('deadly');
  const begin = (catalog: Catalog) => catalog.coding.begin(createHash('sha256').update(deadly).digest('hex'));
  // As a process that is killed while it codes leaves it.
  for (let death = 1; death <= ATTEMPTS_MAX; death += 1) {
    expect(await begin(origin.catalog)).toBe(true);
    await origin.restart();
  }
  for (const key of ['site/a.txt', 'site/b.txt']) await origin.put(key, deadly);
  await origin.put('site/c.txt', text('harmless'));
  await origin.settled();
  expect(origin.coded).toEqual([text('harmless').byteLength]);
  expect(origin.manifest('site/a.txt')).not.toHaveProperty('variants');
  expect(origin.manifest('site/c.txt')?.variants).toHaveLength(1);
  // Nobody has it any more: then it is content like any other again.
  for (const key of ['site/a.txt', 'site/b.txt']) await origin.catalog.remove(key);
  expect(await begin(origin.catalog)).toBe(true);
});

test('that a content is being coded is on the disk before it is, and no more when it has been or has failed', async () => {
  const begun: unknown[] = [];
  let path = '';
  const timesBegun = (): unknown => {
    const db = new DatabaseSync(path, { readOnly: true });
    try {
      return db.prepare('SELECT times FROM coding_begun').get()?.times;
    } finally {
      db.close();
    }
  };
  await using origin = await stage({
    encode: async () => {
      begun.push(timesBegun());
      if (begun.length === 1) throw new Error('the coding thread ended');
      return [];
    },
  });
  path = origin.path;
  await origin.put('site/a.txt', text('a'));
  await origin.maker.idle();
  begun.push(timesBegun());
  origin.clock.advance(10_000);
  await origin.settled();
  expect([...begun, timesBegun()]).toEqual([1, undefined, 1, undefined]);
});

test('the objects of a catalog from before there were variants get theirs', async () => {
  await using origin = await stage({ concurrency: 0 });
  await origin.put('site/a.txt', text('a'));
  await origin.put('site/b.png', text('b'), { contentType: 'image/png' });
  await origin.maker.idle();
  expect(origin.coded).toEqual([]);
  await origin.restart((path) => {
    const db = new DatabaseSync(path);
    db.exec('DROP TABLE variants; DROP TABLE variant_work');
    db.close();
  });
  expect(origin.catalog.variants.waiting(0, 10).map(({ key }) => key)).toEqual(['site/a.txt']);
});

test('content that is overwritten while its coding is noted is no failure', async () => {
  await using origin = await stage();
  const { catalog } = origin;
  const begin = catalog.coding.begin.bind(catalog.coding);
  vi.spyOn(catalog.coding, 'begin').mockImplementationOnce(async (sha256) => {
    for (const name of ['previous', 'current']) await origin.put('site/a.txt', text(name));
    await origin.garbage.idle();
    return begin(sha256);
  });
  await origin.put('site/a.txt', text('overwritten'));
  await origin.settled();
  await eventually(() => expect(origin.manifest('site/a.txt')?.variants).toBeDefined());
  expect(await origin.outcome('failed')).toBe(0);
});

describe('a variant whose bytes are gone', () => {
  /** Content with its variants made, and one of them gone. */
  async function gone(options: Parameters<typeof stage>[0] = {}) {
    const origin = await stage(options);
    await origin.put('site/a.txt', text('a'));
    await origin.settled();
    const [variant] = origin.manifest('site/a.txt')?.variants ?? [];
    const name = variant?.sha256 as string;
    const bytes = Buffer.from(await origin.blobs.readAll(name));
    origin.blobs.delete(name);
    origin.coded.length = 0;
    return { origin, name, bytes };
  }

  test('is made again from its content, once however many ask', async () => {
    const { origin, name, bytes } = await gone();
    await using _ = origin;
    expect(await Promise.all(Array.from({ length: 10 }, () => origin.maker.remake(name)))).toEqual(Array(10).fill(true));
    expect(Buffer.from(await origin.blobs.readAll(name)).equals(bytes)).toBe(true);
    expect(origin.coded).toHaveLength(1);
    await origin.garbage.idle();
    expect(origin.blobs.has(name)).toBe(true);
  });

  test('that does not come out as it was is missing, and not tried again', async () => {
    let salt = '';
    const { origin, name } = await gone({
      encode: async ({ efforts }) => efforts.map(({ coding }) => ({ coding, bytes: Buffer.from(`${coding}${salt}`) })),
    });
    await using _ = origin;
    salt = 'another version of the coder';
    expect(await origin.maker.remake(name)).toBe(false);
    expect(await origin.maker.remake(name)).toBe(false);
    expect([origin.coded.length, origin.blobs.has(name)]).toEqual([1, false]);
  });

  test('is not made when its content is gone, or when these bytes are no variant', async () => {
    const { origin, name } = await gone();
    await using _ = origin;
    const { sha256 } = origin.manifest('site/a.txt') ?? {};
    expect(await origin.maker.remake(sha256 as string)).toBe(false);
    origin.blobs.delete(sha256 as string);
    expect(await origin.maker.remake(name)).toBe(false);
    expect(origin.coded).toEqual([]);
  });

  test('waits among so many at most', async () => {
    const release = Promise.withResolvers<void>();
    let isHeld = false;
    const { origin } = await gone({
      encode: async ({ bytes, efforts }) => {
        if (isHeld) await release.promise;
        return efforts.map(({ coding }) => ({
          coding,
          bytes: Buffer.from(`${coding} ${createHash('sha256').update(bytes).digest('hex')}`),
        }));
      },
    });
    await using _ = origin;
    const names: string[] = [];
    for (let index = 0; index < REMAKES_WAITING_MAX + 10; index += 1) {
      await origin.put(`site/${index}.txt`, text(`${index}`));
      await origin.settled();
      names.push(origin.manifest(`site/${index}.txt`)?.variants?.[0]?.sha256 as string);
    }
    for (const name of names) origin.blobs.delete(name);
    isHeld = true;
    const made = Promise.allSettled(names.map((name) => origin.maker.remake(name)));
    release.resolve();
    const outcomes = await made;
    // One is under way, the others wait.
    expect(outcomes.filter((outcome) => outcome.status === 'fulfilled' && outcome.value)).toHaveLength(REMAKES_WAITING_MAX + 1);
    for (const outcome of outcomes.slice(REMAKES_WAITING_MAX + 1))
      expect(outcome).toMatchObject({ reason: { code: 'BUSY', retryable: true } });
  });
});
