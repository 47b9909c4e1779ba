import { DatabaseSync } from 'node:sqlite';
import { FakeClock, temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { body, catalogFixture, fields } from '../../testing/catalog.fixture.ts';
import { BUCKETS_MAX } from './bucket-table.ts';
import { Catalog } from './catalog.ts';
import { openCatalogDatabase } from './schema.ts';

test('a bucket is created once, also by its first object, and removed only when it is empty', async () => {
  await using fixture = await catalogFixture();
  const { catalog } = fixture;
  expect(await Promise.all([catalog.createBucket('site'), catalog.createBucket('site')])).toEqual([true, false]);
  await catalog.put('other/a', fields(), body('a'));
  expect(await catalog.createBucket('other')).toBe(false);
  expect([await catalog.removeBucket('site'), await catalog.removeBucket('site'), await catalog.removeBucket('other')]).toEqual([
    'removed',
    'missing',
    'not-empty',
  ]);
  await catalog.remove('other/a');
  expect(await catalog.removeBucket('other')).toBe('removed');
  expect(catalog.buckets.page('', '', 10)).toEqual([]);
});

test('the objects of a bucket with a name alike do not fill a bucket', async () => {
  await using fixture = await catalogFixture();
  for (const key of ['site-x/a', 'site.x/a', 'site0/a', 'sit/e']) await fixture.catalog.put(key, fields(), body('a'));
  await fixture.catalog.createBucket('site');
  expect(await fixture.catalog.removeBucket('site')).toBe('removed');
});

test('an upload and the removal of its bucket in one transaction: either the bucket is there with the object or it was removed before', async () => {
  await using fixture = await catalogFixture();
  const { catalog } = fixture;
  await catalog.createBucket('site');
  const [, removed] = await Promise.all([catalog.put('site/a', fields(), body('a')), catalog.removeBucket('site')]);
  expect([removed, catalog.buckets.has('site')]).toEqual(['not-empty', true]);
});

test('an object whose bucket cannot be is not stored', async () => {
  await using fixture = await catalogFixture();
  await expect(fixture.catalog.put('healthz/a', fields(), body('a'))).rejects.toMatchObject({ code: 'InvalidBucketName' });
  expect(fixture.catalog.find('healthz/a')).toBeUndefined();
});

test('there are buckets up to a bound, and they are listed in pages', async () => {
  await using fixture = await catalogFixture();
  const { catalog } = fixture;
  const names = Array.from({ length: BUCKETS_MAX }, (_, index) => `b${String(index).padStart(5, '0')}`);
  await Promise.all(names.map((name) => catalog.createBucket(name)));
  await expect(catalog.createBucket('one-more')).rejects.toMatchObject({ code: 'TooManyBuckets' });
  await expect(catalog.put('one-more/a', fields(), body('a'))).rejects.toMatchObject({ code: 'TooManyBuckets' });
  expect(catalog.buckets.page('', 'b0999', 20).map(({ name }) => name)).toEqual(names.slice(9_990, 10_000));
  expect(catalog.buckets.page('b00010', '', 2).map(({ name }) => name)).toEqual(['b00011', 'b00012']);
});

test('a catalog from before has its buckets, and its objects are listed', async () => {
  await using dir = await temporaryDirectory();
  const path = `${dir.path}/catalog.db`;
  const clock = new FakeClock();
  // As it was: without these tables.
  openCatalogDatabase(path, clock.nowMs()).close();
  const old = new DatabaseSync(path);
  old.exec(`
    DROP TABLE buckets;
    DROP TABLE listed_objects`);
  const insert = old.prepare(`INSERT INTO objects (key, version, sha256, etag, manifest, ever_regions) VALUES (?, ?, ?, ?, ?, '["*"]')`);
  const put = (key: string, version: number, uploadedAt: string) => {
    const manifest = { ...fields(), key, version, sha256: 'a'.repeat(64), size: version, uploadedAt };
    insert.run(key, version, manifest.sha256, 'e'.repeat(32), JSON.stringify(manifest));
  };
  put('site/b', 2, '2026-01-02T00:00:00.000Z');
  put('site/a', 3, '2026-01-03T00:00:00.000Z');
  put('healthz/old', 4, '2026-01-04T00:00:00.000Z');
  old.close();

  for (const times of ['first', 'again']) {
    const catalog = new Catalog({ path, clock, outboxMaxEntries: 10, multipartMaxOpen: 10 });
    expect(catalog.buckets.page('', '', 10), times).toEqual([
      { name: 'healthz', createdAt: '2026-01-04T00:00:00.000Z' },
      { name: 'site', createdAt: '2026-01-02T00:00:00.000Z' },
    ]);
    expect(catalog.listing.page({ bucket: 'site', prefix: '' }, undefined, 10).entries).toEqual([
      { kind: 'object', object: { key: 'a', size: 3, etag: 'e'.repeat(32), uploadedAt: '2026-01-03T00:00:00.000Z' } },
      { kind: 'object', object: { key: 'b', size: 2, etag: 'e'.repeat(32), uploadedAt: '2026-01-02T00:00:00.000Z' } },
    ]);
    // A bucket of which the name could not be chosen today goes on.
    await catalog.put('healthz/new', fields(), body('a'));
    catalog.close();
  }
});
