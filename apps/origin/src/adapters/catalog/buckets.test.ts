import { DatabaseSync } from 'node:sqlite';
import { FakeClock, temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { body, catalogFixture, checksum, fields } from '../../testing/catalog.fixture.ts';
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

test('a bucket that was deleted and made again has no versions of what was in it before, and the edges still hear of the removals', async () => {
  await using fixture = await catalogFixture({ versionsKept: () => 5 });
  const { catalog } = fixture;
  const { version } = await catalog.put('site/a', fields(), body('a'));
  await catalog.put('site/b', fields(), body('b'));
  await catalog.put('site-x/a', fields(), body('a'));
  const removed = await catalog.remove('site/a');
  await catalog.remove('site/b');
  await catalog.remove('site-x/a');
  await catalog.removeBucket('site');
  // One is made as such, the other time by its first object.
  await catalog.createBucket('site');
  const versions = (bucket: string) =>
    fixture.catalog.versionListing
      .page({ bucket, prefix: '' }, undefined, 10)
      .entries.map((entry) => (entry.kind === 'version' ? `${entry.key}${entry.size === null ? ' removed' : ''}` : entry));
  expect([versions('site'), versions('site-x')]).toEqual([[], ['a removed', 'a']]);
  expect(await catalog.versions.remove('site/a', removed?.version ?? 0)).toBeUndefined();
  await catalog.put('site/a', fields(), body('c'));
  expect(versions('site')).toEqual(['a']);
  await catalog.remove('site/a');
  expect([versions('site'), catalog.versions.find('site/a', version)]).toEqual([['a removed', 'a'], undefined]);
  await catalog.removeBucket('site');
  await catalog.put('site/b', fields(), body('c'));
  fixture.reopen();
  expect(versions('site')).toEqual(['b']);
  const feed = fixture.catalog.changes({ region: 'US', since: version, catalogId: catalog.id });
  expect(feed.changes.map(({ op }) => op)).toContain('remove');
});

test('the uploads that are open in a bucket go with it, and their bytes a bounded number at a time', async () => {
  await using fixture = await catalogFixture();
  const { catalog } = fixture;
  await catalog.createBucket('site');
  const part = { number: 1, sha256: checksum('p'), size: 10, md5: '0'.repeat(32), checksums: {} };
  const open = [];
  for (let index = 0; index < 25; index += 1) open.push(await catalog.multipart.create(`site/${index}`, fields(), undefined));
  const other = await catalog.multipart.create('site-x/a', fields(), undefined);
  const [first] = open as [(typeof open)[number]];
  await catalog.multipart.putPart(first, part);
  expect(await catalog.removeBucket('site')).toBe('removed');
  for (const { id, key } of open) expect(() => catalog.multipart.get(id, key)).toThrow(expect.objectContaining({ code: 'NoSuchUpload' }));
  await expect(catalog.multipart.putPart(first, part)).rejects.toMatchObject({ code: 'NoSuchUpload' });
  await catalog.createBucket('site');
  expect([...catalog.multipart.after('site/', { key: '', id: '' })]).toEqual([]);
  fixture.reopen();
  const ended = [];
  for (let last = -1; last !== 0; ended.push(last)) last = await fixture.catalog.multipart.expire(0);
  expect(ended).toEqual([10, 10, 5, 0]);
  expect([fixture.garbage(), fixture.catalog.references.isReferenced(checksum('p'))]).toEqual([[checksum('p')], false]);
  expect(fixture.catalog.multipart.get(other.id, other.key)).toEqual(other);
});

test('a bucket that stays keeps its uploads', async () => {
  await using fixture = await catalogFixture();
  const { catalog } = fixture;
  await catalog.put('site/a', fields(), body('a'));
  const upload = await catalog.multipart.create('site/b', fields(), undefined);
  expect(await catalog.removeBucket('site')).toBe('not-empty');
  expect(catalog.multipart.get(upload.id, upload.key)).toEqual(upload);
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

test('a catalog from before buckets were dated lists the removals that it has', async () => {
  await using fixture = await catalogFixture({ versionsKept: () => 5 });
  await fixture.catalog.put('site/a', fields(), body('a'));
  await fixture.catalog.remove('site/a');
  const { path } = fixture;
  fixture.catalog.close();
  const old = new DatabaseSync(path);
  old.exec('ALTER TABLE buckets DROP COLUMN since');
  old.close();
  fixture.reopen();
  expect(fixture.catalog.versionListing.page({ bucket: 'site', prefix: '' }, undefined, 10).entries).toHaveLength(2);
});
