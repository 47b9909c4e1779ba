import { type FSWatcher, watch } from 'node:fs';
import { appendFile, mkdir, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import type { SourceHint } from '../../services/source-port.ts';
import { type TreeFixture, treeFixture } from '../../testing/directory-tree.fixture.ts';
import { RECHECK_MS, SETTLE_MS } from './directory-source.ts';

const NOTHING_WATCHED = 'not all of a source can be watched; it is looked through again and again instead';
const AWAY = 'the root of a source is gone; what it had is kept until it is back';

/** Lets time pass, little by little, until it holds: what the system notices comes when it comes. */
async function inTime(tree: TreeFixture, check: () => void, stepMs = SETTLE_MS): Promise<void> {
  await eventually(() => {
    tree.clock.advance(stepMs);
    check();
  });
}

/** For every kind of thing that a hint may be about. */
const has = (hints: readonly SourceHint[], hint: SourceHint): void => expect(hints).toContainEqual(hint);

describe('hints of a directory', () => {
  test('come when a file has settled, and not while it is written', async () => {
    await using tree = await treeFixture();
    const { hints } = await tree.watch();
    await tree.write('a', 'begun');
    // The first write is noticed here, and is not told: on this clock it is younger than the time of settling.
    for (let round = 0; round < 5; round++) {
      await appendFile(join(tree.root, 'a'), 'more');
      await new Promise((resolve) => setImmediate(resolve));
      expect((await tree.find('a'))?.settling).toBe(true);
    }
    tree.clock.advance(SETTLE_MS / 2);
    expect(hints).toEqual([]);
    await inTime(tree, () => has(hints, { key: 'site/a' }));
    expect((await tree.find('a'))?.settling).toBeUndefined();
  });

  test('come for what was already being written when the watch began, once it is looked at', async () => {
    await using tree = await treeFixture();
    await tree.write('old');
    await tree.write('other');
    const { hints } = await tree.watch();
    expect((await tree.find('old'))?.settling).toBe(true);
    expect(await tree.keys()).toEqual(['old', 'other']);
    await inTime(tree, () => {
      has(hints, { key: 'site/old' });
      has(hints, { key: 'site/other' });
    });
  });

  test('come for what is in directories that come, go, and come again', async () => {
    await using tree = await treeFixture();
    const { hints } = await tree.watch();
    for (let round = 0; round < 3; round++) {
      await tree.write('x/y/a');
      await inTime(tree, () => has(hints, { prefix: 'site/x/' }));
      hints.length = 0;
      await tree.write(`x/y/late-${round}`);
      await inTime(tree, () => has(hints, { key: `site/x/y/late-${round}` }));
      hints.length = 0;
      await rm(join(tree.root, 'x'), { recursive: true });
      await inTime(tree, () => has(hints, { prefix: 'site/x/' }));
      hints.length = 0;
    }
  });

  test('do not come for what is ignored, nor is that watched', async () => {
    const watched: string[] = [];
    const watchDirectory = (path: string, options: { persistent: false }): FSWatcher => {
      watched.push(path);
      return watch(path, options);
    };
    await using tree = await treeFixture({ watchDirectory });
    await tree.write('.git/objects/a');
    await tree.write('b/c');
    const { hints } = await tree.watch();
    expect(watched.sort()).toEqual([tree.root, join(tree.root, 'b')]);
    await tree.write('.git/objects/b');
    await tree.write('.d.html.Xs3k1L');
    await tree.write('.e/f');
    await tree.write('d.html');
    await inTime(tree, () => has(hints, { key: 'site/d.html' }));
    expect(new Set(hints.map((hint) => JSON.stringify(hint)))).toEqual(new Set(['{"key":"site/d.html"}']));
    expect(watched).toHaveLength(2);
  });

  test('come for what links lead to, under the name of the link', async () => {
    await using tree = await treeFixture();
    await tree.write('releases/1/a');
    await tree.write('releases/2/a');
    await symlink('releases/1', join(tree.root, 'current'));
    const { hints } = await tree.watch();
    await tree.write('releases/1/b');
    await inTime(tree, () => {
      has(hints, { key: 'site/releases/1/b' });
      has(hints, { key: 'site/current/b' });
    });
    await symlink('releases/2', join(tree.root, 'next'));
    await rename(join(tree.root, 'next'), join(tree.root, 'current'));
    hints.length = 0;
    await inTime(tree, () => has(hints, { prefix: 'site/current/' }));
    hints.length = 0;
    await tree.write('releases/2/c');
    await inTime(tree, () => has(hints, { key: 'site/current/c' }));
  });
});

describe('a watch that cannot be complete', () => {
  test('for more changes at a time than may be kept says that all is to be looked at, and goes on', async () => {
    await using tree = await treeFixture({ hintsMax: 10 });
    const { hints } = await tree.watch();
    for (let at = 0; at < 100; at++) await tree.write(`d${at}/a`);
    await inTime(tree, () => has(hints, { all: true }));
    // What comes while everything is looked through anew is covered by that; after it, each is told by itself again.
    let later = 0;
    await eventually(async () => {
      await tree.write(`d99/${++later}`);
      tree.clock.advance(SETTLE_MS);
      expect(hints.some((hint) => 'key' in hint && hint.key.startsWith('site/d99/'))).toBe(true);
    });
  });

  test.each([
    ['the system gives no more', 'ENOSPC', undefined],
    ['it may have no more', undefined, 3],
  ])('because %s says so once, and looks through everything again and again', async (_, fail, watchesMax) => {
    let full = fail !== undefined;
    const open: FSWatcher[] = [];
    const watchDirectory = (path: string, options: { persistent: false }): FSWatcher => {
      if (full && open.length === 3) throw Object.assign(new Error('no more'), { code: fail });
      const watcher = watch(path, options);
      open.push(watcher);
      watcher.once('close', () => open.splice(open.indexOf(watcher), 1));
      return watcher;
    };
    await using tree = await treeFixture({ watchDirectory, watchesMax });
    for (let at = 0; at < 10; at++) await tree.write(`d${at}/a`);
    const { hints } = await tree.watch();
    expect(open).toHaveLength(3);
    for (let round = 0; round < 3; round++) {
      hints.length = 0;
      await inTime(tree, () => has(hints, { all: true }), RECHECK_MS / 10);
      expect(open.length).toBeLessThanOrEqual(3);
    }
    expect(tree.log.told).toEqual([NOTHING_WATCHED]);
    full = false;
    for (let at = 2; at < 10; at++) await rm(join(tree.root, `d${at}`), { recursive: true });
    await inTime(tree, () => expect(tree.log.told).toEqual([NOTHING_WATCHED, 'all of a source is watched again']), RECHECK_MS / 10);
  });

  test('because the root is gone says so once, and goes on when it is back', async () => {
    await using tree = await treeFixture();
    await tree.write('a/b');
    const { hints } = await tree.watch();
    await rename(tree.root, join(tree.outside, 'elsewhere'));
    await inTime(tree, () => expect(tree.log.told).toEqual([AWAY]), RECHECK_MS);
    for (let round = 0; round < 5; round++) tree.clock.advance(RECHECK_MS);
    await mkdir(tree.root);
    hints.length = 0;
    await inTime(tree, () => has(hints, { all: true }), RECHECK_MS);
    expect(tree.log.told).toEqual([AWAY, 'the root of a source is back, and is looked through']);
    await tree.write('a/c');
    await inTime(tree, () => has(hints, { prefix: 'site/a/' }));
    await tree.write('a/d');
    await inTime(tree, () => has(hints, { key: 'site/a/d' }));
  });

  test('because the root leads elsewhere now is built anew', async () => {
    await using tree = await treeFixture();
    await tree.write('1/a');
    await tree.write('2/a');
    await symlink('www/1', join(tree.outside, 'live'));
    await using live = await treeFixture({ root: join(tree.outside, 'live') });
    const { hints } = await live.watch();
    await symlink('www/2', join(tree.outside, 'next'));
    await rename(join(tree.outside, 'next'), join(tree.outside, 'live'));
    await inTime(live, () => has(hints, { all: true }), RECHECK_MS / 10);
    await tree.write('2/b');
    await inTime(live, () => has(hints, { key: 'site/b' }));
  });
});

test('whatever is made, moved and removed, each directory is watched once in the end, and none that is gone', async () => {
  const open = new Map<FSWatcher, string>();
  const watchDirectory = (path: string, options: { persistent: false }): FSWatcher => {
    const watcher = watch(path, options);
    open.set(watcher, path);
    return watcher.once('close', () => open.delete(watcher));
  };
  await using tree = await treeFixture({ watchDirectory });
  await tree.watch();
  for (let round = 0; round < 20; round++) {
    await tree.write('x/y/z/a');
    // So that what is noticed comes at another moment of the work each time.
    await new Promise((resolve) => setTimeout(resolve, round % 4));
    await tree.write(`x/w${round}/a`);
    await rename(join(tree.root, 'x/y'), join(tree.root, 'x/v'));
    await rm(join(tree.root, 'x'), { recursive: true });
  }
  await tree.write('x/y/z/a');
  const expected = [tree.root, ...['x', 'x/y', 'x/y/z'].map((path) => join(tree.root, path))];
  await eventually(() => expect([...open.values()].sort()).toEqual(expected));
});

test('ending a watch closes every watcher, also in the middle of its work', async () => {
  let open = 0;
  const watchDirectory = (path: string, options: { persistent: false }): FSWatcher => {
    open += 1;
    return watch(path, options).once('close', () => {
      open -= 1;
    });
  };
  await using tree = await treeFixture({ watchDirectory });
  for (let at = 0; at < 20; at++) await tree.write(`d${at}/e/a`);
  const { hints, stop } = await tree.watch();
  expect(open).toBe(41);
  await rename(join(tree.root, 'd0'), join(tree.root, 'moved'));
  for (let at = 0; at < 20; at++) await tree.write(`n${at}/e/a`);
  await stop();
  await eventually(() => expect(open).toBe(0));
  const told = hints.length;
  await tree.write('late');
  tree.clock.advance(RECHECK_MS * 3);
  expect([open, hints.length]).toEqual([0, told]);
});
