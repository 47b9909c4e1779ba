/** The keys, as their file has them now: read at the start, and again when it changes and on SIGHUP. A file that cannot be used leaves in force what was there before. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type Clock, ConfigError, type Logger, watchFiles } from '@sluice/runtime';
import type { AccessKeys } from '../domain/access-key.ts';
import { KeysConfigError, parseKeys } from '../keys-config.ts';

export interface KeysFile {
  readonly current: AccessKeys;
  stop(): void;
}

/** @throws {ConfigError} with every problem, when there is nothing to begin with */
export async function followKeysFile(name: string, clock: Clock, log: Logger): Promise<KeysFile> {
  const path = resolve(name);
  let text = await readText(path);
  let current = parseKeys(text);
  let complaint = '';
  const reload = async (): Promise<void> => {
    try {
      const next = await readText(path);
      if (next !== text) {
        current = parseKeys(next);
        text = next;
        log.info({ keys: current.size }, 'the keys file has changed, its keys are in force');
      }
      complaint = '';
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      // The file is read again and again: what has been said is not repeated.
      if (error.message !== complaint)
        log.error({ problems: error.problems }, 'a changed keys file was not taken, the old keys stay in force');
      complaint = error.message;
    }
  };
  // One after the other, so that an older text never comes after a newer one.
  let reloading: Promise<void> = Promise.resolve();
  const watch = watchFiles(
    clock,
    () => {
      reloading = reloading.then(reload).catch((err: unknown) => log.error({ err }, 'the keys file could not be read again'));
    },
    (err, directory) => log.warn({ err, directory }, 'the directory of the keys file cannot be watched, changes are noticed late'),
  );
  watch.follow([path]);
  return {
    get current() {
      return current;
    },
    stop: () => watch.stop(),
  };
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new KeysConfigError([
      `${path} cannot be read (${(error as NodeJS.ErrnoException).code}): set ORIGIN_KEYS_FILE to a file that this user may read`,
    ]);
  }
}
