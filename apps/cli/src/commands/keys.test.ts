/** The commands against an origin with keys. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Stack } from '@sluice/stack';
import { temporaryDirectory } from '@sluice/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sluice as run } from '../captured-io.fixture.ts';

const SECRET = 's'.repeat(40);
const key = (accessKeyId: string, rights: string[]) => ({ accessKeyId, secretAccessKey: SECRET, rights: { site: rights } });

let dir: Awaited<ReturnType<typeof temporaryDirectory>>;
let stack: Stack;
let file: string;
beforeAll(async () => {
  dir = await temporaryDirectory();
  const keysFile = join(dir.path, 'keys.json');
  await writeFile(keysFile, JSON.stringify({ keys: [key('all', ['read', 'write', 'delete', 'invalidate']), key('reader', ['read'])] }));
  file = join(dir.path, 'a file (1)+.txt');
  await writeFile(file, 'hello');
  const edges = [{ id: 'us-1', region: 'US' }];
  stack = await Stack.start({ dataDir: join(dir.path, 'stack'), edges, env: { origin: { ORIGIN_KEYS_FILE: keysFile } } });
}, 60_000);
afterAll(async () => {
  await stack?.stop();
  await dir?.[Symbol.asyncDispose]();
}, 30_000);

const sluice = (accessKeyId: string, ...args: string[]) =>
  run(
    ...args,
    '--origin',
    stack.origin.url,
    '--controller',
    stack.controller.url,
    '--access-key-id',
    accessKeyId,
    '--secret-access-key',
    SECRET,
  );

test('with a key everything works as without, and the edges serve it', async () => {
  const name = 'site/a file (1)+.txt';
  expect(await sluice('all', 'put', file, 'site/', '--regions', 'US', '--wait')).toMatchObject({ exitCode: 0 });
  expect(await sluice('all', 'get', name)).toMatchObject({ exitCode: 0, stdout: 'hello' });
  expect(await run('get', name, '--edge', stack.edge('us-1').url)).toMatchObject({ exitCode: 0, stdout: 'hello' });
  expect(await sluice('all', 'invalidate', '--prefix', 'site/', '--wait')).toMatchObject({ exitCode: 0 });
  expect(await sluice('all', 'rm', name)).toMatchObject({ exitCode: 0 });
}, 30_000);

test('what a key may not do is refused with the right that is missing', async () => {
  for (const command of [
    ['put', file, 'site/'],
    ['rm', 'site/a'],
    ['invalidate', '--all'],
  ]) {
    expect(await sluice('reader', ...command)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/reader has not the right "\w+"/),
    });
  }
  expect(await run('put', file, 'site/', '--origin', stack.origin.url)).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('signed'),
  });
});

test('half a key is a usage error', async () => {
  expect(await run('rm', 'site/a', '--origin', stack.origin.url, '--access-key-id', 'all')).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining('SLUICE_SECRET_ACCESS_KEY'),
  });
});
