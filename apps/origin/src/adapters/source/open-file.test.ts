import { execFileSync } from 'node:child_process';
import { lstat, readdir, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually, temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { RevisionGoneError, SourceAwayError } from '../../services/source-port.ts';
import { fromReadError, reasonOf } from './file-errors.ts';
import { openFile } from './open-file.ts';

const description = {
  fields: { contentType: 'text/plain', meta: {}, regions: [], tags: [] },
  etag: undefined,
  modifiedAt: '2026-01-01T00:00:00.000Z',
};

async function looked(directory: string) {
  const real = join(directory, 'file');
  await writeFile(real, 'bytes');
  const file = { path: 'file', real, stat: await lstat(real, { bigint: true }) };
  const failure = (error: unknown): unknown =>
    fromReadError(error, 'site/file', (cause) => new SourceAwayError('directory', reasonOf(cause, 'file')));
  const open = async (range?: { offset: number; length: number }) =>
    await openFile({ key: 'site/file', file, description, range, isStill: async () => true, failure });
  return { real, open };
}

async function opened(path: string): Promise<number> {
  const files = await Promise.all((await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
  return files.filter((one) => one === path).length;
}

test('what has become a pipe, a link or nothing since it was looked at is gone: nobody waits for it, and nothing is followed', async () => {
  await using dir = await temporaryDirectory();
  const { real, open } = await looked(dir.path);
  await rename(real, join(dir.path, 'moved'));
  await expect(open()).rejects.toThrow(RevisionGoneError);
  execFileSync('mkfifo', [real]);
  await expect(open()).rejects.toThrow(RevisionGoneError);
  await rm(real);
  await symlink('moved', real);
  await expect(open()).rejects.toThrow(RevisionGoneError);
});

test('who reads to the end, or stops in the middle, need not close it', async () => {
  await using dir = await temporaryDirectory();
  const { real, open } = await looked(dir.path);
  const { chunks } = await open();
  expect(await opened(real)).toBe(1);
  for await (const chunk of chunks) expect(Buffer.from(chunk).toString()).toBe('bytes');
  expect(await opened(real)).toBe(0);
  for await (const _ of (await open()).chunks) break;
  await eventually(async () => expect(await opened(real)).toBe(0));
});

test('a range that the file does not have is refused before anything is opened', async () => {
  await using dir = await temporaryDirectory();
  const { real, open } = await looked(dir.path);
  await expect(open({ offset: 3, length: 3 })).rejects.toThrow('site/file has 5 bytes, not 3 from 3 on');
  expect(await opened(real)).toBe(0);
});
