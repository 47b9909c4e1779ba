/** The sites file on disk: read at the start, and again on SIGHUP and when it changes. One that cannot be used leaves the old one in force. */
import { readFileSync, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { Clock, Logger } from '@sluice/runtime';
import { PATH_STYLE_ONLY, type Sites } from '../domain/sites/site.ts';
import { parseSites, SitesConfigError } from '../sites-config.ts';

/** An editor writes a file in several steps, and several events come for one change. */
const SETTLE_MS = 200;

export interface SitesSource {
  readonly current: Sites;
  stop(): void;
}

/**
 * Follows the file at `path`; without a path every bucket is served under its own name.
 * @throws {SitesConfigError} when the first reading gives nothing to begin with
 */
export function followSitesFile(path: string | undefined, clock: Clock, log: Logger): SitesSource {
  if (path === undefined) return { current: PATH_STYLE_ONLY, stop() {} };
  let text = readSites(path);
  let current = parseSites(text);
  let cancel: () => void = () => {};

  const reload = async (): Promise<void> => {
    try {
      const changed = await readFile(path, 'utf8');
      if (changed === text) return;
      current = parseSites(changed);
      text = changed;
      log.info({ path, sites: current.sites.length }, 'sites reloaded');
    } catch (error) {
      const problems = error instanceof SitesConfigError ? error.problems : [(error as Error).message];
      log.error({ path, problems }, 'the sites file was not taken, the old one stays in force');
    }
  };
  const soon = (): void => {
    cancel();
    cancel = clock.after(SETTLE_MS, () => void reload());
  };
  // The directory, because most editors and mounts replace the file and do not write into it.
  const watcher = watch(dirname(path), (_event, name) => {
    if (name === null || name === basename(path) || name.startsWith('..')) soon();
  });
  watcher.on('error', (err) => log.warn({ err, path }, 'changes of the sites file are not noticed any more; send SIGHUP'));
  watcher.unref();
  process.on('SIGHUP', soon);
  return {
    get current() {
      return current;
    },
    stop() {
      cancel();
      watcher.close();
      process.off('SIGHUP', soon);
    },
  };
}

function readSites(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new SitesConfigError([(error as Error).message]);
  }
}
