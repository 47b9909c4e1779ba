import { spawnSync } from 'node:child_process';
import { symlink, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
const GROUP_THAT_CANNOT_BEGIN = `
  import { beforeAll, describe, expect, test } from 'vitest';
  test('passes', () => {});
  test('fails', () => expect(1).toBe(2));
  test.skip('is skipped', () => {});
  describe('a group', () => {
    beforeAll(() => { throw new Error('no engine'); });
    test('never runs', () => {});
  });`;

test('the last line counts a group whose preparation failed as failed, not only its tests as skipped', async () => {
  await using dir = await temporaryDirectory();
  await symlink(join(ROOT, 'node_modules'), join(dir.path, 'node_modules'));
  await writeFile(join(dir.path, 'a.test.js'), GROUP_THAT_CANNOT_BEGIN);
  const reporter = join(ROOT, 'test/summary-reporter.ts');
  const config = join(dir.path, 'vitest.config.js');
  await writeFile(config, `export default { test: { include: ['**/a.test.js'], exclude: [], reporters: [${JSON.stringify(reporter)}] } }`);
  const args = [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', '--root', dir.path, '--config', config];
  const { stdout, status } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  expect([stdout.trim().split('\n').at(-1), status]).toEqual(['1 passed, 2 failed, 2 skipped', 1]);
});
