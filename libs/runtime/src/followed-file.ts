/** A configuration file as it is now: read at the start, and again when it changes and on SIGHUP. One that cannot be used leaves in force what was there before. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Clock } from './clock.ts';
import { ConfigError } from './config.ts';
import { watchFiles } from './file-watch.ts';
import type { Logger } from './logger.ts';

export interface FollowedFile<Value> {
  readonly current: Value;
  stop(): void;
}

export interface FollowOptions<Value> {
  /** Its path, and the variable that names it. */
  readonly path: string;
  readonly variable: string;
  /** As it is called in the log: `keys file`. */
  readonly title: string;
  /** @throws {ConfigError} with every problem */
  readonly parse: (text: string) => Value;
  /** Called after a change has come into force. */
  readonly onChange?: () => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** @throws {ConfigError} with every problem, when there is nothing to begin with */
export async function followFile<Value>({
  path: name,
  variable,
  title,
  parse,
  onChange,
  clock,
  log,
}: FollowOptions<Value>): Promise<FollowedFile<Value>> {
  const path = resolve(name);
  const read = async (): Promise<string> => {
    try {
      return await readFile(path, 'utf8');
    } catch (error) {
      const reason = (error as NodeJS.ErrnoException).code;
      throw new ConfigError([`${path} cannot be read (${reason}): set ${variable} to a file that this user may read`], `the ${title}`);
    }
  };
  let text = await read();
  let current = parse(text);
  let complaint = '';
  const reload = async (): Promise<void> => {
    try {
      const next = await read();
      if (next !== text) {
        current = parse(next);
        text = next;
        log.info({ path }, `the ${title} has changed, and is in force as it is now`);
        onChange?.();
      }
      complaint = '';
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      // The file is read again and again: what has been said is not repeated.
      if (error.message !== complaint)
        log.error({ problems: error.problems }, `a changed ${title} was not taken, the old one stays in force`);
      complaint = error.message;
    }
  };
  // One after the other, so that an older text never comes after a newer one.
  let reloading: Promise<void> = Promise.resolve();
  const watch = watchFiles(
    clock,
    () => {
      reloading = reloading.then(reload).catch((err: unknown) => log.error({ err }, `the ${title} could not be read again`));
    },
    (err, directory) => log.warn({ err, directory }, `the directory of the ${title} cannot be watched, changes are noticed late`),
  );
  watch.follow([path]);
  return {
    get current() {
      return current;
    },
    stop: () => watch.stop(),
  };
}
