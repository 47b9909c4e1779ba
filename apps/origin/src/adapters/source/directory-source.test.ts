import { mkdir, open, readdir, readlink, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger, systemClock } from '@sluice/runtime';
import { temporaryDirectory } from '@sluice/testkit';
import type { SourceRule } from '../../domain/source-rules.ts';
import { describeSource, type SourceHarness } from '../../testing/source-conformance.ts';
import { DirectorySource } from './directory-source.ts';

const SETTLE_MS = 40;

/** A directory in which fields come from a rule for each file. */
async function directoryHarness(): Promise<SourceHarness> {
  const dir = await temporaryDirectory();
  const root = join(await realpath(dir.path), 'www');
  const staging = join(await realpath(dir.path), 'staging');
  await mkdir(root);
  await mkdir(staging);
  const rules = new Map<string, SourceRule>();
  let leftOut = 0;
  let staged = 0;
  const pathOf = (key: string): string => join(root, key.slice('site/'.length));
  const setFields = async (key: string, fields: SourceRule['fields']): Promise<void> => {
    const about = key.slice('site/'.length);
    rules.set(key, { matches: (path) => path === about, fields, ignore: undefined });
  };
  return {
    source: new DirectorySource({
      ...{
        root,
        bucket: 'site',
        rules: () => [...rules.values()],
        clock: systemClock,
        log: createLogger('origin', 'silent'),
        settleMs: SETTLE_MS,
      },
      onLeftOut: () => {
        leftOut += 1;
      },
    }),
    bucket: 'site',
    hints: true,
    leftOut: () => leftOut,
    async put(key, bytes, fields) {
      const path = pathOf(key);
      const temporary = join(staging, String(++staged));
      await mkdir(dirname(path), { recursive: true });
      await writeFile(temporary, bytes);
      await rename(temporary, path);
      if (fields !== undefined) await setFields(key, fields);
    },
    async remove(key) {
      await rm(pathOf(key));
    },
    // The only way to tell that time has passed for the stamps of a real file system.
    settle: async () => void (await sleep(SETTLE_MS + 15)),
    async putUnnameable() {
      await writeFile(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0x66, 0xff, 0xfe])]), 'not UTF-8');
      await writeFile(join(root, 'new\nline'), 'a control character');
      await mkdir(join(root, ...Array.from({ length: 6 }, () => 'd'.repeat(200))), { recursive: true });
    },
    setFields,
    async overwrite(key, bytes) {
      const file = await open(pathOf(key), 'r+');
      await file.truncate(bytes.byteLength);
      await file.write(bytes, 0, bytes.byteLength, 0);
      await file.close();
    },
    goAway: async () => await rename(root, join(staging, 'away')),
    rename: async (from, to) => await rename(pathOf(from), pathOf(to)),
    async openReads() {
      const open = await Promise.all((await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
      return open.filter((path) => path.startsWith(root) && path !== root).length;
    },
    [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose](),
  };
}

describeSource('directory', directoryHarness);
