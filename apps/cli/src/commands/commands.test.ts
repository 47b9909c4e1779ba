/** Every command against a real stack: broker, origin, controller and three edges as processes. */
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Stack } from '@sluice/stack';
import { temporaryDirectory } from '@sluice/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CapturedIo, sluice as run } from '../captured-io.fixture.ts';
import { runProgram } from '../program.ts';

let dir: Awaited<ReturnType<typeof temporaryDirectory>>;
let stack: Stack;
let where: string[];
beforeAll(async () => {
  dir = await temporaryDirectory();
  const edges = [
    { id: 'us-1', region: 'US' },
    { id: 'eu-1', region: 'EU' },
    { id: 'in-1', region: 'IN' },
  ];
  stack = await Stack.start({ dataDir: join(dir.path, 'stack'), edges });
  where = ['--origin', stack.origin.url, '--controller', stack.controller.url, '--nats', stack.natsUrl];
}, 60_000);
afterAll(async () => {
  await stack?.stop();
  await dir?.[Symbol.asyncDispose]();
}, 30_000);

const sluice = (...args: string[]) => run(...args, ...where);

async function file(name: string, content: string): Promise<string> {
  const path = join(dir.path, 'files', name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  return path;
}

describe('sluice', () => {
  test('put --wait ends when every edge has it, and get gives it back from the origin and from an edge', async () => {
    const path = await file('hello.txt', 'hello');
    const { exitCode, stdout, stderr, io } = await sluice('put', path, 'site/', '--wait', '--json');
    expect([exitCode, stderr]).toEqual([0, '']);
    const [document] = io.documents as [{ distribution: { edges: { edge: string }[] } }];
    expect(document).toMatchObject({ key: 'site/hello.txt', sizeBytes: 5, distribution: { status: 'distributed', complete: true } });
    expect(document.distribution.edges.map(({ edge }) => edge).sort()).toEqual(['eu-1', 'in-1', 'us-1']);
    expect(stdout.trim().split('\n')).toHaveLength(1);

    for (const source of [[], ['--edge', stack.edge('in-1').url]]) {
      expect(await sluice('get', 'site/hello.txt', ...source)).toMatchObject({ exitCode: 0, stdout: 'hello', stderr: '' });
    }
    const words = await sluice('put', path, 'site/', '--wait');
    expect(words.stdout).toMatch(/^put site\/hello\.txt {2}5 B {2}version \d+ {2}event \S+\ndistributed to 3 edges in \S+\n$/);
    expect(words.stderr.split('\n').filter((line) => /^(us|eu|in)-1 \(..\) stored/.test(line))).toHaveLength(3);
  }, 30_000);

  test('rollback --wait brings what was there before back to every edge, also after a removal, and without moving bytes that edges hold', async () => {
    const [first, second] = ['first '.repeat(10_000), 'second '.repeat(10_000)];
    const put = async (content: string): Promise<number> => {
      const { io } = await sluice('put', await file('back.txt', content), 'back/a.txt', '--wait', '--json');
      return (io.documents[0] as { version: number }).version;
    };
    const expectEverywhere = async (content: string): Promise<void> => {
      for (const id of ['us-1', 'eu-1', 'in-1']) {
        expect((await sluice('get', 'back/a.txt', '--edge', stack.edge(id).url)).stdout).toBe(content);
      }
    };
    const version = await put(first);
    await put(second);
    const back = await sluice('rollback', 'back/a.txt', '--wait', '--json');
    expect([back.exitCode, back.stderr]).toEqual([0, '']);
    const { edges } = (back.io.documents[0] as { distribution: { edges: { bytes: number }[] } }).distribution;
    expect(edges.map(({ bytes }) => bytes)).toEqual([0, 0, 0]);
    await expectEverywhere(first);

    expect(await sluice('rollback', 'back/a.txt', '--wait')).toMatchObject({ exitCode: 0, stderr: expect.not.stringContaining('error') });
    await expectEverywhere(second);
    await sluice('rm', 'back/a.txt', '--wait');
    expect((await sluice('rollback', 'back/a.txt', '--wait')).exitCode).toBe(0);
    await expectEverywhere(second);
    expect(await sluice('rollback', 'back/a.txt', '--to', String(version - 1))).toMatchObject({
      exitCode: 3,
      stderr: expect.stringContaining('no such version of this object is kept'),
    });
  }, 60_000);

  test('rollback --prefix brings every key back that begins so to what it was at a version, and says of which it cannot', async () => {
    const put = async (key: string, content: string): Promise<number> => {
      const { io } = await sluice('put', await file('site.txt', content), key, '--wait', '--json');
      return (io.documents[0] as { version: number }).version;
    };
    const old = [await put('pre/a.txt', 'a1'), await put('pre/b.txt', 'b1')];
    await put('pre/a.txt', 'a2');
    await sluice('rm', 'pre/b.txt', '--wait');
    for (const content of ['c1', 'c2', 'c3']) await put('pre/c.txt', content);
    await put('other/a.txt', 'o1');
    const back = await sluice('rollback', '--prefix', 'pre/', '--to', String(Math.max(...old)), '--wait');
    expect(back.exitCode).toBe(0);
    expect(back.stdout).toContain('rolled back 2 keys of pre/; 0 were so already');
    expect(back.stdout).toContain('2 of 2 keys on every live edge');
    expect(back.stderr).toContain('of 1 key that version is not kept any more');
    const read = async (key: string): Promise<string> => (await sluice('get', key, '--edge', stack.edge('us-1').url)).stdout;
    expect([await read('pre/a.txt'), await read('pre/b.txt'), await read('pre/c.txt')]).toEqual(['a1', 'b1', 'c3']);
    expect(await sluice('rollback', '--prefix', 'none/')).toMatchObject({ exitCode: 3 });
    expect(await sluice('rollback')).toMatchObject({ exitCode: 2 });
  }, 60_000);

  test('a directory comes to every edge whole, whatever its files are called', async () => {
    const names = [
      'a b.txt',
      'c+d.txt',
      'e%41.txt',
      'é/ü ß.txt',
      '雪.txt',
      "it's (1)!.txt",
      '#?&=.txt',
      'deep/er/x.txt',
      '~a;b:c@d,e$.txt',
    ];
    for (const name of names) await file(`tree/${name}`, name);
    const tree = join(dir.path, 'files/tree');
    await symlink('.', join(tree, 'circle'));
    const { exitCode, io, stderr } = await sluice('put', tree, 'site/tree', '--wait', '--json');
    expect(exitCode).toBe(0);
    expect(stderr).toBe(`warning: left out ${join(tree, 'circle')}: not a file\n`);
    expect(io.documents.map(({ key }) => key).sort()).toEqual(names.map((name) => `site/tree/${name}`).sort());
    for (const name of names) {
      const got = await sluice('get', `site/tree/${name}`, '--edge', stack.edge('eu-1').url);
      expect([got.exitCode, got.stdout]).toEqual([0, name]);
    }
  }, 30_000);

  test('--regions sends it to those regions only, and one without an edge is warned about, with and without --wait', async () => {
    const path = await file('local.txt', 'local');
    const waited = await sluice('put', path, 'site/', '--regions', 'us,XX', '--wait', '--json');
    expect(waited.exitCode).toBe(0);
    expect(waited.io.documents[0]).toMatchObject({ distribution: { edges: [{ edge: 'us-1' }], emptyRegions: ['XX'] } });
    const noted = await sluice('put', path, 'site/', '--regions', 'us,XX');
    for (const { stderr } of [waited, noted]) expect(stderr).toContain('warning: no live edge in XX');
  }, 30_000);

  test('invalidate reaches every edge, by tag and as a purge', async () => {
    await sluice('put', await file('tagged.txt', 't'), 'site/', '--tags', 'v41', '--wait');
    const byTag = await sluice('invalidate', '--tag', 'v41', '--wait');
    expect(byTag).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^invalidated tag=v41 {2}version \d+.*\ndistributed to 3 edges/),
    });
    const purged = await sluice('invalidate', '--prefix', 'site/', '--purge', '--wait', '--json');
    expect(purged.io.documents[0]).toMatchObject({ selector: { prefix: 'site/' }, mode: 'purge', distribution: { complete: true } });
    expect((await sluice('invalidate', '--key', 'site/never-was')).exitCode).toBe(3);
  }, 30_000);

  test('rm takes it away everywhere; a second time there is nothing', async () => {
    await sluice('put', await file('gone.txt', 'x'), 'site/', '--wait');
    expect(await sluice('rm', 'site/gone.txt', '--wait')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('distributed to 3 edges'),
    });
    expect(await sluice('rm', 'site/gone.txt')).toMatchObject({ exitCode: 3, stderr: 'error: there is no site/gone.txt at the origin\n' });
    for (const source of [[], ['--edge', stack.edge('us-1').url]]) {
      expect((await sluice('get', 'site/gone.txt', ...source)).exitCode).toBe(3);
    }
  }, 30_000);

  test('edges lists the live ones, status tells of an event edge by edge', async () => {
    const { stdout, exitCode } = await sluice('edges');
    expect(exitCode).toBe(0);
    expect(stdout.split('\n').map((line) => line.split(/ +/).slice(0, 2))).toEqual([
      ['EDGE', 'REGION'],
      ['eu-1', 'EU'],
      ['in-1', 'IN'],
      ['us-1', 'US'],
      [''],
    ]);
    expect(((await sluice('edges', '--json')).io.documents[0] as { edges: unknown[] }).edges).toHaveLength(3);

    const [put] = (await sluice('put', await file('s.txt', 's'), 'site/', '--wait', '--json')).io.documents;
    const status = await sluice('status', String(put?.id));
    expect(status.exitCode).toBe(0);
    expect(status.stdout).toMatch(/^uploaded site\/s\.txt {2}version \d+ {2}distributed to 3 edges/);
    expect(status.stdout).toMatch(/^us-1 +US +stored +(full|same|delta)/m);
    expect((await sluice('status', 'no-such-event')).exitCode).toBe(3);
  }, 30_000);

  test('watch shows the edges and what happens, and ends after --count or with Ctrl-C', async () => {
    const io = new CapturedIo();
    const watching = runProgram(['watch', '--json', ...where], io);
    for (const id of ['us-1', 'eu-1', 'in-1']) await io.stdoutHas(`"id":"${id}"`);
    await sluice('put', await file('w.txt', 'w'), 'site/', '--wait');
    await io.stdoutHas('"kind":"distributed"');
    io.interrupt();
    expect(await watching).toBe(0);
    expect(io.documents).toContainEqual(
      expect.objectContaining({ kind: 'uploaded', at: expect.any(String), message: expect.objectContaining({ key: 'site/w.txt' }) }),
    );
    expect(io.interruptListeners).toBe(0);
    const counted = await sluice('watch', '--count', '2');
    expect([counted.exitCode, counted.stdout.trim().split('\n').length]).toEqual([0, 2]);
  }, 30_000);

  test('a hung edge makes put --wait end with 4 and a table that names it; it is told which edges have it', async () => {
    const edge = stack.edge('in-1');
    edge.pause();
    try {
      const { exitCode, stdout, stderr } = await sluice('put', await file('h.txt', 'h'), 'site/', '--wait', '--timeout', '1');
      expect(exitCode).toBe(4);
      expect(stdout).toMatch(/^in-1 +IN +pending/m);
      expect(stdout).toMatch(/^us-1 +US +stored/m);
      expect(stderr).toMatch(/warning: not everywhere after 1s; "sluice status \S+" tells how it goes on/);
    } finally {
      edge.resume();
    }
  }, 30_000);

  test('get -o writes the file under its name', async () => {
    await sluice('put', await file('o.txt', 'out'), 'site/x/o.txt');
    const target = join(dir.path, 'o-copy.txt');
    expect((await sluice('get', 'site/x/o.txt', '-o', target, '--json')).io.documents).toEqual([
      { key: 'site/x/o.txt', file: target, sizeBytes: 3, contentType: 'text/plain; charset=utf-8' },
    ]);
    expect(await readFile(target, 'utf8')).toBe('out');
    expect((await sluice('get', 'site/x/o.txt', '-o', join(dir.path, 'none/x'))).stderr).toContain('there is no such directory');
  }, 30_000);
});
