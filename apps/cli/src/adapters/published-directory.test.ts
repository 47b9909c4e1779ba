import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { temporaryDirectory } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { checkedDirectory } from './published-directory.ts';

describe('the directory to publish', () => {
  test('comes as an absolute path, as it was named: a link stays the link', async () => {
    await using dir = await temporaryDirectory();
    await mkdir(join(dir.path, 'release-1'));
    await symlink('release-1', join(dir.path, 'current'));
    const data = join(dir.path, 'data');
    expect(await checkedDirectory(relative(process.cwd(), join(dir.path, 'current')), data)).toBe(join(dir.path, 'current'));
  });

  test('must be there, be a directory and be readable; what is not is told in words', async () => {
    await using dir = await temporaryDirectory();
    const at = (name: string) => join(dir.path, name);
    await writeFile(at('file'), '');
    await symlink('loop', at('loop'));
    await mkdir(at('no-list'), { mode: 0o311 });
    await mkdir(at('no-open'), { mode: 0o644 });
    await chmod(dir.path, 0o755);
    const refusal = (name: string) => checkedDirectory(at(name), '/nowhere/data').catch(({ code, message }) => [code, message]);
    expect(await refusal('absent')).toEqual(['USAGE', `--directory: there is no directory ${at('absent')}`]);
    expect(await refusal('file')).toEqual(['USAGE', expect.stringContaining('is no directory')]);
    expect(await refusal('loop')).toEqual(['UNREADABLE', expect.stringContaining('cannot be read: ELOOP')]);
    for (const name of ['no-list', 'no-open'])
      expect(await asNobody(() => refusal(name))).toEqual(['UNREADABLE', expect.stringContaining('this user may not read the directory')]);
  });

  test('must not have the data directory in it, by whatever way that leads there, also before it is made', async () => {
    await using dir = await temporaryDirectory();
    const at = (name: string) => join(dir.path, name);
    await mkdir(at('www/deep'), { recursive: true });
    await symlink('www/deep', at('elsewhere'));
    for (const data of ['www', 'www/data', 'elsewhere', 'elsewhere/not/yet']) {
      await expect(checkedDirectory(at('www'), at(data)), data).rejects.toMatchObject({ code: 'USAGE' });
    }
    for (const data of ['data', 'www-data', '../data']) expect(await checkedDirectory(at('www'), at(data))).toBe(at('www'));
  });
});

/** Without the right to read everything. */
async function asNobody<Result>(act: () => Promise<Result>): Promise<Result> {
  const isRoot = process.getuid?.() === 0;
  if (isRoot) process.seteuid?.(65_534);
  try {
    return await act();
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}
