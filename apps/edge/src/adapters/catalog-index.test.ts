import { openDatabase } from '@sluice/sqlite';
import { temporaryDirectory } from '@sluice/testkit';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { contentsOf } from '../domain/content-coding.ts';
import type { Entry } from '../domain/entry.ts';
import { isPurged, isStale } from '../domain/entry.ts';
import { CHECKSUMS, comparable, manifestOf, modelAfter, retoldHistory } from '../domain/history.fixture.ts';
import { CatalogIndex } from './catalog-index.ts';

/** As many as `docs/architecture.md` says. */
const ENTRIES_IN_MEMORY = 10_000;
const KEYS = ['site/a', 'site/img/b', 'site/img/ü', 'other/c'];
const entriesOf = (index: CatalogIndex): Entry[] => KEYS.flatMap((key) => index.get(key) ?? []);

describe('catalog index', () => {
  test('the index on disk agrees with the rules, and knows which bytes are needed, for any messages in any order, also after a restart', async () => {
    await fc.assert(
      fc.asyncProperty(retoldHistory, async ({ original, retold }) => {
        await using dir = await temporaryDirectory();
        const options = { dir: dir.path, region: 'US', nowMs: () => 0 };
        const index = new CatalogIndex(options);
        await Promise.all(retold.map((message) => index.apply(message)));
        const expected = comparable(modelAfter(original).values());
        expect(comparable(entriesOf(index))).toEqual(expected);
        expect(index.objects).toBe([...modelAfter(original).values()].filter(({ manifest }) => manifest !== undefined).length);
        index.close();
        const reopened = new CatalogIndex(options);
        expect(comparable(entriesOf(reopened))).toEqual(expected);
        expect(reopened.objects).toBe(index.objects);
        const servable = [...modelAfter(original).values()].filter((entry) => !isPurged(entry));
        const needed = new Set(
          servable.flatMap(({ manifest }) => (manifest === undefined ? [] : contentsOf(manifest).map(({ sha256 }) => sha256))),
        );
        for (const sha256 of CHECKSUMS) expect(reopened.needs(sha256), sha256).toBe(needed.has(sha256));
        reopened.close();
      }),
      { numRuns: 60 },
    );
  }, 60_000);

  test('what an invalidation marks is what was written, with versions as large as there may be', async () => {
    await using dir = await temporaryDirectory();
    const damaged: unknown[] = [];
    const index = new CatalogIndex({ dir: dir.path, region: 'US', nowMs: () => 0, onDamaged: (problem) => damaged.push(problem) });
    const selectors = [{ key: 'site/a' }, { prefix: 'site/' }, { tag: 'v1' }, { all: true as const }];
    let version = Number.MAX_SAFE_INTEGER - 20;
    for (const mode of ['stale', 'purge'] as const) {
      for (const selector of selectors) {
        const manifest = manifestOf('site/a', version, { tags: ['v1'] });
        await index.apply({ op: 'store', manifest, provenance: { kind: 'announced' } });
        await index.apply({ op: 'invalidate', invalidation: { selector, version: version + 1, mode } });
        expect(index.get('site/a')).toMatchObject({ staleAt: version + 1, purgedAt: mode === 'purge' ? version + 1 : expect.any(Number) });
        version += 2;
      }
    }
    expect(damaged).toEqual([]);
    index.close();
  });

  test('the number of objects is kept beside them and not counted at each start, but for a database that has not kept it so far', async () => {
    await using dir = await temporaryDirectory();
    const options = { dir: dir.path, region: 'US', nowMs: () => 0 };
    const index = new CatalogIndex(options);
    index.applyPage(
      KEYS.map((key, at) => ({ op: 'store', manifest: manifestOf(key, at + 1), provenance: { kind: 'announced' } })),
      false,
    );
    index.close();
    const counted = (change: string): number => {
      const database = openDatabase(index.databasePath, 'relaxed');
      database.exec(change);
      database.close();
      const reopened = new CatalogIndex(options);
      const { objects } = reopened;
      reopened.close();
      return objects;
    };
    expect(counted("UPDATE meta SET value = '77' WHERE name = 'objects'")).toBe(77);
    expect(counted("DELETE FROM meta WHERE name = 'objects'")).toBe(KEYS.length);
  });

  test('a page that could not be applied leaves the number of objects as it was', async () => {
    await using dir = await temporaryDirectory();
    const index = new CatalogIndex({ dir: dir.path, region: 'US', nowMs: () => 0 });
    const storing = (key: string) => ({ op: 'store', manifest: manifestOf(key, 1), provenance: { kind: 'announced' } }) as const;
    index.applyPage([storing('site/a')], false);
    const broken = { ...storing('site/c'), manifest: manifestOf(Symbol('no key') as never, 1) };
    expect(() => index.applyPage([storing('site/b'), broken], false)).toThrow();
    expect(index.objects).toBe(1);
    index.applyPage([storing('site/b')], false);
    index.close();
    const reopened = new CatalogIndex({ dir: dir.path, region: 'US', nowMs: () => 0 });
    expect(reopened.objects).toBe(2);
    reopened.close();
  });

  test('invalidations kept apart are bounded; what is merged still covers what arrives late', async () => {
    await using dir = await temporaryDirectory();
    const index = new CatalogIndex({ dir: dir.path, region: 'US', nowMs: () => 0, invalidationsMax: 10 });
    for (let version = 1_000; version < 1_100; version++) {
      await index.apply({ op: 'invalidate', invalidation: { selector: { key: `site/${version}` }, version, mode: 'stale' } });
    }
    expect(index.openInvalidations).toBeLessThanOrEqual(10);
    await index.apply({ op: 'store', manifest: manifestOf('site/1001', 500), provenance: { kind: 'announced' } });
    expect(isStale(index.get('site/1001') as Entry)).toBe(true);
    index.close();
  });

  test('entries kept in memory are bounded; one that was dropped is read from disk again', async () => {
    await using dir = await temporaryDirectory();
    const index = new CatalogIndex({ dir: dir.path, region: 'US', nowMs: () => 0 });
    const stores = Array.from({ length: ENTRIES_IN_MEMORY + 1 }, (_, number) => {
      const manifest = manifestOf(`site/${number}`, number + 1);
      return { op: 'store', manifest, provenance: { kind: 'announced' } } as const;
    });
    // The very objects that are in memory.
    const written = index.applyPage(stores, false).map(({ after }) => after);
    expect(index.get('site/1')).toBe(written[1]);
    expect(index.get(`site/${ENTRIES_IN_MEMORY}`)).toBe(written[ENTRIES_IN_MEMORY]);
    expect(index.get('site/0')).not.toBe(written[0]);
    expect(index.get('site/0')).toEqual(written[0]);
    index.close();
  });

  test('advancing the watermark forgets what only late messages needed', async () => {
    await using dir = await temporaryDirectory();
    const index = new CatalogIndex({ dir: dir.path, region: 'US', nowMs: () => 0 });
    await index.apply({ op: 'remove', key: 'site/a', version: 10, reason: 'deleted' });
    await index.apply({ op: 'invalidate', invalidation: { selector: { all: true }, version: 11, mode: 'stale' } });
    index.advanceWatermark(11, 'catalog');
    expect(index.get('site/a')).toBeUndefined();
    expect(index.openInvalidations).toBe(0);
    index.close();
  });

  test('a listing drops the placed entries it did not name, and only those up to its version', async () => {
    await using dir = await temporaryDirectory();
    const index = new CatalogIndex({ dir: dir.path, region: 'US', nowMs: () => 0 });
    const store = (key: string, version: number) =>
      ({ op: 'store', manifest: manifestOf(key, version), provenance: { kind: 'announced' } }) as const;
    for (const [key, version] of [
      ['site/gone', 10],
      ['site/kept', 11],
      ['site/new', 30],
    ] as const)
      await index.apply(store(key, version));
    index.beginListing();
    index.applyPage([store('site/kept', 11)], true);
    expect(index.forgetUnlisted(20)).toEqual([manifestOf('site/gone', 10).sha256]);
    expect(['site/gone', 'site/kept', 'site/new'].map((key) => index.get(key)?.version)).toEqual([undefined, 11, 30]);
    index.close();
  });

  test('the bytes of variants are needed as long as an entry that may be served names them', async () => {
    await using dir = await temporaryDirectory();
    const index = new CatalogIndex({ dir: dir.path, region: 'US', nowMs: () => 0 });
    const [shared, own] = ['b'.repeat(64), 'c'.repeat(64)];
    const named = (...checksums: string[]) => ({ variants: checksums.map((sha256) => ({ coding: 'br', sha256, size: 1 })) });
    const store = (key: string, version: number, fields: object) =>
      index.apply({ op: 'store', manifest: manifestOf(key, version, fields), provenance: { kind: 'announced' } });
    const needed = () => [shared, own].map((sha256) => index.needs(sha256));
    const invalidate = (version: number, mode: 'stale' | 'purge', selector: { key: string } | { tag: string }) =>
      index.apply({ op: 'invalidate', invalidation: { selector, version, mode } });

    await store('site/a', 10, named(shared, own));
    await store('site/b', 11, { ...named(shared), tags: ['v1'] });
    expect(needed()).toEqual([true, true]);
    expect((await invalidate(12, 'stale', { key: 'site/a' })).purged).toEqual([]);
    expect(needed()).toEqual([true, true]);
    expect((await invalidate(13, 'purge', { key: 'site/a' })).purged.toSorted()).toEqual(['a'.repeat(64), shared, own]);
    expect(needed()).toEqual([true, false]);
    expect((await invalidate(14, 'purge', { tag: 'v1' })).purged.toSorted()).toEqual(['a'.repeat(64), shared]);
    expect(needed()).toEqual([false, false]);
    // Announced anew, then without one of them, then removed.
    await store('site/a', 20, named(shared, own));
    expect(needed()).toEqual([true, true]);
    await store('site/a', 21, named(own));
    expect(needed()).toEqual([false, true]);
    await index.apply({ op: 'remove', key: 'site/a', version: 22, reason: 'deleted' });
    expect(needed()).toEqual([false, false]);
    await store('site/c', 30, named(own));
    index.beginListing();
    expect(index.forgetUnlisted(40).sort()).toEqual(['a'.repeat(64), 'a'.repeat(64), shared, own].sort());
    expect(needed()).toEqual([false, false]);
    index.close();
  });

  test('after another start of the machine the index is in doubt, until catch-up has vouched for it', async () => {
    await using dir = await temporaryDirectory();
    const open = (boot: string) => new CatalogIndex({ dir: dir.path, region: 'US', nowMs: () => 0, readBootId: () => boot });
    const doubts: boolean[] = [];
    for (const boot of ['one', 'one', 'two', 'two']) {
      const index = open(boot);
      doubts.push(index.isDoubtful);
      index.close();
    }
    expect(doubts).toEqual([false, false, true, true]);
    const index = open('three');
    index.advanceWatermark(1, 'catalog');
    expect(index.isDoubtful).toBe(false);
    index.close();
    expect(open('three').isDoubtful).toBe(false);
  });

  test('an edge that is moved to another region begins anew', async () => {
    await using dir = await temporaryDirectory();
    const open = (region: string) => new CatalogIndex({ dir: dir.path, region, nowMs: () => 0 });
    const before = open('US');
    await before.apply({ op: 'store', manifest: manifestOf('site/a', 10, { tags: ['v1'] }), provenance: { kind: 'announced' } });
    before.advanceWatermark(10, 'catalog');
    before.close();
    const after = open('EU');
    expect([after.get('site/a'), after.objects, after.watermark, after.catalogId]).toEqual([undefined, 0, 0, undefined]);
    after.close();
  });

  test('a transaction that fails leaves memory and disk as they were', async () => {
    await using dir = await temporaryDirectory();
    let failing = false;
    const index = new CatalogIndex({
      dir: dir.path,
      region: 'US',
      nowMs: () => 0,
      operate: (label, operation) => {
        const result = operation();
        if (failing && label === 'INDEX_APPLY:PUSH') throw new Error('the disk failed');
        return result;
      },
    });
    await index.apply({ op: 'store', manifest: manifestOf('site/a', 10), provenance: { kind: 'announced' } });
    failing = true;
    await expect(index.apply({ op: 'store', manifest: manifestOf('site/a', 20), provenance: { kind: 'announced' } })).rejects.toThrow(
      'the disk failed',
    );
    index.close();
  });
});
