import { join } from 'node:path';
import { openDatabase } from '@sluice/sqlite';
import { temporaryDirectory } from '@sluice/testkit';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { comparable, history, manifestOf } from '../domain/history.fixture.ts';
import { CatalogIndex } from './catalog-index.ts';
import { CatalogView } from './catalog-view.ts';
import { IndexStamps } from './index-stamps.ts';

/** As many as `docs/architecture.md` says. */
const REMEMBERED = 10_000;
const KEYS = ['site/a', 'site/img/b', 'site/img/ü', 'other/c', 'site/never'];

async function scene() {
  const dir = await temporaryDirectory();
  const stamps = new IndexStamps();
  const index = new CatalogIndex({ dir: dir.path, region: 'US', nowMs: () => 0, stamps });
  const view = new CatalogView(index.databasePath, new IndexStamps(stamps.buffer));
  return {
    ...{ index, view, stamps },
    async [Symbol.asyncDispose]() {
      view.close();
      index.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

test('after each change the view says what the index says, whatever it has remembered', async () => {
  await fc.assert(
    fc.asyncProperty(history, fc.nat(3), async (messages, moves) => {
      await using it = await scene();
      const both = () => {
        for (const key of KEYS) {
          const [seen, known] = [it.view.get(key), it.index.get(key)];
          expect(comparable(seen === undefined ? [] : [seen])).toEqual(comparable(known === undefined ? [] : [known]));
        }
      };
      both();
      for (const [at, message] of messages.entries()) {
        await it.index.apply(message);
        both();
        if (at % 5 === moves) it.index.advanceWatermark(at * 10, 'catalog-1');
        both();
      }
      it.index.beginListing();
      it.index.forgetUnlisted(1_000);
      both();
    }),
    { numRuns: 40 },
  );
}, 60_000);

test('what was asked for twice and has not changed is not read again', async () => {
  await using it = await scene();
  await it.index.apply({ op: 'store', manifest: manifestOf('site/a', 1), provenance: { kind: 'announced' } });
  expect(it.view.get('site/a')).toEqual(it.view.get('site/a'));
  const seen = it.view.get('site/a');
  await it.index.apply({ op: 'store', manifest: manifestOf('site/b', 2), provenance: { kind: 'announced' } });
  expect(it.view.get('site/a')).toBe(seen);
});

test('while a key is being changed nothing is remembered of it, and of others it is', () => {
  const stamps = new IndexStamps();
  const [own, other] = [stamps.stamp('site/a'), stamps.stamp('site/b')];
  const settle = stamps.change(['site/a']);
  expect([stamps.stamp('site/a'), stamps.stamp('site/b')]).toEqual([undefined, other]);
  settle();
  expect([own && stamps.holds(own), other && stamps.holds(other)]).toEqual([false, true]);
  const settleAll = stamps.change('all');
  expect(stamps.stamp('site/b')).toBeUndefined();
  settleAll();
  expect(other && stamps.holds(other)).toBe(false);
});

test('what is asked for once takes no place from what is asked for again', async () => {
  await using it = await scene();
  await it.index.apply({ op: 'store', manifest: manifestOf('site/a', 1), provenance: { kind: 'announced' } });
  it.view.get('site/a');
  const seen = it.view.get('site/a');
  for (let number = 0; number <= REMEMBERED; number += 1) it.view.get(`site/scan/${number}`);
  expect(it.view.get('site/a')).toBe(seen);
});

test('entries remembered are bounded; one that was dropped is read again', async () => {
  await using it = await scene();
  const stores = Array.from({ length: REMEMBERED + 1 }, (_, number) => {
    const manifest = manifestOf(`site/${number}`, number + 1);
    return { op: 'store', manifest, provenance: { kind: 'announced' } } as const;
  });
  it.index.applyPage(stores, false);
  const askTwice = (number: number) => [it.view.get(`site/${number}`), it.view.get(`site/${number}`)][1];
  const first = askTwice(0);
  expect(it.view.get('site/0')).toBe(first);
  for (let number = 1; number <= REMEMBERED; number += 1) askTwice(number);
  const again = it.view.get('site/0');
  expect(again).not.toBe(first);
  expect(again).toEqual(first);
});

test('a view that is opened while the index is begun anew says that nothing is known, tells it, and reads the new one', async () => {
  await using dir = await temporaryDirectory();
  const stamps = new IndexStamps();
  const path = join(dir.path, 'index.db');
  const problems: unknown[] = [];
  const view = new CatalogView(path, new IndexStamps(stamps.buffer), (problem) => problems.push(problem));
  expect(view.get('site/a')).toBeUndefined();
  openDatabase(path, 'relaxed').close();
  view.reopen();
  expect(view.get('site/a')).toBeUndefined();
  expect(problems.map((problem) => (problem as Error).message)).toEqual(['unable to open database file', 'no such table: entries']);
  const index = new CatalogIndex({ dir: dir.path, region: 'US', nowMs: () => 0, stamps });
  expect(index.databasePath).toBe(path);
  await index.apply({ op: 'store', manifest: manifestOf('site/a', 1), provenance: { kind: 'announced' } });
  view.reopen();
  expect(view.get('site/a')).toMatchObject({ version: 1 });
  view.close();
  index.close();
});
