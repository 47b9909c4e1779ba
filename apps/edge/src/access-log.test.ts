/** The access log of an edge as it runs. */
import { execFileSync, spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { open, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { signedQuery } from '@sluice/signed-url';
import { eventually, temporaryDirectory } from '@sluice/testkit';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Scene } from './scene.fixture.ts';

let dir: Awaited<ReturnType<typeof temporaryDirectory>>;
beforeEach(async () => {
  dir = await temporaryDirectory();
});
afterEach(() => dir[Symbol.asyncDispose]());

const file = () => join(dir.path, 'access.log');

async function startScene(variables: Record<string, string> = {}): Promise<Scene> {
  const scene = await Scene.start({ EDGE_ACCESS_LOG: 'json', EDGE_ACCESS_LOG_FILE: file(), ...variables });
  await scene.pushStore(scene.origin.upload('site/a', Buffer.from('content a')));
  return scene;
}
/** The lines of the file, without those of the scene's own look at `/readyz`. */
async function lines(path = file()): Promise<Record<string, unknown>[]> {
  const all = (await readFile(path, 'utf8')).split('\n').slice(0, -1);
  return all.map((line) => JSON.parse(line) as Record<string, unknown>).filter(({ target }) => target !== '/readyz');
}

test('each answer has its line: how it came about, which version it shows, how many bytes it has', async () => {
  await using scene = await startScene();
  scene.origin.upload('site/far', Buffer.from('far away'), { regions: ['EU'] });
  const large = scene.origin.upload('site/large', Buffer.alloc(3_000_000, 'x'));
  await scene.pushStore(large);
  await scene.get('site/a');
  await scene.get('site/far');
  await scene.get('site/none');
  await scene.get('site/large');
  await scene.get('site/a', { range: 'bytes=0-1,200-' });
  await fetch(scene.url('site/a'), { method: 'POST', body: 'x' });
  await fetch(scene.url('site/a'), { method: 'HEAD' });
  const etag = (await scene.get('site/a')).headers.get('etag') ?? '';
  await scene.get('site/a', { 'if-none-match': etag });
  await scene.stopEdge();
  const logged = await lines();
  expect(logged.map(({ target, status, cache, bodyBytes, complete }) => [target, status, cache, bodyBytes, complete])).toEqual([
    ['/site/a', 200, 'hit', 9, true],
    ['/site/far', 200, 'miss', 8, true],
    ['/site/none', 404, 'absent', expect.any(Number), true],
    ['/site/large', 200, 'hit', 3_000_000, true],
    ['/site/a', 206, 'hit', 2, true],
    ['/site/a', 405, 'invalid', expect.any(Number), true],
    ['/site/a', 200, 'hit', 0, true],
    ['/site/a', 200, 'hit', 9, true],
    ['/site/a', 304, 'hit', 0, true],
  ]);
  expect(logged[3]?.version).toBe(large.version);
});

test('the file is for the edge and its group alone', async () => {
  await using scene = await startScene({ EDGE_SERVING_THREADS: '2' });
  await scene.get('site/a');
  expect((await stat(file())).mode & 0o777 & ~0o640).toBe(0);
});

test('a named pipe takes the lines of all threads, and one that nobody reads ends the start', async () => {
  execFileSync('mkfifo', [file()]);
  await expect(startScene()).rejects.toThrow(/EDGE_ACCESS_LOG_FILE: ENXIO/);
  const held = await open(file(), constants.O_RDONLY | constants.O_NONBLOCK);
  // It reads until there is no writer any more.
  const lines = text(spawn('cat', [file()]).stdout);
  await (await startScene({ EDGE_SERVING_THREADS: '2' }))[Symbol.asyncDispose]();
  expect(await lines).toContain('"/readyz"');
  await held.close();
});

test('a body of several ranges is counted with its boundaries, as it is on the wire', async () => {
  await using scene = await startScene();
  await scene.pushStore(scene.origin.upload('site/large', Buffer.alloc(3_000_000, 'x')));
  const { body } = await scene.get('site/large', { range: 'bytes=0-0,2000000-2000009' });
  await scene.stopEdge();
  expect(await lines()).toMatchObject([{ status: 206, bodyBytes: body.byteLength }]);
});

test('the file is renamed and SIGHUP follows: later lines are in a new one, none is lost and none is there twice', async () => {
  await using scene = await startScene();
  await scene.get('site/a');
  await eventually(async () => expect(await lines()).toHaveLength(1));
  await rename(file(), `${file()}.1`);
  process.emit('SIGHUP');
  await eventually(async () => expect(await lines()).toEqual([]));
  await scene.get('site/a?2');
  await scene.stopEdge();
  expect([await lines(`${file()}.1`), await lines()]).toMatchObject([[{ target: '/site/a' }], [{ target: '/site/a?2' }]]);
});

test('a visitor that leaves in the middle of a download has a line that says so, with the bytes that went out', async () => {
  await using scene = await startScene();
  const size = 64 * 1024 ** 2;
  await scene.pushStore(scene.origin.upload('site/large', Buffer.alloc(size, 'x')));
  const socket = connect(scene.edge?.port ?? 0, '127.0.0.1');
  socket.write('GET /site/large HTTP/1.1\r\nHost: x\r\n\r\n');
  let received = 0;
  for await (const piece of socket) {
    received += (piece as Buffer).byteLength;
    if (received > 2_000_000) break;
  }
  socket.destroy();
  await eventually(async () => expect(await lines()).toHaveLength(1));
  const [line] = await lines();
  expect(line).toMatchObject({ target: '/site/large', status: 200, cache: 'hit', complete: false });
  expect(line?.bodyBytes).toBeGreaterThan(1_000_000);
  expect(line?.bodyBytes).toBeLessThan(size);
});

test.each(['combined', 'json'])('a signed link is logged without its signature, as %s', async (format) => {
  const secret = Buffer.alloc(32, 1);
  const sites = join(dir.path, 'sites.yaml');
  await writeFile(
    sites,
    `sites: [{ name: members, hosts: [m.org], bucket: site, signedUrls: { keys: { k1: "${secret.toString('base64')}" } } }]`,
  );
  await using scene = await startScene({ EDGE_SITES_FILE: sites, EDGE_ACCESS_LOG: format });
  const link = `/a?${signedQuery('members', { kind: 'path', path: '/a' }, 4_000_000_000, { id: 'k1', secret })}`;
  const socket = connect(scene.edge?.port ?? 0, '127.0.0.1');
  socket.write(`GET ${link} HTTP/1.1\r\nHost: m.org\r\nReferer: https://m.org${link}\r\nConnection: close\r\n\r\n`);
  expect(await text(socket)).toMatch(/^HTTP\/1\.1 200 .*content a$/s);
  await scene.stopEdge();
  const last = (await readFile(file(), 'utf8')).trimEnd().split('\n').at(-1) ?? '';
  const shown = '/a?sluice-expires=4000000000&sluice-key=k1&sluice-signature=redacted';
  if (format === 'combined') expect(last).toMatch(/^127\.0\.0\.1 - - \[.*\] "GET .* HTTP\/1\.1" 200 9 "https:.*" "-"$/);
  else expect(JSON.parse(last)).toMatchObject({ site: 'members', status: 200, referer: `https://m.org${shown}` });
  expect(last.split(shown)).toHaveLength(3);
});
