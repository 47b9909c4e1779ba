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

test('an announcement of variants leaves them alone', async () => {
  await using fixture = await catalogFixture();
  const { catalog } = fixture;
  await catalog.put('site/a', fields(), body('a'), { details });
  const [waiting] = catalog.variants.waiting(0, 1);
  const made = [{ coding: 'br', sha256: 'b'.repeat(64), size: 1_000 }];
  await catalog.recordVariants(body('a').sha256, ['br'], made);
  expect(waiting && (await catalog.announceVariants(waiting))).toBeDefined();
  expect(catalog.details.of('site/a')).toEqual(details);
});
