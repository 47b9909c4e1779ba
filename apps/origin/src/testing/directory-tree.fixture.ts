import { mkdir, realpath, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createLogger } from '@sluice/runtime';
import { FakeClock, temporaryDirectory } from '@sluice/testkit';
import { DirectorySource, type DirectorySourceOptions } from '../adapters/source/directory-source.ts';
import type { SourceHint, SourceObject } from '../services/source-port.ts';
import { parseSourceRules } from '../source-rules-config.ts';

export interface TreeFixture extends AsyncDisposable {
  /** The directory above, which is no content. */
  readonly outside: string;
  readonly root: string;
  readonly source: DirectorySource;
  /** Stands still; starts with what the file system's stamps say now. */
  readonly clock: FakeClock;
  readonly leftOut: [path: string, problem: string][];
  readonly log: { readonly told: string[] };
  write(path: string, text?: string): Promise<void>;
  keys(prefix?: string): Promise<string[]>;
  find(path: string): Promise<SourceObject | undefined>;
  /** From now on, until the end; time passes while it is waited for them. */
  watch(): Promise<{ readonly hints: SourceHint[]; stop(): Promise<void> }>;
}

/** A directory and its source, whose files are as old as the clock is told. */
export async function treeFixture(options: Partial<DirectorySourceOptions> & { readonly rulesFile?: string } = {}): Promise<TreeFixture> {
  const dir = await temporaryDirectory();
  const outside = await realpath(dir.path);
  const root = join(outside, 'www');
  await mkdir(root);
  const clock = new FakeClock(Date.now());
  const leftOut: [string, string][] = [];
  const told: string[] = [];
  const tell = (_fields: object, message: string): void => void told.push(message);
  const rules = parseSourceRules(options.rulesFile ?? '');
  const source = new DirectorySource({
    ...{ root, bucket: 'site', rules: () => rules, clock },
    log: { ...createLogger('origin', 'silent'), info: tell as never, warn: tell as never },
    onLeftOut: (path, problem) => leftOut.push([path, problem]),
    ...options,
  });
  const stops: (() => Promise<void>)[] = [];
  return {
    ...{ outside, root, source, clock, leftOut, log: { told } },
    async write(path, text = path) {
      const file = join(root, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, text);
    },
    async keys(prefix = '') {
      const all: string[] = [];
      for await (const page of source.list(prefix)) all.push(...page.map(({ key }) => key.slice('site/'.length)));
      return all;
    },
    find: async (path) => await source.find(`site/${path}`),
    async watch() {
      const hints: SourceHint[] = [];
      const stop = await source.watch((hint) => hints.push(hint));
      stops.push(stop);
      return { hints, stop };
    },
    async [Symbol.asyncDispose]() {
      for (const stop of stops) await stop();
      await dir[Symbol.asyncDispose]();
    },
  };
}
