/** The sites file on disk: read at the start, and again on SIGHUP and when it changes. One that cannot be used leaves the old one in force. */
import { readFileSync, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock, Logger } from '@sluice/runtime';
import { PATH_STYLE_ONLY, type Sites } from '../domain/sites/site.ts';
import { parseSites, SitesConfigError } from '../sites-config.ts';

/** An editor writes a file in several steps, and several events come for one change. */
const SETTLE_MS = 200;
const POLL_MS = 10_000;

export interface SitesSource {
  readonly current: Sites;
  /** Called with each new one. */
  onChange(listener: (sites: Sites) => void): void;
  stop(): void;
}

/**
 * Follows the file at `path`; without a path every bucket is served under its own name.
 * @throws {SitesConfigError} when the first reading gives nothing to begin with
 */
export function followSitesFile(path: string | undefined, clock: Clock, log: Logger): SitesSource {
  if (path === undefined) return { current: PATH_STYLE_ONLY, onChange: () => {}, stop: onHangup(() => {}) };
  let text = readSites(path);
  let current = parseSites(text);
  let cancel: () => void = () => {};
  let listener: (sites: Sites) => void = () => {};

  const reload = async (): Promise<void> => {
    try {
      const changed = await readFile(path, 'utf8');
      if (changed === text) return;
      text = changed;
      current = parseSites(changed);
      listener(current);
      log.info({ path, hosts: current.byHost.size }, 'sites reloaded');
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
  const unwatch = watchDirectory(dirname(path), soon, (err) =>
    log.warn({ err, path }, 'changes of the sites file are noticed late; SIGHUP makes them noticed at once'),
  );
  // What no watcher sees: a link on the way that leads elsewhere now, a directory that was replaced, a network file system.
  let cancelPoll: () => void = () => {};
  const poll = (): void => {
    cancelPoll = clock.after(POLL_MS, () => {
      void reload();
      poll();
    });
  };
  poll();
  const unhook = onHangup(soon);
  return {
    get current() {
      return current;
    },
    onChange(told) {
      listener = told;
    },
    stop() {
      cancel();
      cancelPoll();
      unwatch();
      unhook();
    },
  };
}

/** SIGHUP ends a process that does not listen; an edge never ends by it. */
function onHangup(listener: () => void): () => void {
  process.on('SIGHUP', listener);
  return () => process.off('SIGHUP', listener);
}

function watchDirectory(path: string, onChange: () => void, onFailure: (error: unknown) => void): () => void {
  try {
    const watcher = watch(path, onChange);
    watcher.on('error', onFailure);
    watcher.unref();
    return () => watcher.close();
  } catch (error) {
    // For example when the system has no more watchers to give.
    onFailure(error);
    return () => {};
  }
}

function readSites(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new SitesConfigError([(error as Error).message]);
  }
}
