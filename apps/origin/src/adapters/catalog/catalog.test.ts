import { CONTENT_INVALIDATED, CONTENT_REMOVED, CONTENT_UPLOADED, decode } from '@sluice/contracts';
import { eventually } from '@sluice/testkit';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { body, catalogFixture, checksum, fields } from '../../testing/catalog.fixture.ts';
import type { OutboxEntry } from './outbox.ts';
import { REQUESTS_MAX } from './request-table.ts';

const events = (catalog: { outbox: { oldest(count: number): { subject: string; payload: Uint8Array }[] } }) =>
  catalog.outbox.oldest(1_000).map(({ subject, payload }) => {
    const schema =
      { [CONTENT_UPLOADED.subject]: CONTENT_UPLOADED, [CONTENT_REMOVED.subject]: CONTENT_REMOVED }[subject] ?? CONTENT_INVALIDATED;
    return { subject, ...(decode(subject, schema.message, payload) as { id?: string; version?: number; cause?: string }) };
  });

test('an upload, what it replaces and its event are committed together and survive a restart', async () => {
  await using fixture = await catalogFixture();
  const first = await fixture.catalog.put('site/a', fields(['US'], ['v1']), body('a'));
  fixture.clock.advance(1_000);
  const second = await fixture.catalog.put('site/a', fields(['EU']), body('b'));
  fixture.reopen();
  const { catalog } = fixture;
  expect(catalog.find('site/a')).toMatchObject({
    manifest: { key: 'site/a', version: second.version, sha256: checksum('b'), regions: ['EU'], tags: [] },
    previous: { version: first.version, sha256: checksum('a'), size: 10_000, regions: ['US'] },
    ever: ['EU', 'US'],
  });
  expect(events(catalog)).toMatchObject([
    { subject: 'content.uploaded', id: first.eventId, version: first.version },
    { subject: 'content.uploaded', id: second.eventId, version: second.version },
  ]);
  expect(first.eventId).toBe(`${catalog.id.slice(0, 8)}-${first.version}`);
});

test('versions go on growing over a restart, also when the clock went back', async () => {
  await using fixture = await catalogFixture();
  fixture.clock.advance(60_000);
  const before = await fixture.catalog.put('site/a', fields(), body('a'));
  const { id } = fixture.catalog;
  fixture.clock.advance(-3_600_000);
  fixture.reopen();
  expect(fixture.catalog.id).toBe(id);
  expect(fixture.catalog.lastVersion).toBe(before.version);
  const after = await fixture.catalog.put('site/b', fields(), body('b'));
  expect(after.version).toBe(before.version + 1);
});

test('versions are not minted again after all that had them is gone', async () => {
  await using fixture = await catalogFixture();
  await fixture.catalog.put('site/a', fields(), body('a'));
  const removed = await fixture.catalog.remove('site/a');
  await fixture.catalog.prune({ untilVersion: removed?.version ?? 0, maxRows: 10 });
  fixture.clock.advance(-1_000);
  fixture.reopen();
  const next = await fixture.catalog.put('site/a', fields(), body('a'));
  expect(next.version).toBeGreaterThan(removed?.version ?? Number.NaN);
});

test('uploads of one turn share a transaction, each with a version of its own', async () => {
  const labels: string[] = [];
  await using fixture = await catalogFixture({
    operate: (label, operation) => {
      labels.push(label);
      return operation();
    },
  });
  const all = await Promise.all(Array.from({ length: 50 }, (_, index) => fixture.catalog.put(`site/${index}`, fields(), body('a'))));
  expect(new Set(all.map(({ version }) => version)).size).toBe(50);
  expect(labels).toEqual(['CATALOG_COMMIT:TRANSACTION']);
});

test('a transaction that fails leaves nothing: no object, no event, no version', async () => {
  let fail = false;
  await using fixture = await catalogFixture({
    operate: (_, operation) => {
      const result = operation();
      if (fail) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
      return result;
    },
  });
  const kept = await fixture.catalog.put('site/kept', fields(), body('a'));
  fail = true;
  const before = fixture.catalog.lastVersion;
  await expect(fixture.catalog.put('site/lost', fields(), body('b'))).rejects.toMatchObject({ code: 'DISK_FULL' });
  fail = false;
  expect(fixture.catalog.lastVersion).toBe(before);
  expect(kept.version).toBe(before);
});

test('a change that throws is undone alone', async () => {
  await using fixture = await catalogFixture();
  const bad = { ...fields(), contentType: 'line\nbreak' };
  const [good, refused] = await Promise.allSettled([
    fixture.catalog.put('site/good', fields(), body('a')),
    fixture.catalog.put('site/bad', bad, body('b')),
  ]);
  expect(good.status).toBe('fulfilled');
  expect(refused).toMatchObject({ status: 'rejected', reason: { code: 'INVALID_MESSAGE' } });
  expect(fixture.catalog.find('site/bad')).toBeUndefined();
  expect(events(fixture.catalog)).toHaveLength(1);
});

test('the same bytes again keep the version before with the same checksum, and free the bytes before that', async () => {
  await using fixture = await catalogFixture();
  await fixture.catalog.put('site/a', fields(), body('a'));
  const second = await fixture.catalog.put('site/a', fields(), body('b'));
  fixture.garbage();
  await fixture.catalog.put('site/a', fields(['US']), body('b'));
  expect(fixture.catalog.find('site/a')).toMatchObject({
    manifest: { sha256: checksum('b') },
    previous: { sha256: checksum('b'), version: second.version },
  });
  expect(fixture.garbage()).toContain(checksum('a'));
  expect(fixture.catalog.references.isReferenced(checksum('a'))).toBe(false);
});

test('a removal leaves a tombstone and one event; of what is not there, nothing', async () => {
  await using fixture = await catalogFixture();
  await fixture.catalog.put('site/a', fields(['US']), body('a'));
  const removed = await fixture.catalog.remove('site/a');
  expect(await fixture.catalog.remove('site/a')).toBeUndefined();
  expect(fixture.catalog.find('site/a')).toBeUndefined();
  expect(fixture.catalog.removedAt('site/a')).toBe(removed?.version);
  expect(fixture.catalog.lastVersion).toBe(removed?.version);
  expect(events(fixture.catalog).map(({ subject }) => subject)).toEqual(['content.uploaded', 'content.removed']);
  expect(fixture.garbage()).toEqual([checksum('a')]);
});

test('a key that comes back after its removal still knows where it ever was', async () => {
  await using fixture = await catalogFixture();
  await fixture.catalog.put('site/a', fields(), body('a'));
  await fixture.catalog.remove('site/a');
  await fixture.catalog.put('site/a', fields(['US']), body('b'));
  expect(fixture.catalog.find('site/a')).toMatchObject({ ever: '*', previous: undefined });
  expect(fixture.catalog.removedAt('site/a')).toBeUndefined();
});

test('an invalidation replaces an older one of the same selector and mode; one of an unknown key does not happen', async () => {
  await using fixture = await catalogFixture();
  await fixture.catalog.put('site/a', fields(), body('a'));
  expect(await fixture.catalog.invalidate({ key: 'site/unknown' }, 'stale')).toBeUndefined();
  for (let round = 0; round < 3; round += 1) {
    await fixture.catalog.invalidate({ prefix: 'site/' }, 'stale');
    await fixture.catalog.invalidate({ all: true }, 'stale');
  }
  const last = await fixture.catalog.invalidate({ prefix: 'site/' }, 'purge');
  const { changes } = fixture.catalog.changes({ region: 'US', since: 0 });
  expect(changes.filter(({ op }) => op === 'invalidate')).toHaveLength(3);
  expect(changes.at(-1)).toEqual({ op: 'invalidate', prefix: 'site/', mode: 'purge', version: last?.version });
});

test('a request that comes again is answered once, also after a restart', async () => {
  await using fixture = await catalogFixture();
  await fixture.catalog.put('site/a', fields(), body('a'));
  const request = { eventId: 'announce-1', cause: 'mine' };
  expect(await fixture.catalog.announceAgain('site/a', request)).toMatchObject({ eventId: 'announce-1' });
  fixture.reopen();
  expect(await fixture.catalog.announceAgain('site/a', request)).toBeUndefined();
  expect(await fixture.catalog.invalidate({ all: true }, 'stale', { ...request, eventId: 'announce-2' })).toBeDefined();
  expect(await fixture.catalog.invalidate({ all: true }, 'stale', { ...request, eventId: 'announce-2' })).toBeUndefined();
  expect(events(fixture.catalog).map(({ id, cause }) => [id, cause])).toEqual([
    [expect.any(String), undefined],
    ['announce-1', 'mine'],
    ['announce-2', 'mine'],
  ]);
});

test('answered requests are remembered up to a bound, oldest forgotten first', async () => {
  await using fixture = await catalogFixture({ outboxMaxEntries: 1 });
  await fixture.catalog.put('site/a', fields(), body('a'));
  const announce = (index: number) => fixture.catalog.announceAgain('site/a', { eventId: `announce-${index}`, cause: 'x' });
  await Promise.all(Array.from({ length: REQUESTS_MAX + 1 }, (_, index) => announce(index)));
  expect(await announce(REQUESTS_MAX)).toBeUndefined();
  expect(await announce(1)).toBeUndefined();
  expect(await announce(0)).toBeDefined();
});

test('an outbox that is full drops events and counts them; the uploads are stored', async () => {
  let dropped = 0;
  await using fixture = await catalogFixture({
    outboxMaxEntries: 10,
    onEventDropped: () => {
      dropped += 1;
    },
  });
  await Promise.all(Array.from({ length: 100 }, (_, index) => fixture.catalog.put(`site/${index}`, fields(), body('a'))));
  expect(fixture.catalog.objectCount).toBe(100);
  expect(fixture.catalog.outbox.length).toBe(10);
  expect(dropped).toBe(90);
  await Promise.all([fixture.catalog.settle(fixture.catalog.outbox.oldest(10)), fixture.catalog.put('site/next', fields(), body('a'))]);
  expect(fixture.catalog.outbox.length).toBe(1);
});

test('events that the stream has are not offered again, and leave the disk with the next transaction or within a second', async () => {
  const transactions: string[] = [];
  await using fixture = await catalogFixture({
    operate: (label, operation) => {
      transactions.push(label);
      return operation();
    },
  });
  const { catalog, clock } = fixture;
  for (const key of ['site/1', 'site/2', 'site/3']) await catalog.put(key, fields(), body('a'));
  const offered = () => catalog.outbox.oldest(10).map(({ seq }) => seq);
  const [first, second, third] = catalog.outbox.oldest(10) as [OutboxEntry, OutboxEntry, OutboxEntry];

  catalog.settle([first, third]);
  expect(offered()).toEqual([second.seq]);
  expect(catalog.outbox.length).toBe(3);
  await catalog.put('site/4', fields(), body('a'));
  expect(transactions).toHaveLength(4);
  expect(offered()).toEqual([second.seq, third.seq + 1]);

  catalog.settle([second]);
  expect(offered()).toEqual([third.seq + 1]);
  await eventually(() => {
    clock.advance(1_000);
    expect(catalog.outbox.length).toBe(1);
  });
  expect(transactions).toHaveLength(5);
});

test('whatever order acknowledgements come in, what is offered are the first that the stream does not have', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(fc.nat(9), { maxLength: 10 }), { maxLength: 8 }), async (rounds) => {
      await using fixture = await catalogFixture();
      const waiting: number[] = [];
      for (const acknowledged of rounds) {
        for (let count = 0; count < 5; count += 1) {
          await fixture.catalog.put('site/a', fields(), body('a'));
          waiting.push((waiting.at(-1) ?? 0) + 1);
        }
        const batch = fixture.catalog.outbox.oldest(10);
        expect(batch).toHaveLength(Math.min(10, waiting.length));
        const seqs = new Set(batch.filter((_, index) => acknowledged.includes(index)).map(({ seq }) => seq));
        fixture.catalog.settle(batch.filter(({ seq }) => seqs.has(seq)));
        waiting.splice(0, waiting.length, ...Array.from({ length: waiting.length - seqs.size }, (_, index) => index + 1));
      }
      expect(fixture.catalog.outbox.oldest(1_000)).toHaveLength(waiting.length);
    }),
    { numRuns: 25 },
  );
});

test('a long outbox is handed out without reading what was acknowledged again, and acknowledged events do not pile up', async () => {
  await using fixture = await catalogFixture({ outboxMaxEntries: 10_000 });
  const { catalog } = fixture;
  await Promise.all(Array.from({ length: 3_000 }, (_, index) => catalog.put(`site/${index}`, fields(), body('a'))));
  let published = 0;
  for (let batch = catalog.outbox.oldest(64); batch.length > 0; batch = catalog.outbox.oldest(64)) {
    catalog.settle(batch);
    published += batch.length;
    expect(catalog.outbox.acknowledged).toBeLessThan(512 + 2 * 64);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(published).toBe(3_000);
});

test('events whose removal fails are removed when the disk is well again, and not offered meanwhile', async () => {
  let failing = false;
  const failures: unknown[] = [];
  await using fixture = await catalogFixture({
    onSettleFailed: (error) => failures.push(error),
    operate: (_label, operation) => {
      if (failing) throw new Error('the disk is gone');
      return operation();
    },
  });
  const { catalog, clock } = fixture;
  await catalog.put('site/1', fields(), body('a'));
  failing = true;
  catalog.settle(catalog.outbox.oldest(10));
  await eventually(() => {
    clock.advance(1_000);
    expect(failures.length).toBeGreaterThan(1);
  });
  expect([catalog.outbox.oldest(10), catalog.outbox.length]).toEqual([[], 1]);
  failing = false;
  await eventually(() => {
    clock.advance(1_000);
    expect(catalog.outbox.length).toBe(0);
  });
});

test('a patch is remembered for its pair of versions, and forgotten when no object has that pair any more', async () => {
  await using fixture = await catalogFixture();
  const { catalog } = fixture;
  const patch = { sha256: checksum('p'), size: 5 };
  await catalog.put('site/a', fields(), body('a'));
  await catalog.put('site/a', fields(), body('b'));
  expect(catalog.references.patch(checksum('b'), checksum('a'))).toBeUndefined();
  expect(await catalog.recordPatch(checksum('b'), checksum('a'), patch)).toBe(true);
  expect(catalog.references.patch(checksum('b'), checksum('a'))).toEqual({ base: checksum('a'), ...patch });
  expect(catalog.references.isReferenced(patch.sha256)).toBe(true);
  fixture.garbage();
  await catalog.put('site/a', fields(), body('c'));
  expect(fixture.garbage()).toEqual([checksum('a'), checksum('b'), checksum('p')]);
  expect(['a', 'b', 'p'].map((name) => catalog.references.isReferenced(checksum(name)))).toEqual([false, true, false]);
  expect(await catalog.recordPatch(checksum('b'), checksum('a'), patch)).toBe(false);
});

test('that a patch is not worthwhile is remembered too', async () => {
  await using fixture = await catalogFixture();
  await fixture.catalog.put('site/a', fields(), body('a'));
  await fixture.catalog.put('site/a', fields(), body('b'));
  await fixture.catalog.recordPatch(checksum('b'), checksum('a'), undefined);
  fixture.reopen();
  expect(fixture.catalog.references.patch(checksum('b'), checksum('a'))).toBe('none');
});
