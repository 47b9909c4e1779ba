import { uploadedVersion } from '@sluice/contracts';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { body, catalogFixture, checksum, fields } from '../../testing/catalog.fixture.ts';
import type { ListedVersion } from './version-listing.ts';

describe('versions that are kept', () => {
  test('of each key the last ones, with the current one, whatever is uploaded, removed and rolled back; and their bytes are needed, no others', async () => {
    const step = fc.record({
      what: fc.constantFrom('put', 'put', 'put', 'remove', 'back', 'back to'),
      key: fc.constantFrom('site/a', 'site/b'),
      content: fc.constantFrom('p', 'q', 'r', 's', 't'),
      at: fc.nat(20),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.integer({ min: 1, max: 4 }), async (steps, kept) => {
        await using fixture = await catalogFixture({ versionsKept: () => kept });
        const { catalog } = fixture;
        /** By key, oldest first: content of an upload, undefined for a removal. */
        const model: Record<string, { version: number; content: string | undefined }[]> = { 'site/a': [], 'site/b': [] };
        const versions: number[] = [];
        for (const { what, key, content, at } of steps) {
          const past = model[key] as { version: number; content: string | undefined }[];
          const current = past.at(-1);
          const add = (version: number, added: string | undefined): void => {
            past.push({ version, content: added });
            versions.push(version);
            past.splice(0, past.length - kept);
          };
          if (what === 'put') add((await catalog.put(key, fields(), body(content))).version, content);
          else if (what === 'remove') {
            const removed = await catalog.remove(key);
            expect(removed === undefined).toBe(current?.content === undefined);
            if (removed !== undefined) add(removed.version, undefined);
          } else {
            const to = what === 'back' ? undefined : (versions[at % Math.max(1, versions.length)] ?? 0);
            const result = await catalog.versions.rollBack(key, to);
            const isThere = current?.content !== undefined && to !== undefined && current.version <= to;
            const target = past.slice(0, -1).findLast((one) => one.content !== undefined && one.version <= (to ?? Number.MAX_SAFE_INTEGER));
            if (isThere || target === undefined) expect(result).toBe(isThere ? 'current' : undefined);
            else add((result as { version: number }).version, target.content);
          }
        }
        const needed = new Set<string>();
        for (const [key, past] of Object.entries(model)) {
          for (const { version, content } of past) {
            expect(catalog.versions.find(key, version)?.manifest.sha256).toBe(content && checksum(content));
            if (content !== undefined) needed.add(content);
          }
          expect(catalog.find(key)?.manifest.sha256).toBe(past.at(-1)?.content && checksum(past.at(-1)?.content as string));
          const before = catalog.find(key)?.previous?.sha256;
          for (const content of 'pqrst') if (before === checksum(content)) needed.add(content);
        }
        for (const content of 'pqrst')
          expect([content, catalog.references.isReferenced(checksum(content))]).toEqual([content, needed.has(content)]);
      }),
      { numRuns: 60 },
    );
  }, 60_000);

  test('what falls out is offered as garbage', async () => {
    await using fixture = await catalogFixture({ versionsKept: () => 2 });
    for (const content of 'abcd') await fixture.catalog.put('site/a', fields(), body(content));
    fixture.garbage();
    await fixture.catalog.put('site/a', fields(), body('e'));
    expect(fixture.garbage()).toContain(checksum('c'));
  });

  test('a roll-back brings bytes, type, metadata, regions and tags of that upload under a new version, and tells of it once', async () => {
    await using fixture = await catalogFixture({ versionsKept: () => 3 });
    const { catalog } = fixture;
    const old = { ...fields(['US'], ['v1']), contentType: 'text/html', cacheControl: 'max-age=5', meta: { color: 'red' } };
    const first = await catalog.put('site/a', old, body('a'));
    await catalog.put('site/a', fields(), body('b'));
    const events = catalog.outbox.length;
    const back = await catalog.versions.rollBack('site/a', first.version);
    expect(catalog.outbox.length).toBe(events + 1);
    const { manifest, previous } = catalog.find('site/a') ?? expect.unreachable('it is gone');
    expect(manifest).toMatchObject({ ...old, sha256: checksum('a'), version: (back as { version: number }).version });
    expect(uploadedVersion(manifest)).toBeGreaterThan(first.version);
    expect(previous?.sha256).toBe(checksum('b'));
  });

  test('when a removal is forgotten, so is what the key was before', async () => {
    await using fixture = await catalogFixture({ versionsKept: () => 5 });
    const { catalog } = fixture;
    const first = await catalog.put('site/a', fields(), body('a'));
    const removed = await catalog.remove('site/a');
    expect(catalog.versions.find('site/a', first.version)).toBeDefined();
    await catalog.prune({ untilVersion: removed?.version ?? 0, maxRows: 10 });
    expect([catalog.versions.find('site/a', first.version), catalog.references.isReferenced(checksum('a'))]).toEqual([undefined, false]);
    expect(fixture.garbage()).toContain(checksum('a'));
  });

  test('one version can be removed for good; of the current one the upload before is current again, without one the key is gone', async () => {
    await using fixture = await catalogFixture({ versionsKept: () => 4 });
    const { catalog } = fixture;
    const versions = [];
    for (const content of 'abc') versions.push((await catalog.put('site/a', fields(), body(content))).version);
    const [a, b, c] = versions as [number, number, number];
    const content = () => catalog.find('site/a')?.manifest.sha256;
    expect(await catalog.versions.remove('site/a', b)).toBeUndefined();
    expect([catalog.versions.find('site/a', b), content()]).toEqual([undefined, checksum('c')]);
    const back = await catalog.versions.remove('site/a', c);
    expect([content(), catalog.find('site/a')?.manifest.version]).toEqual([checksum('a'), back?.version]);
    expect([catalog.versions.find('site/a', c), catalog.versions.find('site/a', a)]).toEqual([undefined, undefined]);
    await catalog.versions.remove('site/a', back?.version ?? 0);
    expect([content(), catalog.removedAt('site/a')]).toEqual([undefined, expect.any(Number)]);
    expect(catalog.references.isReferenced(checksum('a'))).toBe(false);
    expect(await catalog.versions.remove('site/a', 1)).toBeUndefined();
  });

  test('a removal that is removed brings the upload before it back', async () => {
    await using fixture = await catalogFixture({ versionsKept: () => 4 });
    const { catalog } = fixture;
    await catalog.put('site/a', fields(), body('a'));
    const removed = await catalog.remove('site/a');
    await catalog.versions.remove('site/a', removed?.version ?? 0);
    expect(catalog.find('site/a')?.manifest.sha256).toBe(checksum('a'));
    expect(catalog.versionListing.page({ bucket: 'site', prefix: '' }, undefined, 10).entries).toHaveLength(1);
  });

  test('an upload that is removed uncovers the removal before it, not the upload before that: the key stays gone', async () => {
    await using fixture = await catalogFixture({ versionsKept: () => 5 });
    const { catalog } = fixture;
    const listed = () =>
      catalog.versionListing
        .page({ bucket: 'site', prefix: '' }, undefined, 10)
        .entries.map((entry) => entry.kind === 'version' && [entry.size === null ? 'removed' : 'there', entry.isLatest]);
    const first = await catalog.put('site/a', fields(['US']), body('a'));
    await catalog.remove('site/a');
    const second = await catalog.put('site/a', fields(['IN']), body('b'));
    const gone = await catalog.versions.remove('site/a', second.version);
    expect([catalog.find('site/a'), catalog.removedAt('site/a')]).toEqual([undefined, gone?.version]);
    expect(gone?.version).toBeGreaterThan(second.version);
    expect(listed()).toEqual([
      ['removed', true],
      ['there', false],
    ]);
    expect(catalog.references.isReferenced(checksum('b'))).toBe(false);
    // Both regions hear that it is gone.
    for (const region of ['US', 'IN']) {
      const { changes } = catalog.changes({ region, since: second.version, catalogId: catalog.id });
      expect(changes).toEqual([expect.objectContaining({ op: 'remove', key: 'site/a' })]);
    }
    await catalog.versions.remove('site/a', gone?.version ?? 0);
    expect([catalog.find('site/a')?.manifest.sha256, listed()]).toEqual([checksum('a'), [['there', true]]]);
    expect(first.version).toBeLessThan(catalog.find('site/a')?.manifest.version ?? 0);
  });

  test('whatever is uploaded, removed and removed as a version: what is listed is what is left of it, the newest first, and the newest is what the key is', async () => {
    const step = fc.record({
      what: fc.constantFrom('put', 'put', 'remove', 'remove version', 'remove current'),
      content: fc.constantFrom('p', 'q', 'r'),
      at: fc.nat(20),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        await using fixture = await catalogFixture({ versionsKept: () => 50 });
        const { catalog } = fixture;
        const listed = () => catalog.versionListing.page({ bucket: 'site', prefix: '' }, undefined, 100).entries as ListedVersion[];
        /** Newest first: content of an upload, undefined for a removal. */
        const model: (string | undefined)[] = [];
        for (const { what, content, at } of steps) {
          if (what === 'put') {
            await catalog.put('site/a', fields(), body(content));
            model.unshift(content);
          } else if (what === 'remove') {
            if ((await catalog.remove('site/a')) !== undefined) model.unshift(undefined);
          } else if (model.length > 0) {
            const index = what === 'remove current' ? 0 : at % model.length;
            await catalog.versions.remove('site/a', listed()[index]?.version ?? 0);
            model.splice(index, 1);
          }
          expect(catalog.find('site/a')?.manifest.sha256).toBe(model[0] && checksum(model[0]));
          const seen = listed().map(({ version, isLatest }, index) => {
            expect(isLatest).toBe(index === 0);
            return catalog.versions.find('site/a', version)?.manifest.sha256;
          });
          expect(seen).toEqual(model.map((one) => one && checksum(one)));
        }
      }),
      { numRuns: 60 },
    );
  }, 60_000);

  test('to remove the current version costs no other version than that', async () => {
    await using fixture = await catalogFixture({ versionsKept: () => 3 });
    const { catalog } = fixture;
    const versions = [];
    for (const content of 'abc') versions.push((await catalog.put('site/a', fields(), body(content))).version);
    const [a, , c] = versions as [number, number, number];
    await catalog.versions.remove('site/a', c);
    expect(catalog.find('site/a')?.manifest.sha256).toBe(checksum('b'));
    expect(catalog.versions.find('site/a', a)?.manifest.sha256).toBe(checksum('a'));
    const removed = await catalog.remove('site/a');
    await catalog.versions.remove('site/a', removed?.version ?? 0);
    expect(catalog.find('site/a')?.manifest.sha256).toBe(checksum('b'));
    expect(catalog.versions.find('site/a', a)?.manifest.sha256).toBe(checksum('a'));
  });

  test('a roll-back to how things were brings nothing back that was removed by then', async () => {
    await using fixture = await catalogFixture({ versionsKept: () => 5 });
    const { catalog } = fixture;
    for (const key of ['site/gone', 'site/again', 'site/later']) await catalog.put(key, fields(), body('a'));
    await catalog.remove('site/gone');
    await catalog.remove('site/again');
    const to = catalog.lastVersion;
    await catalog.put('site/again', fields(), body('b'));
    await catalog.remove('site/later');
    expect(await catalog.versions.rollBack('site/gone', to, true)).toBe('current');
    expect(await catalog.versions.rollBack('site/again', to, true)).toBeUndefined();
    await catalog.versions.rollBack('site/later', to, true);
    const now = ['site/gone', 'site/again', 'site/later'].map((key) => catalog.find(key)?.manifest.sha256);
    expect(now).toEqual([undefined, checksum('b'), checksum('a')]);
    // Of a key that is named the newest upload is wanted, removed or not.
    await catalog.versions.rollBack('site/gone', to);
    expect(catalog.find('site/gone')?.manifest.sha256).toBe(checksum('a'));
  });

  test('a page of versions takes no longer because there is more behind it', async () => {
    await using fixture = await catalogFixture({ versionsKept: () => 2 });
    const { catalog } = fixture;
    const keys = Array.from({ length: 10_000 }, (_, at) => `site/${at % 500}/${at}`);
    await Promise.all(keys.map((key) => catalog.put(key, fields(), body('a'))));
    const begin = performance.now();
    const page = catalog.versionListing.page({ bucket: 'site', prefix: '', delimiter: '/' }, undefined, 1_000);
    expect(page.entries).toHaveLength(500);
    // Sorting the bucket for each common prefix takes seconds.
    expect(performance.now() - begin).toBeLessThan(1_500);
  }, 30_000);
});
