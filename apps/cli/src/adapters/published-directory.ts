/** A directory of this machine whose files are to be published where they are. */
import { opendir, realpath, stat } from 'node:fs/promises';
import { basename, resolve, sep } from 'node:path';
import { CommandError, EXIT, usageError } from '../domain/failure.ts';

/**
 * The directory's absolute path, as it was named: a link may lead elsewhere with each release.
 * @throws {CommandError} usage, when it is none, when it may not be read, or when `dataDir` is in it: what the stack writes would be published
 */
export async function checkedDirectory(path: string, dataDir: string): Promise<string> {
  if (path === '') throw usageError('--directory must not be empty; name the directory whose files are to be published');
  const found = await stat(path).catch((error: unknown) => {
    throw refused(path, error);
  });
  if (!found.isDirectory()) throw usageError(`--directory: ${path} is no directory; name the directory that the files are in`);
  try {
    await (await opendir(path)).close();
    // What is in it is to be opened, too.
    await stat(`${path}${sep}.`);
  } catch (error) {
    throw refused(path, error);
  }
  const [root, data] = await Promise.all([realpath(path), realOf(resolve(dataDir))]);
  if (data === root || data.startsWith(root.endsWith(sep) ? root : root + sep)) {
    throw usageError(`--data-dir ${dataDir} is in --directory ${path}, and would be published with it; name one outside of it`);
  }
  return resolve(path);
}

/** What a path that need not be there yet leads to. */
async function realOf(path: string): Promise<string> {
  const known = await realpath(path).catch(() => undefined);
  const parent = resolve(path, '..');
  if (known !== undefined || parent === path) return known ?? path;
  return resolve(await realOf(parent), basename(path));
}

function refused(path: string, error: unknown): CommandError {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return usageError(`--directory: there is no directory ${path}`);
  if (code === 'EACCES' || code === 'EPERM')
    return new CommandError(EXIT.FAILED, 'UNREADABLE', `this user may not read the directory ${path}: give it the right to`, error);
  return new CommandError(EXIT.FAILED, 'UNREADABLE', `the directory ${path} cannot be read: ${message}`, error);
}
