/** The commands against a controller that wants an admin token. */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Stack } from '@sluice/stack';
import { temporaryDirectory } from '@sluice/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { sluice as run } from '../captured-io.fixture.ts';

const token = randomBytes(32).toString('hex');
let dir: Awaited<ReturnType<typeof temporaryDirectory>>;
let stack: Stack;
let tokens: string;
let content: string;
beforeAll(async () => {
  dir = await temporaryDirectory();
  [tokens, content] = [join(dir.path, 'tokens'), join(dir.path, 'a.txt')];
  await writeFile(tokens, `# the new one first\n\n${token}\n${randomBytes(32).toString('hex')}\n`);
  await writeFile(content, 'hello');
  const edges = [{ id: 'us-1', region: 'US' }];
  const env = { controller: { CONTROLLER_ADMIN_TOKEN_FILE: tokens } };
  stack = await Stack.start({ dataDir: join(dir.path, 'stack'), edges, env });
}, 60_000);
afterAll(async () => {
  await stack?.stop();
  await dir?.[Symbol.asyncDispose]();
}, 30_000);

const sluice = (...args: string[]) => run(...args, '--origin', stack.origin.url, '--controller', stack.controller.url);

test('with the file everything works, also waiting', async () => {
  expect(await sluice('put', content, 'site/a.txt', '--wait', '--admin-token-file', tokens)).toMatchObject({ exitCode: 0 });
  const { exitCode, stdout } = await sluice('edges', '--admin-token-file', tokens);
  expect([exitCode, stdout]).toEqual([0, expect.stringContaining('us-1')]);
}, 30_000);

test('without it, or with another, the answer says what is missing and no token', async () => {
  expect(await sluice('edges')).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('SLUICE_ADMIN_TOKEN_FILE') });
  const other = join(dir.path, 'other');
  const wrong = randomBytes(32).toString('hex');
  await writeFile(other, wrong);
  const { exitCode, stderr } = await sluice('status', 'announce-1', '--admin-token-file', other);
  expect([exitCode, stderr]).toEqual([1, expect.stringContaining('no admin token')]);
  expect(stderr).not.toContain(wrong);
});

test('a file that is not there or has none is a usage error, of the commands that ask the controller', async () => {
  const missing = ['--admin-token-file', join(dir.path, 'none')];
  expect(await sluice('edges', ...missing)).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('ENOENT') });
  const empty = join(dir.path, 'empty');
  await writeFile(empty, '# nothing\n');
  expect(await sluice('edges', '--admin-token-file', empty)).toMatchObject({ exitCode: 2 });
  expect(await sluice('get', 'site/a.txt', ...missing)).toMatchObject({ exitCode: 0, stdout: 'hello' });
});
