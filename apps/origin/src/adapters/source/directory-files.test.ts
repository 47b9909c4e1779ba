import { execFileSync } from 'node:child_process';
import { chmod, link, mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { RevisionGoneError, SourceAwayError } from '../../services/source-port.ts';
import { parseSourceRules } from '../../source-rules-config.ts';
import { treeFixture } from '../../testing/directory-tree.fixture.ts';

/** More than it takes until the files of a test have settled. */
const LATER = 60_000;

/** An empty directory on another file system than temporary ones are; undefined where there is none. */
async function otherFileSystem(): Promise<(AsyncDisposable & { readonly path: string }) | undefined> {
  const here = await stat(tmpdir());
  const there = await stat('/dev/shm').catch(() => undefined);
  if (there === undefined || there.dev === here.dev) return undefined;
  const path = await mkdtemp('/dev/shm/sluice-test-');
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

describe('files that are being written', () => {
  test('are there, but settling, and neither described nor opened until they have been left alone for the time of settling', async () => {
    await using tree = await treeFixture();
    await tree.write('a');
    const young = await tree.find('a');
    expect(young).toMatchObject({ key: 'site/a', settling: true });
    for await (const page of tree.source.list('')) expect(page).toEqual([young]);
    if (young === undefined) throw new Error('not found');
    await expect(tree.source.describe(young)).rejects.toThrow(RevisionGoneError);
    await expect(tree.source.open(young)).rejects.toThrow(RevisionGoneError);
    tree.clock.advance(LATER);
    const settled = await tree.find('a');
    expect(settled).toEqual({ ...young, settling: undefined });
    expect(settled).not.toHaveProperty('settling');
  });

  test('wait from their last change on, whatever their mtime says', async () => {
    await using tree = await treeFixture();
    await tree.write('a');
    await utimes(join(tree.root, 'a'), new Date(0), new Date(0));
    await tree.write('b');
    await utimes(join(tree.root, 'b'), new Date('2100-01-01'), new Date('2100-01-01'));
    expect([(await tree.find('a'))?.settling, (await tree.find('b'))?.settling]).toEqual([true, true]);
    tree.clock.advance(LATER);
    const [a, b] = [await tree.find('a'), await tree.find('b')];
    if (a === undefined || b === undefined) throw new Error('not found');
    expect([(await tree.source.describe(a)).modifiedAt, (await tree.source.describe(b)).modifiedAt]).toEqual([
      '1970-01-01T00:00:00.000Z',
      '2100-01-01T00:00:00.000Z',
    ]);
  });

  test('also wait when a rename put them there: nothing tells that from a file that was written there', async () => {
    await using tree = await treeFixture();
    await writeFile(join(tree.outside, 'b'), 'b');
    await rename(join(tree.outside, 'b'), join(tree.root, 'b'));
    expect((await tree.find('b'))?.settling).toBe(true);
  });
});

test('where a disk was unmounted the empty directory below it is no empty source; with the disk its files are back', async () => {
  await using tree = await treeFixture();
  await using other = await otherFileSystem();
  if (other === undefined) return;
  await tree.write('a');
  const mounted = join(tree.outside, 'mounted');
  await rename(tree.root, mounted);
  await symlink(mounted, tree.root);
  expect(await tree.keys()).toEqual(['a']);
  await rm(tree.root);
  await symlink(other.path, tree.root);
  await expect(tree.keys()).rejects.toThrow('mount what was there');
  await expect(tree.find('a')).rejects.toThrow(SourceAwayError);
  await rm(tree.root);
  await symlink(mounted, tree.root);
  expect(await tree.keys()).toEqual(['a']);
  // What is not empty is another release, on a disk of its own.
  await writeFile(join(other.path, 'b'), 'b');
  await rm(tree.root);
  await symlink(other.path, tree.root);
  expect(await tree.keys()).toEqual(['b']);
});

describe('symbolic links', () => {
  async function linked(followLinks?: boolean) {
    const tree = await treeFixture({ followLinks });
    await tree.write('releases/1/a');
    await writeFile(join(tree.outside, 'secret'), 'secret');
    await mkdir(join(tree.outside, 'www-not'));
    await writeFile(join(tree.outside, 'www-not/secret'), 'secret');
    await symlink('releases/1', join(tree.root, 'current'));
    await symlink('releases/1/a', join(tree.root, 'file'));
    await symlink('../secret', join(tree.root, 'out'));
    await symlink(join(tree.outside, 'www-not'), join(tree.root, 'out-dir'));
    await symlink(tree.outside, join(tree.root, 'up'));
    await symlink('/proc/self/root', join(tree.root, 'magic'));
    await symlink('nowhere', join(tree.root, 'dangling'));
    await symlink('circle-2', join(tree.root, 'circle-1'));
    await symlink('circle-1', join(tree.root, 'circle-2'));
    await symlink('..', join(tree.root, 'releases/loop'));
    await symlink('.', join(tree.root, 'self'));
    tree.clock.advance(LATER);
    return tree;
  }
  const notFound = [
    'out',
    'out-dir/secret',
    'up/secret',
    'up/www/releases/1/a',
    'magic',
    'magic/etc/passwd',
    'dangling',
    'circle-1',
    'self/file',
    'releases/loop/file',
  ];

  test('are followed where they stay in the root, never out of it, and never in circles', async () => {
    await using tree = await linked();
    expect(await tree.keys()).toEqual(['current/a', 'file', 'releases/1/a']);
    for (const path of notFound) expect([path, await tree.find(path)]).toEqual([path, undefined]);
    expect(tree.leftOut.map(([path]) => path).sort()).toEqual(['magic', 'out', 'out-dir', 'releases/loop', 'self', 'up']);
    const object = await tree.find('current/a');
    if (object === undefined) throw new Error('not found');
    const { chunks } = await tree.source.open(object);
    for await (const chunk of chunks) expect(Buffer.from(chunk).toString()).toBe('releases/1/a');
  });

  test('are not followed at all when that is asked for', async () => {
    await using tree = await linked(false);
    expect(await tree.keys()).toEqual(['releases/1/a']);
    for (const path of [...notFound, 'current/a', 'file']) expect([path, await tree.find(path)]).toEqual([path, undefined]);
  });

  test('of which one leads elsewhere now are another state', async () => {
    await using tree = await linked();
    const before = await tree.find('current/a');
    if (before === undefined) throw new Error('not found');
    await tree.write('releases/2/a');
    await symlink('releases/2', join(tree.root, 'next'));
    await rename(join(tree.root, 'next'), join(tree.root, 'current'));
    tree.clock.advance(LATER);
    expect((await tree.find('current/a'))?.bytesRevision).not.toBe(before.bytesRevision);
    await expect(tree.source.open(before)).rejects.toThrow(RevisionGoneError);
  });

  test('lead to the root as well, to the next release from one moment to the other', async () => {
    await using tree = await treeFixture({ root: '/nowhere' });
    await expect(tree.keys()).rejects.toThrow(SourceAwayError);
    await using linkedTree = await treeFixture({ root: join(tree.outside, 'live') });
    await tree.write('1/a');
    await tree.write('2/b');
    await symlink('www/1', join(tree.outside, 'live'));
    linkedTree.clock.advance(LATER);
    expect(await linkedTree.keys()).toEqual(['a']);
    await rm(join(tree.outside, 'live'));
    await symlink('www/2', join(tree.outside, 'live'));
    expect(await linkedTree.keys()).toEqual(['b']);
  });
});

describe('what is no content', () => {
  test('is skipped: pipes and sockets, which opening would hang on', async () => {
    await using tree = await treeFixture();
    execFileSync('mkfifo', [join(tree.root, 'pipe')]);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(tree.root, 'socket'), resolve));
    await tree.write('a');
    tree.clock.advance(LATER);
    expect(await tree.keys()).toEqual(['a']);
    expect([await tree.find('pipe'), await tree.find('socket')]).toEqual([undefined, undefined]);
    expect(tree.leftOut).toEqual([
      ['pipe', 'is neither a file nor a directory'],
      ['socket', 'is neither a file nor a directory'],
    ]);
    await new Promise((resolve) => server.close(resolve));
  });

  test('is told in the log by an example of each kind, once, however many there are and however often they are found', async () => {
    await using tree = await treeFixture();
    for (const name of ['pipe-1', 'pipe-2']) execFileSync('mkfifo', [join(tree.root, name)]);
    for (const name of ['out-1', 'out-2']) await symlink('/etc/hostname', join(tree.root, name));
    for (let look = 0; look < 3; look++) await tree.keys();
    expect(tree.leftOut).toHaveLength(12);
    expect(tree.log.told).toEqual(['files of the source are left out', 'files of the source are left out']);
  });

  test('by a rule is neither listed nor found nor entered, also under another name of the path', async () => {
    await using tree = await treeFixture({
      rulesFile: 'rules: [{ path: drafts/**, ignore: true }, { path: drafts/ready.html, ignore: false }]',
    });
    for (const path of ['.git/config', '.well-known/x', 'a/.env', 'a/b', 'a/b.part', 'drafts/a', 'drafts/ready.html'])
      await tree.write(path);
    tree.clock.advance(LATER);
    expect(await tree.keys()).toEqual(['.well-known/x', 'a/b']);
    for (const path of ['.git/config', 'a/.env', 'a/b.part', 'drafts/a', 'drafts/ready.html'])
      expect([path, await tree.find(path)]).toEqual([path, undefined]);
    expect(tree.leftOut).toEqual([]);
  });

  test('changes with the rules, and so do fields, without reading bytes again', async () => {
    let rules = parseSourceRules('rules: [{ path: "**", cacheControl: max-age=1, expires: "0" }]');
    await using tree = await treeFixture({ rules: () => rules });
    await tree.write('a.html');
    await tree.write('b.html');
    tree.clock.advance(LATER);
    const before = await tree.find('a.html');
    rules = parseSourceRules('rules: [{ path: "**", expires: "0" }, { path: "*.html", cacheControl: max-age=1 }]');
    expect(await tree.find('a.html')).toEqual(before);
    rules = parseSourceRules('rules: [{ path: a.html, cacheControl: max-age=2 }, { path: b.html, ignore: true }]');
    const after = await tree.find('a.html');
    expect(after?.bytesRevision).toBe(before?.bytesRevision);
    expect(after?.revision).not.toBe(before?.revision);
    expect(await tree.keys()).toEqual(['a.html']);
  });
});

describe('a directory that cannot be read', () => {
  test('is no directory without files: a root that is gone, or is none', async () => {
    await using tree = await treeFixture();
    await tree.write('a');
    tree.clock.advance(LATER);
    const object = await tree.find('a');
    if (object === undefined) throw new Error('not found');
    await rename(tree.root, join(tree.outside, 'elsewhere'));
    for (const attempt of [
      () => tree.keys(),
      () => tree.find('a'),
      () => tree.find('b'),
      () => tree.watch(),
      () => tree.source.describe(object),
      () => tree.source.open(object),
    ]) {
      await expect(attempt()).rejects.toThrow(SourceAwayError);
    }
    await writeFile(tree.root, 'a file');
    await expect(tree.keys()).rejects.toThrow('it is no directory');
  });

  test('nor is one that is taken away while it is listed', async () => {
    await using tree = await treeFixture();
    for (let at = 0; at < 1_000; at++) await tree.write(`a/${at}`);
    await tree.write('b/c');
    const pages = tree.source.list('');
    expect((await pages.next()).value).toHaveLength(1_000);
    await rename(tree.root, join(tree.outside, 'elsewhere'));
    await expect(pages.next()).rejects.toThrow(SourceAwayError);
  });

  test('nor does what was looked at before it was taken away come as all there is', async () => {
    await using tree = await treeFixture();
    // In each directory on the way, as many files as are looked at together with the directory that comes before them.
    const directories = Array.from({ length: 17 }, (_, depth) => 'a/'.repeat(depth));
    for (const directory of directories) for (let at = 0; at < 62; at++) await tree.write(`${directory}b${at}`);
    for (let at = 0; at < 1_500; at++) await tree.write(`${directories.at(-1)}a/${at}`);
    const pages = tree.source.list('');
    expect((await pages.next()).value).toHaveLength(1_000);
    await rename(tree.root, join(tree.outside, 'elsewhere'));
    await expect(pages.next()).rejects.toThrow(SourceAwayError);
  });

  test('because of its rights says so, and what to do', async ({ skip }) => {
    await using tree = await treeFixture();
    await tree.write('a/b');
    await tree.write('c');
    tree.clock.advance(LATER);
    await chmod(tree.outside, 0o755);
    await asNobody(async () => {
      await stat(tree.root).catch(() => skip('temporary directories are not open to others here'));
      expect(await tree.keys()).toEqual(['a/b', 'c']);
    });
    await chmod(join(tree.root, 'a'), 0o700);
    await chmod(join(tree.root, 'c'), 0o600);
    tree.clock.advance(LATER);
    await asNobody(async () => {
      await expect(tree.keys()).rejects.toThrow(
        /the directory .*www cannot be read: "a" may not be read by this user \(EACCES\): give it the right, or let a rule ignore it/,
      );
      await expect(tree.find('a/b')).rejects.toThrow(SourceAwayError);
      const unreadable = await tree.find('c');
      if (unreadable === undefined) throw new Error('not found');
      await expect(tree.source.open(unreadable)).rejects.toThrow('"c" may not be read by this user');
    });
  });
});

test('nothing is written: not a byte, a name, a right or a stamp, but for when it was last read', async () => {
  await using tree = await treeFixture();
  for (const path of ['a', 'b/c', '.hidden']) await tree.write(path);
  await link(join(tree.root, 'a'), join(tree.root, 'hard'));
  tree.clock.advance(LATER);
  const states = async () =>
    await Promise.all(
      (await readdir(tree.root, { recursive: true })).sort().map(async (path) => {
        const { mtimeNs, ctimeNs, mode, ino, nlink } = await stat(join(tree.root, path), { bigint: true });
        return [path, mtimeNs, ctimeNs, mode, ino, nlink];
      }),
    );
  const before = await states();
  const { stop } = await tree.watch();
  for await (const page of tree.source.list('')) {
    for (const object of page) {
      await tree.source.describe(object);
      for await (const _ of (await tree.source.open(object)).chunks);
    }
  }
  await stop();
  expect(await states()).toEqual(before);
  expect((await readFile(join(tree.root, 'a'))).toString()).toBe('a');
});

test('a file into which something writes all the time is never read as a mixture', async () => {
  await using tree = await treeFixture({ settleMs: 20 });
  const bytes = 3 * 1024 * 1024;
  await tree.write('a', 'a'.repeat(bytes));
  const file = await open(join(tree.root, 'a'), 'r+');
  let whole = 0;
  let gone = 0;
  for (let round = 0; round < 40; round++) {
    tree.clock.advance(LATER);
    const object = await tree.find('a');
    if (object === undefined) throw new Error('not found');
    const { chunks } = await tree.source.open(object);
    const letter = round % 2 === 0 ? 'b' : 'a';
    const taken: Uint8Array[] = [];
    let writing: Promise<unknown> | undefined;
    try {
      for await (const chunk of chunks) {
        taken.push(chunk);
        // Sometimes before, sometimes while and sometimes after the last chunk is read.
        if (taken.length === 1 + (round % 12)) writing = file.write(Buffer.alloc(bytes, letter), 0, bytes, 0);
      }
      whole += 1;
      expect(new Set(Buffer.concat(taken)).size).toBe(1);
    } catch (error) {
      expect(error).toBeInstanceOf(RevisionGoneError);
      gone += 1;
    }
    await writing;
    await file.write(Buffer.alloc(bytes, letter), 0, bytes, 0);
  }
  await file.close();
  expect(gone).toBeGreaterThan(10);
  expect(whole + gone).toBe(40);
});

/** With the rights of a user who owns nothing; who runs the tests may be one already. */
async function asNobody(work: () => Promise<void>): Promise<void> {
  const isRoot = process.getuid?.() === 0;
  if (isRoot) process.seteuid?.(65_534);
  try {
    await work();
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}
