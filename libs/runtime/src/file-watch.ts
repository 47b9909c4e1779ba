/** Notices that configuration files may have changed: by watching, by looking again, and on SIGHUP. */
import { type FSWatcher, watch } from 'node:fs';
import { dirname } from 'node:path';
import { type Clock, every } from './clock.ts';

/** An editor writes a file in several steps, and several events come for one change. */
const SETTLE_MS = 200;
const POLL_MS = 10_000;

export interface FileWatch {
  /** From now on these files, and no others. */
  follow(paths: readonly string[]): void;
  stop(): void;
}

/** `onChange` is called when the files may have changed; `onFailure` when a directory cannot be watched, so that a change is noticed late. */
export function watchFiles(clock: Clock, onChange: () => void, onFailure: (error: unknown, directory: string) => void): FileWatch {
  const watchers = new Map<string, FSWatcher | undefined>();
  let cancel: () => void = () => {};
  const soon = (): void => {
    cancel();
    cancel = clock.after(SETTLE_MS, onChange);
  };
  // What no watcher sees: a link on the way that leads elsewhere now, a directory that was replaced, a network file system.
  const stopPolling = every(clock, POLL_MS, onChange);
  // It ends a process that does not listen; one that follows files never ends by it.
  process.on('SIGHUP', soon);
  return {
    follow(paths) {
      // The directories, because most editors and mounts replace the file and do not write into it.
      const directories = new Set(paths.map((path) => dirname(path)));
      for (const [directory, watcher] of watchers) {
        if (directories.has(directory)) continue;
        watcher?.close();
        watchers.delete(directory);
      }
      for (const directory of directories) {
        if (!watchers.has(directory))
          watchers.set(
            directory,
            watchDirectory(directory, soon, (error) => onFailure(error, directory)),
          );
      }
    },
    stop() {
      cancel();
      stopPolling();
      process.off('SIGHUP', soon);
      for (const watcher of watchers.values()) watcher?.close();
    },
  };
}

function watchDirectory(path: string, onChange: () => void, onFailure: (error: unknown) => void): FSWatcher | undefined {
  try {
    const watcher = watch(path, onChange);
    watcher.on('error', onFailure);
    watcher.unref();
    return watcher;
  } catch (error) {
    // For example when the system has no more watchers to give.
    onFailure(error);
    return undefined;
  }
}
