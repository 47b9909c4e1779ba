import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { lockDataDir } from './data-dir-lock.ts';
import { DataDirInUseError } from './mod.ts';

test('a data directory has one owner at a time, in one process and over processes', async () => {
  await using dir = await temporaryDirectory();
  const lock = lockDataDir(dir.path, 'edge');
  expect(() => lockDataDir(dir.path, 'edge')).toThrow(DataDirInUseError);
  lock.release();
  lockDataDir(dir.path, 'edge').release();
});

test('the lock of a process that was killed is free at once', async () => {
  await using dir = await temporaryDirectory();
  const script = `
    const { lockDataDir } = await import(${JSON.stringify(join(import.meta.dirname, 'data-dir-lock.ts'))});
    globalThis.lock = lockDataDir(${JSON.stringify(dir.path)}, 'edge');
    console.log('locked');
    setInterval(() => {}, 1000);
  `;
  const owner = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(owner.stdout, 'data');
  expect(() => lockDataDir(dir.path, 'edge')).toThrow(`another edge uses ${dir.path}`);
  owner.kill('SIGKILL');
  await once(owner, 'close');
  lockDataDir(dir.path, 'edge').release();
});
