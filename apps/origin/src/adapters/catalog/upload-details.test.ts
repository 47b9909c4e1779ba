import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { body, catalogFixture, fields } from '../../testing/catalog.fixture.ts';

const details = { checksums: { type: 'FULL_OBJECT', values: { crc32: 'AAAAAA==' } }, partSizes: [5, 6] } as const;
const NONE = { checksums: undefined, partSizes: undefined };

test('the details of an upload are there after a restart, and go with the object and with its content', async () => {
  await using fixture = await catalogFixture();
  await fixture.catalog.put('site/a', fields(), body('a'), { details });
  fixture.reopen();
  expect(fixture.catalog.details.of('site/a')).toEqual(details);
  await fixture.catalog.put('site/a', fields(), body('a'));
  expect(fixture.catalog.details.of('site/a')).toEqual(NONE);
  await fixture.catalog.put('site/a', fields(), body('a'), { details });
  await fixture.catalog.remove('site/a');
  expect(fixture.catalog.details.of('site/a')).toEqual(NONE);
});

test('the details of an upload stay with it as an earlier version, and come back with it, also from a catalog from before', async () => {
  await using fixture = await catalogFixture({ versionsKept: () => 9 });
  const detailsOf = (version?: number) => fixture.catalog.versions.find('site/a', version)?.details;
  const first = await fixture.catalog.put('site/a', fields(), body('a'), { details });
  const second = await fixture.catalog.put('site/a', fields(), body('b'));
  fixture.reopen();
  expect([detailsOf(first.version), detailsOf(second.version), detailsOf()]).toEqual([details, NONE, NONE]);
  await fixture.catalog.versions.rollBack('site/a', first.version);
  expect([detailsOf(first.version), detailsOf(second.version), detailsOf()]).toEqual([details, undefined, details]);
  const removed = await fixture.catalog.remove('site/a');
  await fixture.catalog.versions.remove('site/a', removed?.version ?? 0);
  expect(detailsOf()).toEqual(details);
  await fixture.catalog.copy({ key: 'site/a', version: first.version }, 'site/copy', () => fields());
  expect(fixture.catalog.details.of('site/copy')).toEqual(details);
  fixture.catalog.close();
  const old = new DatabaseSync(fixture.path);
  old.exec('ALTER TABLE history DROP COLUMN details');
  old.close();
  fixture.reopen();
  expect([detailsOf(first.version), detailsOf()]).toEqual([undefined, details]);
  await fixture.catalog.put('site/a', fields(), body('c'));
  await fixture.catalog.versions.rollBack('site/a');
  expect(detailsOf()).toEqual(details);
});

test('an announcement of variants leaves them alone', async () => {
  await using fixture = await catalogFixture();
  const { catalog } = fixture;
  await catalog.put('site/a', fields(), body('a'), { details });
  const [waiting] = catalog.variants.waiting(0, 1);
  const made = [{ coding: 'br', sha256: 'b'.repeat(64), size: 1_000 }];
  await catalog.coding.record(body('a').sha256, ['br'], made);
  expect(waiting && (await catalog.coding.announce(waiting))).toBeDefined();
  expect(catalog.details.of('site/a')).toEqual(details);
});
