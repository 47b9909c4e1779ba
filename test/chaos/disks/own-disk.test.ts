import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { run } from '../commands.ts';
import { DISK_MIN_BYTES, OwnDisk } from './own-disk.ts';

const reason = await OwnDisk.unavailable();
if (reason !== undefined) console.warn(`tests with disks of their own are skipped: ${reason}`);
const here = test.skipIf(reason !== undefined);

async function scene() {
  const cleanup = new AsyncDisposableStack();
  const dir = cleanup.use(await temporaryDirectory());
  const path = join(dir.path, 'data');
  const disk = cleanup.use(await OwnDisk.create({ path, sizeBytes: DISK_MIN_BYTES }));
  return { disk, path, cleanup, [Symbol.asyncDispose]: () => cleanup.disposeAsync() };
}

here('a full disk takes nothing more, not even from root, until it is freed', async () => {
  await using place = await scene();
  await writeFile(join(place.path, 'before'), 'kept');
  await place.disk.fill();
  await expect(writeFile(join(place.path, 'more'), 'x'.repeat(10_000))).rejects.toThrow('ENOSPC');
  expect(await readFile(join(place.path, 'before'), 'utf8')).toBe('kept');
  await place.disk.free();
  await writeFile(join(place.path, 'more'), 'x'.repeat(10_000));
});

here(
  'a disk that fails can be read and no longer written, also by who has a file open, until it is repaired; what was synced is there',
  async () => {
    await using place = await scene();
    const file = await open(join(place.path, 'synced'), 'w');
    await file.write('kept');
    await file.sync();
    await place.disk.fail();
    await expect(file.write('lost')).rejects.toThrow('EROFS');
    await expect(writeFile(join(place.path, 'more'), 'x')).rejects.toThrow('EROFS');
    expect(await readFile(join(place.path, 'synced'), 'utf8')).toBe('kept');
    await file.close();
    await place.disk.repair();
    expect(await readFile(join(place.path, 'synced'), 'utf8')).toBe('kept');
    await writeFile(join(place.path, 'more'), 'x');
  },
);

/** Writes and syncs once for each line that it reads, and answers with the milliseconds that took. */
const WRITER = `
const fs = require('node:fs');
const file = fs.openSync(process.argv[1], 'w');
require('node:readline').createInterface({ input: process.stdin }).on('line', () => {
  const start = performance.now();
  for (let block = 0; block < 10; block++) { fs.writeSync(file, Buffer.alloc(4096), 0, 4096, block * 4096); fs.fsyncSync(file); }
  console.log(performance.now() - start);
});`;

const slowReason = reason ?? (await OwnDisk.slowingUnavailable());
if (slowReason !== undefined) console.warn(`the test of a slow disk is skipped: ${slowReason}`);
test.skipIf(slowReason !== undefined)('a slow disk makes a running process wait for what it syncs, until that ends', async () => {
  await using place = await scene();
  const child: ChildProcess = spawn(process.execPath, ['-e', WRITER, join(place.path, 'file')], { stdio: ['pipe', 'pipe', 'inherit'] });
  place.cleanup.defer(async () => {
    child.kill('SIGKILL');
    await once(child, 'close');
  });
  const lines = createInterface({ input: child.stdout as NonNullable<ChildProcess['stdout']> });
  const tookMs = async (): Promise<number> => {
    child.stdin?.write('\n');
    return Number((await once(lines, 'line'))[0]);
  };
  await tookMs();
  const slowed = await place.disk.slow(child.pid as number, 20);
  // Ten of at least one operation each, of which the first comes at once.
  expect(await tookMs()).toBeGreaterThan(400);
  await slowed.end();
  await tookMs();
  expect(await readFile(`/proc/${child.pid}/cgroup`, 'utf8')).not.toContain('sluice-chaos');
});

here('nothing stays behind: neither of a disk that is over, nor of a process that was killed', async () => {
  await using dir = await temporaryDirectory();
  const path = join(dir.path, 'data');
  await (await OwnDisk.create({ path, sizeBytes: DISK_MIN_BYTES }))[Symbol.asyncDispose]();
  expect(await run('losetup', '--list')).not.toContain(`sluice-chaos-${process.pid}-`);
  const module = JSON.stringify(new URL('own-disk.ts', import.meta.url).href);
  const script = `const { OwnDisk } = await import(${module}); await OwnDisk.create({ path: process.argv[1], sizeBytes: ${DISK_MIN_BYTES} }); console.log('open'); setInterval(() => {}, 1000)`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(createInterface({ input: child.stdout }), 'line');
  expect(await run('losetup', '--list')).toContain(`sluice-chaos-${child.pid}-`);
  child.kill('SIGKILL');
  await once(child, 'close');
  await OwnDisk.sweep();
  expect(await run('losetup', '--list')).not.toContain(`sluice-chaos-${child.pid}-`);
  expect(await readFile('/proc/mounts', 'utf8')).not.toContain(path);
  expect((await readdir(tmpdir())).filter((name) => name.includes(`-${child.pid}-`))).toEqual([]);
  // The directory is one like any other again.
  await rm(path, { recursive: true });
  await mkdir(path);
});
