/** What every adapter of the source port does, tried on the real thing behind it. */
import { createHash, randomBytes } from 'node:crypto';
import { eventually } from '@sluice/testkit';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { UploadFields } from '../domain/upload-headers.ts';
import {
  type ContentSource,
  type OpenSourceObject,
  RevisionGoneError,
  SourceAwayError,
  type SourceHint,
  type SourceObject,
  type SourceRange,
} from '../services/source-port.ts';

/** What is behind a source, and how it is changed. Keys are content keys of {@link SourceHarness.bucket}. Its functions are called without it: they use no `this`. */
export interface SourceHarness extends AsyncDisposable {
  readonly source: ContentSource;
  readonly bucket: string;
  /** Makes it so, whatever was there before. @throws when the thing itself cannot have such a name */
  put(key: string, bytes: Uint8Array, fields?: Partial<UploadFields>): Promise<void>;
  remove(key: string): Promise<void>;
  /** Returns when what was done before is told by the source. */
  settle(): Promise<void>;
  /** How many times the source has left something out. */
  leftOut(): number;
  /** Puts something there that can be no object; undefined: there can be no such thing. */
  readonly putUnnameable: (() => Promise<void>) | undefined;
  /** Changes fields and leaves the bytes; undefined: these never change alone. */
  readonly setFields: ((key: string, fields: Partial<UploadFields>) => Promise<void>) | undefined;
  /** Changes bytes where they are, not by putting others into their place; undefined: there is no such thing. */
  readonly overwrite: ((key: string, bytes: Uint8Array) => Promise<void>) | undefined;
  /** From everything under a prefix to the same under another, both ending with "/"; undefined: there is no such thing. */
  readonly rename: ((from: string, to: string) => Promise<void>) | undefined;
  /** Files or connections that reading objects has open now; undefined: it cannot be told. */
  readonly openReads: (() => Promise<number>) | undefined;
  /** Takes the whole thing away, for good; undefined: it cannot be. */
  readonly goAway?: () => Promise<void>;
  /** Whether changes come as hints; else by looking again alone. */
  readonly hints: boolean;
}

/** `skip`: where the thing behind a source has nothing that the law is about. */
type Law = (harness: SourceHarness, key: (path: string) => string, skip: (why: string) => never) => Promise<void>;

export interface ConformanceOptions {
  /** Runs of the property test. Default 20. */
  readonly propertyRuns?: number;
}

const bytesOf = (text: string): Uint8Array => Buffer.from(text);
const compare = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

async function listed(source: ContentSource, prefix = ''): Promise<SourceObject[]> {
  const all: SourceObject[] = [];
  for await (const page of source.list(prefix)) all.push(...page);
  return all;
}
const keysOf = async (source: ContentSource, prefix = ''): Promise<string[]> => (await listed(source, prefix)).map(({ key }) => key);

async function found(source: ContentSource, key: string): Promise<SourceObject> {
  const object = await source.find(key);
  if (object === undefined) throw new Error(`${key} is not found`);
  return object;
}

async function readAll({ chunks, close }: OpenSourceObject): Promise<Buffer> {
  try {
    const all: Uint8Array[] = [];
    for await (const chunk of chunks) all.push(chunk);
    return Buffer.concat(all);
  } finally {
    await close();
  }
}
const read = async (source: ContentSource, object: SourceObject, range?: SourceRange): Promise<Buffer> =>
  await readAll(await source.open(object, range));

/** Far more than is read ahead, so that a change comes in the middle of reading. */
const LARGE = 20 * 1024 * 1024;

export function describeSource(name: string, make: () => Promise<SourceHarness>, options: ConformanceOptions = {}): void {
  describe(`source: ${name}`, () => {
    const law = (title: string, check: Law): void =>
      test(title, { timeout: 120_000 }, async ({ skip }) => {
        await using harness = await make();
        await check(harness, (path) => `${harness.bucket}/${path}`, skip);
      });

    describe('lists and finds', () => {
      law('everything once, in the order of the UTF-8 bytes of keys', async ({ source, put, settle }, key) => {
        const paths = [
          'b',
          'a/z',
          'a/b/c',
          'a.txt',
          'a-b',
          'a-b.txt',
          'a0',
          'A',
          '\u{1f600}',
          '\uff5e',
          '\ue000',
          'é',
          'e\u0301',
          'a/b.c',
          'ab/a',
        ];
        for (const path of paths) await put(key(path), bytesOf(path));
        await settle();
        expect(await keysOf(source)).toEqual(paths.map(key).sort(compare));
      });

      law('by pages of at most 1,000, each in order after the one before', async ({ source, put, settle }, key) => {
        const keys = Array.from({ length: 2_003 }, (_, at) => key(at % 3 === 0 ? `many/${at}` : `many-${at}`)).sort(compare);
        for (let at = 0; at < keys.length; at += 50) await Promise.all(keys.slice(at, at + 50).map((one) => put(one, bytesOf('x'))));
        await settle();
        const pages: number[] = [];
        const all: string[] = [];
        for await (const page of source.list(key('many'))) {
          pages.push(page.length);
          all.push(...page.map((object) => object.key));
        }
        expect(all).toEqual(keys);
        expect(Math.max(...pages)).toBeLessThanOrEqual(1_000);
        expect(Math.min(...pages)).toBeGreaterThan(0);
      });

      law('by prefix, also one that ends inside a name', async ({ source, put, settle, bucket }, key) => {
        const keys = ['img/a.png', 'img/b/c.png', 'img/b.png', 'imgs/d.png', 'index.html'].map(key);
        for (const one of keys) await put(one, bytesOf(one));
        await settle();
        const prefixes = [
          '',
          bucket.slice(0, 1),
          bucket,
          key(''),
          ...['i', 'im', 'img', 'img/', 'img/b', 'img/b/', 'img/b/c', 'index.html'].map(key),
        ];
        for (const prefix of prefixes)
          expect([prefix, await keysOf(source, prefix)]).toEqual([prefix, keys.filter((one) => one.startsWith(prefix)).sort(compare)]);
        for (const prefix of [key('j'), key('index.html/'), key('img//'), 'zz-other', `${bucket}x`])
          expect([prefix, await keysOf(source, prefix)]).toEqual([prefix, []]);
      });

      law('one object as it is in the listing', async ({ source, put, settle }, key) => {
        await put(key('a/b.txt'), bytesOf('12345'));
        await put(key('c'), new Uint8Array(0));
        await settle();
        const all = await listed(source);
        expect(all.map(({ size }) => size)).toEqual([5, 0]);
        for (const object of all) expect(await source.find(object.key)).toEqual(object);
        for (const { revision, bytesRevision } of all) expect(Math.max(revision.length, bytesRevision.length)).toBeLessThanOrEqual(512);
      });

      law('nothing that is not there, or cannot be a key', async ({ source, put, settle, bucket }, key) => {
        await put(key('a/b'), bytesOf('b'));
        await settle();
        const absent = [
          'a',
          'a/',
          'a/b/',
          'a/b/c',
          'a//b',
          'a/./b',
          'a/../a/b',
          '../a/b',
          'A/B',
          'b',
          'x'.repeat(300),
          'a\u0000',
          'a\ud800',
          '',
        ];
        for (const path of absent) expect([path, await source.find(key(path))]).toEqual([path, undefined]);
        for (const whole of ['', '/', 'a/b', bucket, 'other-bucket/a/b', `/${bucket}/a/b`])
          expect([whole, await source.find(whole)]).toEqual([whole, undefined]);
        expect(await keysOf(source)).toEqual([key('a/b')]);
      });

      law('objects with odd names, and reads them', async ({ source, put, settle }, key) => {
        const paths = [
          'a b',
          ' lead',
          'trail ',
          'a+b',
          '100%',
          '%41',
          'a&b=c',
          'a#b',
          'a?b',
          'a"b',
          "a'b",
          'a\\b',
          'a*b',
          '{a}',
          '[a]',
          'a;b,c',
          '<a>',
          '日本語',
          'ä',
          'a\u0308',
          '\u{1f600}',
          'a\u00a0b',
          '\ufeffa',
          '...',
          `${'l'.repeat(200)}/${'m'.repeat(200)}`,
        ];
        for (const path of paths) await put(key(path), bytesOf(path));
        await settle();
        const all = await listed(source);
        expect(all.map((object) => object.key)).toEqual(paths.map(key).sort(compare));
        for (const object of all) expect(key((await read(source, object)).toString())).toBe(object.key);
      });

      law(
        'not what can be no content key: that is left out, and counted',
        async ({ source, put, settle, putUnnameable, leftOut }, key, skip) => {
          if (putUnnameable === undefined) return skip('there is nothing that can be no key');
          await put(key('a'), bytesOf('a'));
          await putUnnameable();
          await settle();
          expect(leftOut()).toBe(0);
          expect(await keysOf(source)).toEqual([key('a')]);
          expect(leftOut()).toBeGreaterThan(0);
        },
      );
    });

    describe('names states', () => {
      law('that stay while nothing changes', async ({ source, put, settle }, key) => {
        await put(key('a'), bytesOf('1'));
        await put(key('b'), bytesOf('1'));
        await settle();
        const before = await listed(source);
        await put(key('b'), bytesOf('2'));
        await settle();
        await read(source, before[0] as SourceObject);
        expect((await listed(source))[0]).toEqual(before[0]);
      });

      law('that change with the bytes, also to as many of them and at once', async ({ source, put, settle, remove, overwrite }, key) => {
        const revisions = new Set<string>();
        const changes = [
          (bytes: Uint8Array) => put(key('a'), bytes),
          ...(overwrite === undefined ? [] : [(bytes: Uint8Array) => overwrite(key('a'), bytes)]),
          async (bytes: Uint8Array) => {
            await remove(key('a'));
            await put(key('a'), bytes);
          },
        ];
        let count = 0;
        for (const change of [...changes, ...changes]) {
          count += 1;
          await change(bytesOf('early'));
          await change(bytesOf(`${count}`.padStart(5, '.')));
          await settle();
          const object = await found(source, key('a'));
          expect((await read(source, object)).toString()).toBe(`${count}`.padStart(5, '.'));
          revisions.add(object.revision);
          revisions.add(object.bytesRevision);
        }
        expect(revisions.size).toBeGreaterThanOrEqual(count);
        expect((await found(source, key('a'))).size).toBe(5);
      });

      law('of the bytes that stay when only fields change', async ({ source, put, settle, setFields }, key, skip) => {
        if (setFields === undefined) return skip('fields never change alone');
        await put(key('a.txt'), bytesOf('a'));
        await settle();
        const before = await found(source, key('a.txt'));
        await setFields(key('a.txt'), { cacheControl: 'max-age=7' });
        await settle();
        const after = await found(source, key('a.txt'));
        expect(after.revision).not.toBe(before.revision);
        expect(after.bytesRevision).toBe(before.bytesRevision);
        expect((await source.describe(after)).fields.cacheControl).toBe('max-age=7');
        await expect(source.describe(before)).rejects.toThrow(RevisionGoneError);
        await expect(source.open(before)).rejects.toThrow(RevisionGoneError);
      });
    });

    describe('reads', () => {
      law('fields, the same with the bytes as without', async ({ source, put, settle }, key) => {
        const fields = {
          ...{ contentType: 'text/x-thing', cacheControl: 'max-age=60', contentEncoding: 'gzip', contentLanguage: 'en' },
          ...{ contentDisposition: 'attachment', meta: { channel: 'stable' } },
        };
        await put(key('a.bin'), bytesOf('a'), fields);
        await put(key('page.html'), bytesOf('<p>'));
        await settle();
        const object = await found(source, key('a.bin'));
        const description = await source.describe(object);
        expect(description.fields).toMatchObject(fields);
        const { chunks, close, ...opened } = await source.open(object);
        await close();
        expect(opened).toEqual(description);
        expect(new Date(description.modifiedAt).toISOString()).toBe(description.modifiedAt);
        expect(Math.abs(Date.parse(description.modifiedAt) - Date.now())).toBeLessThan(120_000);
        expect((await source.describe(await found(source, key('page.html')))).fields).toMatchObject({
          contentType: expect.any(String),
          meta: {},
          regions: [],
          tags: [],
        });
      });

      law('nothing of an empty object, and all of a large one', async ({ source, put, settle }, key) => {
        const large = randomBytes(LARGE);
        await put(key('empty'), new Uint8Array(0));
        await put(key('large'), large);
        await settle();
        expect(await read(source, await found(source, key('empty')))).toHaveLength(0);
        const object = await found(source, key('large'));
        expect(object.size).toBe(LARGE);
        expect(sha256(await read(source, object))).toBe(sha256(large));
      });

      law('ranges', async ({ source, put, settle }, key) => {
        const bytes = randomBytes(1_000_003);
        await put(key('a'), bytes);
        await settle();
        const object = await found(source, key('a'));
        const ranges = [
          [0, 1],
          [0, bytes.length],
          [1, 2],
          [bytes.length - 1, 1],
          [262_143, 2],
          [262_144, 524_288],
          [999, 999_004],
        ] as const;
        for (const [offset, length] of ranges) {
          expect((await read(source, object, { offset, length })).equals(bytes.subarray(offset, offset + length))).toBe(true);
        }
      });

      law('many at a time, each its own', async ({ source, put, settle }, key) => {
        const paths = Array.from({ length: 32 }, (_, at) => `f${at}`);
        for (const path of paths) await put(key(path), bytesOf(path.repeat(1_000)));
        await settle();
        const all = await Promise.all(paths.map(async (path) => (await read(source, await found(source, key(path)))).toString()));
        expect(all).toEqual(paths.map((path) => path.repeat(1_000)));
      });

      const changes = [
        ['replaced', ({ put }: SourceHarness, key: string) => put(key, Buffer.alloc(LARGE, 'b'))],
        ['replaced by a shorter one', ({ put }: SourceHarness, key: string) => put(key, bytesOf('b'))],
        ['removed', ({ remove }: SourceHarness, key: string) => remove(key)],
        ['overwritten', async ({ overwrite }: SourceHarness, key: string) => await overwrite?.(key, Buffer.alloc(LARGE, 'b'))],
        ['overwritten and cut', async ({ overwrite }: SourceHarness, key: string) => await overwrite?.(key, bytesOf('b'))],
      ] as const;
      for (const [change, apply] of changes) {
        law(`no state that was ${change}`, async (harness, key, skip) => {
          if (change.startsWith('overwritten') && harness.overwrite === undefined) return skip('nothing is changed where it is');
          await harness.put(key('a'), Buffer.alloc(LARGE, 'a'));
          await harness.settle();
          const object = await found(harness.source, key('a'));
          await apply(harness, key('a'));
          await expect(harness.source.describe(object)).rejects.toThrow(RevisionGoneError);
          await expect((async () => await read(harness.source, object))()).rejects.toThrow(RevisionGoneError);
          await expect((async () => await read(harness.source, object, { offset: 5, length: 5 }))()).rejects.toThrow(RevisionGoneError);
        });

        law(`never two states mixed, when one is ${change} while it is read`, async (harness, key, skip) => {
          if (change.startsWith('overwritten') && harness.overwrite === undefined) return skip('nothing is changed where it is');
          await harness.put(key('a'), Buffer.alloc(LARGE, 'a'));
          await harness.settle();
          const opened = await harness.source.open(await found(harness.source, key('a')));
          const taken: Uint8Array[] = [];
          let failure: unknown;
          try {
            for await (const chunk of opened.chunks) {
              if (taken.length === 0) await apply(harness, key('a'));
              taken.push(chunk);
            }
          } catch (error) {
            failure = error;
          }
          await opened.close();
          // A store that keeps a state for who has begun to read it gives all of it; that is no mixture either.
          if (failure === undefined) expect(Buffer.concat(taken).equals(Buffer.alloc(LARGE, 'a'))).toBe(true);
          else expect(failure).toBeInstanceOf(RevisionGoneError);
        });
      }

      law('to an end when it is closed, before, while and after it is read', async ({ source, put, settle, openReads }, key) => {
        await put(key('a'), Buffer.alloc(LARGE, 'a'));
        await settle();
        const object = await found(source, key('a'));
        const before = await source.open(object);
        await before.close();
        await expect((async () => await readAll(before))()).rejects.toThrow();

        const during = await source.open(object);
        let taken = 0;
        const reading = (async () => {
          for await (const chunk of during.chunks) {
            taken += chunk.byteLength;
            await during.close();
          }
        })();
        await expect(reading).rejects.toThrow();
        expect(taken).toBeLessThan(LARGE);

        const stopped = await source.open(object);
        for await (const _ of stopped.chunks) break;
        const after = await source.open(object);
        expect(await readAll(after)).toHaveLength(LARGE);
        for (const one of [before, during, stopped, after]) await one.close();
        if (openReads !== undefined) await eventually(async () => expect(await openReads()).toBe(0));
      });

      law('nothing that is left open, whether it works or fails', async ({ source, put, settle, remove, openReads }, key, skip) => {
        if (openReads === undefined) return skip('it cannot be told what is open');
        await put(key('a'), bytesOf('a'));
        await settle();
        const object = await found(source, key('a'));
        for (let round = 0; round < 20; round++) await read(source, object);
        const held = await source.open(object);
        expect(await openReads()).toBeGreaterThan(0);
        await remove(key('a'));
        for (let round = 0; round < 20; round++) await source.open(object).catch(() => undefined);
        await held.close();
        await eventually(async () => expect(await openReads()).toBe(0));
      });
    });

    law('does not take what cannot be reached for what is not there', async ({ source, put, settle, goAway }, key, skip) => {
      if (goAway === undefined) return skip('it cannot be taken away');
      await put(key('a'), bytesOf('a'));
      await settle();
      const object = await found(source, key('a'));
      await goAway();
      const attempts = [
        () => listed(source),
        () => listed(source, key('b')),
        () => source.find(key('a')),
        () => source.find(key('b')),
        () => source.describe(object),
        () => source.open(object),
        () => source.watch(() => {}),
      ];
      for (const attempt of attempts) await expect(attempt()).rejects.toThrow(SourceAwayError);
    });

    describe('hints at', () => {
      interface Watching {
        readonly harness: SourceHarness;
        readonly key: (path: string) => string;
        readonly skip: (why: string) => never;
        /** Waits until a hint has covered each of these keys, and forgets the hints. */
        covers(...paths: string[]): Promise<void>;
      }
      const watched = (title: string, check: (watching: Watching) => Promise<void>): void =>
        law(title, async (harness, key, skip) => {
          if (!harness.hints) return skip('it gives no hints');
          await harness.put(key('dir/old'), bytesOf('old'));
          await harness.put(key('top'), bytesOf('top'));
          await harness.settle();
          let hints: SourceHint[] = [];
          const stop = await harness.source.watch((hint) => hints.push(hint));
          try {
            await check({
              harness,
              key,
              skip,
              async covers(...paths) {
                for (const path of paths)
                  await eventually(() =>
                    expect(
                      hints.some((hint) => isCovered(hint, key(path))),
                      path,
                    ).toBe(true),
                  );
                hints = [];
              },
            });
          } finally {
            await stop();
          }
        });

      watched('what is added, changed and removed', async ({ harness: { put, remove, source }, key, covers }) => {
        await put(key('new'), bytesOf('new'));
        await put(key('dir/new'), bytesOf('new'));
        await covers('new', 'dir/new');
        expect((await source.find(key('new')))?.settling).toBeUndefined();
        await put(key('top'), bytesOf('other'));
        await covers('top');
        await remove(key('top'));
        await remove(key('dir/old'));
        await covers('top', 'dir/old');
      });

      watched('what is in places that were not there before', async ({ harness: { put, remove }, key, covers }) => {
        await put(key('x/y/z/a'), bytesOf('a'));
        await covers('x/y/z/a');
        await put(key('x/y/z/b'), bytesOf('b'));
        await put(key('x/y/c'), bytesOf('c'));
        await covers('x/y/z/b', 'x/y/c');
        for (const path of ['x/y/z/a', 'x/y/z/b', 'x/y/c']) await remove(key(path));
        await covers('x/y/z/a', 'x/y/z/b', 'x/y/c');
        await put(key('x/y/z/a'), bytesOf('again'));
        await covers('x/y/z/a');
      });

      watched('what moves, where it was and where it is', async ({ harness: { put, rename }, key, covers, skip }) => {
        if (rename === undefined) return skip('nothing moves');
        await put(key('dir/sub/deep'), bytesOf('deep'));
        await covers('dir/sub/deep');
        await rename(key('dir/'), key('moved/'));
        await covers('dir/old', 'dir/sub/deep', 'moved/old', 'moved/sub/deep');
        await put(key('moved/sub/new'), bytesOf('new'));
        await covers('moved/sub/new');
      });

      law('nothing once it is ended, which is harmless twice', async ({ source, put, settle, hints }, key) => {
        const seen: SourceHint[] = [];
        const stop = await source.watch((hint) => seen.push(hint));
        await stop();
        await stop();
        if (!hints) return;
        const before = seen.length;
        await put(key('new'), bytesOf('new'));
        await settle();
        expect(seen).toHaveLength(before);
      });
    });

    test('whatever is put and removed, it tells what a model has', { timeout: 300_000 }, async () => {
      const directory = fc.constantFrom('a', 'a-b', 'a.b', 'é', '\uff5e', '\u{1f600}', ' ', 'z'.repeat(60));
      // No name is a file here and a directory there: a file system cannot have both, and an adapter of it need not.
      const file = fc.constantFrom('a', 'a-b', 'a.b', '\uff5e', '\u{1f600}', '+', '%2F').map((base) => `${base}.f`);
      const path = fc.tuple(fc.array(directory, { maxLength: 3 }), file).map(([directories, last]) => [...directories, last].join('/'));
      const step = fc.oneof(
        { weight: 3, arbitrary: fc.record({ path, bytes: fc.uint8Array({ maxLength: 8 }) }) },
        { weight: 1, arbitrary: fc.record({ path, bytes: fc.constant(undefined) }) },
      );
      const batches = fc.array(fc.array(step, { minLength: 1, maxLength: 25 }), { minLength: 1, maxLength: 2 });
      await fc.assert(
        fc.asyncProperty(batches, fc.nat(), async (rounds, seed) => {
          await using harness = await make();
          const model = new Map<string, string>();
          let before = new Map<string, SourceObject>();
          for (const steps of rounds) {
            const touched = new Set<string>();
            for (const { path: one, bytes } of steps) {
              const key = `${harness.bucket}/${one}`;
              touched.add(key);
              if (bytes !== undefined) {
                await harness.put(key, bytes);
                model.set(key, Buffer.from(bytes).toString('hex'));
              } else if (model.delete(key)) await harness.remove(key);
            }
            await harness.settle();
            const all = await listed(harness.source);
            expect(all.map(({ key }) => key)).toEqual([...model.keys()].sort(compare));
            for (const object of all) {
              expect((await read(harness.source, object)).toString('hex')).toBe(model.get(object.key));
              expect(await harness.source.find(object.key)).toEqual(object);
              if (!touched.has(object.key)) expect(object).toEqual(before.get(object.key));
            }
            const some = all.at(seed % Math.max(1, all.length))?.key ?? '';
            const prefix = Array.from(some)
              .slice(0, seed % (some.length + 1))
              .join('');
            expect(await keysOf(harness.source, prefix)).toEqual(all.map(({ key }) => key).filter((key) => key.startsWith(prefix)));
            before = new Map(all.map((object) => [object.key, object]));
          }
        }),
        { numRuns: options.propertyRuns ?? 20 },
      );
    });
  });
}

function isCovered(hint: SourceHint, key: string): boolean {
  return 'all' in hint || ('prefix' in hint ? key.startsWith(hint.prefix) : hint.key === key);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
