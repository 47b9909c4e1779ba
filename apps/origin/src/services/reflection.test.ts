import { createHash } from 'node:crypto';
import { Registry } from '@sluice/runtime';
import { eventually } from '@sluice/testkit';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createOriginMetrics } from '../adapters/metrics.ts';
import { catalogFixture } from '../testing/catalog.fixture.ts';
import { silent } from '../testing/origin.fixture.ts';
import { contentOf, ScriptedSource } from '../testing/scripted-source.fixture.ts';
import { HINTS_MAX, Reflection, type ReflectionOptions } from './reflection.ts';
import { SourceAwayError, UnusableObjectError } from './source-port.ts';

const RESCAN_MS = 60_000;
const CONCURRENCY = 16;
const text = (content: string) => contentOf(Buffer.from(content));
const hashOf = (name: string, bytes: Uint8Array): string => createHash(name).update(bytes).digest('hex');

async function scene(options: Partial<ReflectionOptions> = {}) {
  const { catalog, clock, ...fixture } = await catalogFixture();
  const source = new ScriptedSource();
  await catalog.upstream.setSource(source.title);
  const reflection = new Reflection({
    ...{ source, catalog, clock, rescanMs: RESCAN_MS, log: silent, metrics: createOriginMetrics(new Registry()) },
    rng: () => 0.5, // neither early nor late
    async ingest(_, { chunks }) {
      const bytes = Buffer.concat(await Array.fromAsync(chunks));
      return { sha256: hashOf('sha256', bytes), size: bytes.byteLength, md5: hashOf('md5', bytes) };
    },
    sayListed: () => catalog.upstream.setListed(),
    isLister: async () => true,
    uploadDefaults: () => ({}),
    ...options,
  });
  const has = (key: string, content: string): void =>
    expect(catalog.find(key)?.manifest.sha256).toBe(hashOf('sha256', Buffer.from(content)));
  /** Another comparison with everything, and its end. */
  const listed = async (begin: () => void): Promise<void> => {
    // The clock moves with each: a listing that ends is told from the one before.
    clock.advance(1);
    const before = reflection.listedAtMs ?? Number.NEGATIVE_INFINITY;
    begin();
    await eventually(() => expect(reflection.listedAtMs).toBeGreaterThan(before));
  };
  return {
    ...{ catalog, clock, source, reflection, has, listed },
    /** As if the time of the next listing had come. */
    rescanned: () => listed(() => clock.advance(RESCAN_MS)),
    /** Objects take as long to be found as a test wants. */
    holdFinds(): () => void {
      const { promise, resolve } = Promise.withResolvers<void>();
      source.onFind = () => promise;
      return resolve;
    },
    async [Symbol.asyncDispose]() {
      await reflection.stop();
      await fixture[Symbol.asyncDispose]();
    },
  };
}
type Scene = Awaited<ReturnType<typeof scene>>;

const started = (at: Scene): Promise<void> => at.listed(() => at.reflection.start());

describe('hints', () => {
  test('of a key that waits are one look; one that comes while it is looked at is another', async () => {
    await using at = await scene();
    const release = at.holdFinds();
    for (let number = 0; number < CONCURRENCY; number += 1) at.reflection.hint({ key: `site/busy-${number}` });
    for (let count = 0; count < 10; count += 1) at.reflection.hint({ key: 'site/a' });
    await eventually(() => expect([at.source.finds.length, at.reflection.hinted]).toEqual([CONCURRENCY, 1]));
    const hold = Promise.withResolvers<void>();
    at.source.onFind = () => hold.promise;
    release();
    const looks = () => at.source.finds.filter((key) => key === 'site/a').length;
    await eventually(() => expect(looks()).toBe(1));
    for (let count = 0; count < 10; count += 1) at.reflection.hint({ key: 'site/a' });
    hold.resolve();
    await eventually(() => expect([looks(), at.reflection.hinted]).toEqual([2, 0]));
  });

  test('ten times as many as may wait leave as many, and a listing finds the rest', async () => {
    await using at = await scene();
    await started(at);
    const release = at.holdFinds();
    for (let number = 0; number < 10 * HINTS_MAX; number += 1) at.reflection.hint({ key: `site/${number}` });
    at.source.put('site/unheard', text('of'));
    expect(at.reflection.hinted).toBe(HINTS_MAX);
    at.source.onFind = () => {};
    await at.listed(release);
    at.has('site/unheard', 'of');
    expect(at.source.listings).toEqual(['', '']);
  });

  test('of a prefix have it listed; ten times as many prefixes as may wait are one listing of everything', async () => {
    await using at = await scene();
    await started(at);
    at.source.put('site/img/a', text('a'));
    at.reflection.hint({ prefix: 'site/img/' });
    await eventually(() => at.has('site/img/a', 'a'));
    expect(at.source.listings).toEqual(['', 'site/img/']);
    await at.listed(() => {
      for (let number = 0; number < 1_000; number += 1) at.reflection.hint({ prefix: `site/${number}/` });
    });
    expect(at.source.listings.slice(2)).toEqual(['']);
  });

  test('of a key that cannot be read now lead to a listing, which finds it when the source is back', async () => {
    await using at = await scene();
    await started(at);
    at.source.put('site/a', text('a'));
    at.source.isAway = true;
    at.reflection.hint({ key: 'site/a' });
    await eventually(() => expect(at.source.listings.length).toBeGreaterThan(1));
    at.source.isAway = false;
    await at.listed(() => at.clock.advance(1_000));
    at.has('site/a', 'a');
  });
});

describe('a look at a key', () => {
  test('reads bytes again that turned out to be others under the same revision, and publishes what they are', async () => {
    await using at = await scene();
    at.source.put('site/a', text('as it was'));
    await started(at);
    at.source.corrupt('site/a', text('otherwise'));
    expect(await at.reflection.lookAt('site/a')).toBe('unchanged');
    const before = at.catalog.find('site/a')?.manifest.version ?? 0;
    await at.catalog.sourced.doubt('site/a');
    expect(await at.reflection.lookAt('site/a')).toBe('announced');
    at.has('site/a', 'otherwise');
    expect(at.catalog.find('site/a')?.manifest.version).toBeGreaterThan(before);
    expect(await at.reflection.lookAt('site/a')).toBe('unchanged');
  });

  test('says what came of it, and announces only what has changed', async () => {
    await using at = await scene();
    const look = () => at.reflection.lookAt('site/a');
    expect(await look()).toBe('missing');
    at.source.put('site/a', text('one'));
    expect([await look(), await look()]).toEqual(['announced', 'unchanged']);
    at.source.put('site/a', text('one'));
    expect(await look()).toBe('unchanged');
    at.source.remove('site/a');
    expect([await look(), await look()]).toEqual(['removed', 'missing']);
  });

  test('that finds a key gone answers who asked for it, once', async () => {
    await using at = await scene();
    at.source.put('site/a', text('one'));
    await at.reflection.lookAt('site/a');
    at.source.remove('site/a');
    const [request, other] = [
      { eventId: 'announce-1', cause: 'by-hand' },
      { eventId: 'announce-2', cause: 'by-hand' },
    ];
    expect(await at.reflection.lookAt('site/a', request)).toBe('removed');
    expect(at.catalog.outbox.oldest(10).map(({ eventId }) => eventId)).toContain('announce-1');
    expect([at.catalog.sourced.hasAnswered(request), at.catalog.sourced.hasAnswered(other)]).toEqual([true, false]);
  });

  test('begins again when the object changes meanwhile; when it does so each time the look is given up after five', async () => {
    await using at = await scene();
    at.source.put('site/a', text('one'));
    let changes = 1;
    at.source.onChunk = (key) => {
      changes -= 1;
      if (changes >= 0) at.source.put(key, text(`changed ${changes}`));
    };
    expect(await at.reflection.lookAt('site/a')).toBe('announced');
    at.has('site/a', 'changed 0');
    at.source.put('site/a', text('two'));
    changes = 1_000;
    at.source.reads.length = 0;
    await expect(at.reflection.lookAt('site/a')).rejects.toMatchObject({ code: 'REVISION_GONE' });
    expect(at.source.reads).toHaveLength(5);
    at.has('site/a', 'changed 0');
  });

  test('of the same key waits for the one before: what was found first is never written last', async () => {
    await using at = await scene();
    at.source.put('site/a', text('old'));
    const first = Promise.withResolvers<void>();
    at.source.onChunk = () => first.promise;
    const looks = [at.reflection.lookAt('site/a'), at.reflection.lookAt('site/a')];
    await eventually(() => expect(at.source.reads).toHaveLength(1));
    at.source.put('site/a', text('new'));
    first.resolve();
    await Promise.all(looks);
    at.has('site/a', 'new');
  });
});

describe('a listing', () => {
  test('of a source that is away is tried again after growing pauses, and nothing is removed for it', async () => {
    await using at = await scene();
    at.source.put('site/a', text('a'));
    await started(at);
    at.source.isAway = true;
    at.clock.advance(RESCAN_MS);
    await eventually(() => expect(at.source.listings).toHaveLength(2));
    // 1 s, 2 s, 4 s … 60 s, each of which chance makes three quarters of.
    for (const [index, pauseMs] of [750, 1_500, 3_000, 6_000, 12_000, 24_000, 45_000, 45_000].entries()) {
      await new Promise((resolve) => setImmediate(resolve));
      at.clock.advance(pauseMs - 1);
      await new Promise((resolve) => setImmediate(resolve));
      expect(at.source.listings).toHaveLength(2 + index);
      at.clock.advance(1);
      await eventually(() => expect(at.source.listings).toHaveLength(3 + index));
    }
    at.has('site/a', 'a');
    at.source.isAway = false;
    await at.listed(() => at.clock.advance(60_000));
  });

  test('in which most objects are gone removes none; the next one that misses them does, and not when they are back', async () => {
    await using at = await scene();
    const keys = Array.from({ length: 150 }, (_, index) => `site/${String(index).padStart(3, '0')}`);
    for (const key of keys) at.source.put(key, text(key));
    await started(at);
    const vanish = (): void => {
      for (const key of keys.slice(1)) at.source.remove(key);
    };
    vanish();
    await at.rescanned();
    expect(at.catalog.objectCount).toBe(150);
    for (const key of keys) at.source.put(key, text(key));
    await at.rescanned();
    vanish();
    await at.rescanned();
    expect(at.catalog.objectCount).toBe(150);
    await at.rescanned();
    expect(at.catalog.objectCount).toBe(1);
  });

  test('does not read again what cannot be published before it changes, and is complete without it', async () => {
    await using at = await scene();
    const bad = at.source.put('site/bad', text('bad'));
    at.source.put('site/good', text('good'));
    at.source.onChunk = (key) => {
      if (key === 'site/bad') throw new UnusableObjectError(bad, 'a test says so');
    };
    await started(at);
    await at.rescanned();
    expect([at.catalog.upstream.isListed, at.catalog.find('site/bad')]).toEqual([true, undefined]);
    expect(at.source.reads.map(({ key }) => key).sort()).toEqual(['site/bad', 'site/good']);
    at.source.onChunk = () => {};
    at.source.put('site/bad', text('better'));
    await at.rescanned();
    at.has('site/bad', 'better');
  });

  test('with an object that cannot be read now is none: the catalog is listed when all of it could be', async () => {
    await using at = await scene();
    at.source.put('site/a', text('a'));
    at.source.put('site/b', text('b'));
    at.source.onChunk = (key) => {
      if (key === 'site/b') throw new SourceAwayError('source', 'a test says so');
    };
    at.reflection.start();
    await eventually(() => at.has('site/a', 'a'));
    await eventually(() => {
      at.clock.advance(1_000);
      expect(at.source.listings.length).toBeGreaterThan(2);
    });
    expect([at.catalog.upstream.isListed, at.reflection.listedAtMs]).toEqual([false, undefined]);
    at.source.onChunk = () => {};
    await eventually(() => {
      at.clock.advance(1_000);
      expect(at.catalog.upstream.isListed).toBe(true);
    });
    at.has('site/b', 'b');
  });

  test('is for the one whose turn it is; until somebody has listed, another one takes its turn soon after it has gone', async () => {
    let isFirst = false;
    await using at = await scene({ isLister: async () => isFirst });
    at.source.put('site/a', text('a'));
    at.reflection.start();
    await new Promise((resolve) => setImmediate(resolve));
    expect(at.source.listings).toEqual([]);
    isFirst = true;
    await at.listed(() => at.clock.advance(5_000));
    at.has('site/a', 'a');
  });

  test('keeps what is being written as it was, until it is complete', async () => {
    await using at = await scene();
    at.source.put('site/a', text('one'));
    await started(at);
    at.source.settle('site/a');
    await at.rescanned();
    expect(await at.reflection.lookAt('site/a')).toBe('unchanged');
    at.has('site/a', 'one');
  });
});

describe('whatever happens at the source', () => {
  const key = fc.constantFrom('site/a', 'site/b', 'site/ü/c', 'site/\u{1f600}', 'other/d');
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ op: fc.constant('put' as const), key, content: fc.constantFrom('x', 'y', '') }) },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('remove' as const), key }) },
    { weight: 3, arbitrary: fc.record({ op: fc.constant('hint' as const), key }) },
    { weight: 2, arbitrary: fc.record({ op: fc.constant('look' as const), key }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('away' as const), isAway: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ op: fc.constant('pass' as const), ms: fc.nat(2 * RESCAN_MS) }) },
    { weight: 2, arbitrary: fc.constant({ op: 'turn' as const }) },
  );
  type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

  async function happen({ source, reflection, clock }: Scene, each: Step): Promise<void> {
    switch (each.op) {
      case 'put':
        source.put(each.key, text(each.content));
        return;
      case 'remove':
        return source.remove(each.key);
      case 'hint':
        return reflection.hint({ key: each.key });
      case 'look':
        void reflection.lookAt(each.key).catch(() => {});
        return;
      case 'away':
        source.isAway = each.isAway;
        return;
      case 'pass':
        return clock.advance(each.ms);
      case 'turn':
        await new Promise((resolve) => setImmediate(resolve));
    }
  }

  test('after a listing the catalog is what the source is, and versions have only grown', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        await using at = await scene();
        at.reflection.start();
        const versions = new Map<string, number>();
        for (const each of steps) {
          await happen(at, each);
          for (const known of versions.keys()) {
            const version = at.catalog.find(known)?.manifest.version ?? at.catalog.removedAt(known) ?? Number.NaN;
            expect(version).toBeGreaterThanOrEqual(versions.get(known) as number);
            versions.set(known, version);
          }
          const found = 'key' in each ? at.catalog.find(each.key) : undefined;
          if (found !== undefined) versions.set(found.manifest.key, found.manifest.version);
        }
        at.source.isAway = false;
        // One may be under way that began before: the next one is the one that counts.
        for (let count = 0; count < 2; count += 1) {
          const before = at.source.listings.length;
          at.reflection.hint({ all: true });
          await eventually(() => {
            at.clock.advance(RESCAN_MS);
            expect(at.source.listings.length).toBeGreaterThan(before);
          });
        }
        await at.reflection.stop();
        const { contents } = at.source;
        for (const name of ['site/a', 'site/b', 'site/ü/c', 'site/\u{1f600}', 'other/d']) {
          const content = contents.get(name);
          const expected = content && hashOf('sha256', content.at(0, content.size));
          expect([name, at.catalog.find(name)?.manifest.sha256]).toEqual([name, expected]);
        }
      }),
      { numRuns: 60 },
    );
  });
});
