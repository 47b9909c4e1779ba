import { expect, test } from 'vitest';
import { body, type CatalogFixture, catalogFixture, checksum, fields } from '../../testing/catalog.fixture.ts';
import { COMPLETED_MAX } from './multipart-uploads.ts';

const part = (number: number, name: string) => ({ number, sha256: checksum(name), size: 10, md5: '0'.repeat(32), checksums: {} });
const NO_UPLOAD = { code: 'NoSuchUpload' };

async function complete({ catalog }: CatalogFixture, key: string): Promise<string> {
  const upload = await catalog.multipart.create(key, fields(), undefined);
  const also = (announced: { eventId: string; version: number }) =>
    catalog.multipart.complete(upload, { ...announced, etag: 'x-1', checksums: undefined });
  await catalog.put(key, fields(), body('a'), { also });
  return upload.id;
}

test('the bytes of a part are needed as long as a part of an open upload names them', async () => {
  await using fixture = await catalogFixture();
  const { multipart, references } = fixture.catalog;
  const [one, two] = [await multipart.create('site/a', fields(), undefined), await multipart.create('site/a', fields(), undefined)];
  await multipart.putPart(one, part(1, 'a'));
  await multipart.putPart(two, part(1, 'a'));
  await multipart.putPart(two, part(1, 'b'));
  expect(fixture.garbage()).toEqual([checksum('a')]);
  expect([references.isReferenced(checksum('a')), references.isReferenced(checksum('b'))]).toEqual([true, true]);
  await multipart.abort(one.id, 'site/a');
  await multipart.abort(two.id, 'site/a');
  expect(fixture.garbage()).toEqual([checksum('a'), checksum('b')]);
  expect([references.isReferenced(checksum('a')), references.isReferenced(checksum('b'))]).toEqual([false, false]);
});

test('an upload and its parts are there after a restart, and none is given for another key', async () => {
  await using fixture = await catalogFixture();
  const upload = await fixture.catalog.multipart.create('site/a', fields(['US'], ['v1']), { algorithm: 'crc32', type: 'COMPOSITE' });
  const sent = await fixture.catalog.multipart.putPart(upload, part(3, 'a'));
  fixture.reopen();
  expect(fixture.catalog.multipart.get(upload.id, 'site/a')).toEqual(upload);
  expect(fixture.catalog.multipart.parts(upload.id, 0, 10)).toEqual([sent]);
  expect(() => fixture.catalog.multipart.get(upload.id, 'site/b')).toThrow(expect.objectContaining(NO_UPLOAD));
});

test('an object whose upload was aborted before is not made, and nothing is announced', async () => {
  await using fixture = await catalogFixture();
  const { catalog } = fixture;
  const upload = await catalog.multipart.create('site/a', fields(), undefined);
  await catalog.multipart.abort(upload.id, 'site/a');
  const also = (announced: { eventId: string; version: number }) =>
    catalog.multipart.complete(upload, { ...announced, etag: 'x-1', checksums: undefined });
  await expect(catalog.put('site/a', fields(), body('a'), { also })).rejects.toMatchObject(NO_UPLOAD);
  expect([catalog.find('site/a'), catalog.outbox.length]).toEqual([undefined, 0]);
});

test('of all completed uploads the answers to the newest are remembered', async () => {
  await using fixture = await catalogFixture({ outboxMaxEntries: 1 });
  const first = await complete(fixture, 'site/first');
  const second = await complete(fixture, 'site/second');
  for (let done = 2; done <= COMPLETED_MAX; done += 500) {
    const batch = Math.min(500, COMPLETED_MAX + 1 - done);
    // As many as may be open at once share a transaction.
    for (let begun = 0; begun < batch; begun += 100) {
      await Promise.all(Array.from({ length: Math.min(100, batch - begun) }, () => complete(fixture, 'site/a')));
    }
  }
  expect(fixture.catalog.multipart.completed(first, 'site/first')).toBeUndefined();
  expect(fixture.catalog.multipart.completed(second, 'site/second')).toMatchObject({ etag: 'x-1' });
  expect(fixture.catalog.multipart.openCount).toBe(0);
}, 30_000);

test('abandoned uploads go oldest first, a bounded number at a time', async () => {
  await using fixture = await catalogFixture();
  const { catalog, clock } = fixture;
  for (let index = 0; index < 25; index += 1) {
    await catalog.multipart.create(`site/${index}`, fields(), undefined);
    clock.advance(1);
  }
  const untilMs = clock.nowMs() - 3;
  const removed: number[] = [];
  for (let count = -1; count !== 0; removed.push(count)) count = await catalog.multipart.expire(untilMs);
  expect(removed).toEqual([10, 10, 2, 0]);
  expect([...catalog.multipart.after('site/', { key: '', id: '' })].map(({ key }) => key)).toEqual(['site/22', 'site/23', 'site/24']);
});
