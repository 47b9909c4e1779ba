import { CONTENT_UPLOADED, decode } from '@sluice/contracts';
import { expect, test } from 'vitest';
import { writeGuard } from '../../domain/write-guard.ts';
import { body, catalogFixture, checksum, fields } from '../../testing/catalog.fixture.ts';

const IF_ABSENT = writeGuard('site/a', { 'if-none-match': '*' });
const manifestOf = (payload: Uint8Array) => decode(CONTENT_UPLOADED.subject, CONTENT_UPLOADED.message, payload).manifest;

test('of writes at once that want the key to be absent exactly one is carried out', async () => {
  await using fixture = await catalogFixture();
  const writes = ['a', 'b', 'c'].map((name) => fixture.catalog.put('site/a', fields(), body(name), { guard: IF_ABSENT }));
  const outcomes = await Promise.allSettled(writes);
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  expect(outcomes.filter((outcome) => outcome.status === 'rejected' && outcome.reason.code === 'PreconditionFailed')).toHaveLength(2);
  expect(fixture.catalog.outbox.length).toBe(1);
});

test('a write that is refused mints no version and changes nothing', async () => {
  await using fixture = await catalogFixture();
  const { catalog } = fixture;
  await catalog.put('site/a', fields(), body('a'));
  const before = catalog.lastVersion;
  await expect(catalog.put('site/a', fields(), body('b'), { guard: IF_ABSENT })).rejects.toMatchObject({ code: 'PreconditionFailed' });
  await expect(catalog.remove('site/a', writeGuard('site/a', { 'if-match': '"x"' }))).rejects.toMatchObject({ code: 'PreconditionFailed' });
  expect([catalog.lastVersion, catalog.find('site/a')?.manifest.sha256]).toEqual([before, checksum('a')]);
});

test('a copy has the content of its source and is announced like an upload; what it replaces stays its version before', async () => {
  await using fixture = await catalogFixture();
  const { catalog } = fixture;
  await catalog.put('site/a', fields(['US'], ['v1']), { ...body('a', 77), etag: 'f'.repeat(32) });
  const replaced = await catalog.put('other/b', fields(), body('b'));
  fixture.clock.advance(1_000);
  const copied = await catalog.copy({ key: 'site/a', version: undefined }, 'other/b', ({ manifest }) => ({
    ...fields(manifest.regions),
    contentType: 'text/css',
  }));
  expect(catalog.find('other/b')).toMatchObject({
    manifest: { version: copied?.version, sha256: checksum('a'), size: 77, contentType: 'text/css', regions: ['US'], tags: [] },
    previous: { version: replaced.version, sha256: checksum('b') },
    etag: 'f'.repeat(32),
  });
  expect(manifestOf(catalog.outbox.oldest(10).at(-1)?.payload ?? new Uint8Array())).toEqual(copied?.manifest);
  expect(await catalog.copy({ key: 'site/none', version: undefined }, 'other/c', () => fields())).toBeUndefined();
  expect(catalog.find('other/c')).toBeUndefined();
});

test('bytes that a copy has are no garbage when their source is removed and overwritten', async () => {
  await using fixture = await catalogFixture();
  const { catalog } = fixture;
  await catalog.put('site/a', fields(), body('a'));
  await Promise.all([catalog.copy({ key: 'site/a', version: undefined }, 'site/b', () => fields()), catalog.remove('site/a')]);
  expect(fixture.garbage()).toContain(checksum('a'));
  expect(catalog.references.isReferenced(checksum('a'))).toBe(true);
});

test('other tags are a new version of the same content, of the same time and with the same version before', async () => {
  await using fixture = await catalogFixture();
  const { catalog } = fixture;
  await catalog.put('site/a', fields(), body('a'));
  await catalog.put('site/a', fields(['US'], ['v1']), body('b'));
  const before = catalog.find('site/a');
  fixture.clock.advance(1_000);
  const retagged = await catalog.retag('site/a', ['v2', 'env=prod']);
  const after = catalog.find('site/a');
  expect(after).toEqual({
    ...before,
    manifest: { ...before?.manifest, tags: ['v2', 'env=prod'], version: retagged?.version, contentVersion: before?.manifest.version },
  });
  expect(manifestOf(catalog.outbox.oldest(10).at(-1)?.payload ?? new Uint8Array())).toEqual(after?.manifest);
  await catalog.retag('site/a', []);
  expect(catalog.find('site/a')?.manifest).toMatchObject({ tags: [], contentVersion: before?.manifest.version });
  expect(await catalog.retag('site/none', [])).toBeUndefined();
});
