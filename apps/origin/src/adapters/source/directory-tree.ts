/** A directory tree as content: what is under a name, by one rule for who walks it, who looks at one name and who watches it. */
import type { BigIntStats } from 'node:fs';
import { lstat, opendir, realpath } from 'node:fs/promises';
import { sep } from 'node:path';
import { SourceAwayError } from '../../services/source-port.ts';
import { codeOf, isAbsent, reasonOf } from './file-errors.ts';
import { placeOf } from './file-state.ts';

export interface Directory {
  /** Relative to the root, without "/" at either end; the root's own is empty. */
  readonly path: string;
  /** Absolute, with every link resolved. */
  readonly real: string;
  /** See `placeOf`. */
  readonly place: string;
  /** Undefined: this is the root. */
  readonly parent: Directory | undefined;
}

export interface FoundFile {
  readonly path: string;
  readonly real: string;
  readonly stat: BigIntStats;
}

export type Entry =
  | { readonly kind: 'file'; readonly file: FoundFile }
  | { readonly kind: 'directory'; readonly directory: Directory }
  /** Nothing, or what a rule ignores. */
  | { readonly kind: 'nothing' }
  | { readonly kind: 'left out'; readonly problem: string };

const NOTHING: Entry = { kind: 'nothing' };

export interface TreeOptions {
  readonly root: string;
  readonly title: string;
  /** Whether symbolic links are followed, where they lead to something in the root. */
  readonly followLinks: boolean;
  readonly isIgnored: (path: string) => boolean;
}

export function joined(directory: Pick<Directory, 'path'>, name: string): string {
  return directory.path === '' ? name : `${directory.path}/${name}`;
}

export class DirectoryTree {
  readonly #options: TreeOptions;
  /** The file system that the root was last on. */
  #device: bigint | undefined;

  constructor(options: TreeOptions) {
    this.#options = options;
  }

  /** The root as it is now; it may itself be a link, that leads elsewhere with each release. @throws {SourceAwayError} */
  async root(): Promise<Directory> {
    const { root } = this.#options;
    try {
      const real = await realpath(root);
      const stat = await lstat(real, { bigint: true });
      if (!stat.isDirectory()) throw new SourceAwayError(this.#options.title, 'it is no directory');
      // What is left of a disk that was unmounted is the empty directory that it was mounted on.
      if (this.#device !== undefined && this.#device !== stat.dev && (await isEmpty(real))) {
        throw new SourceAwayError(
          this.#options.title,
          'it is empty and on another file system than before; mount what was there, or restart the origin if it is meant to be empty',
        );
      }
      this.#device = stat.dev;
      return { path: '', real, place: placeOf(stat), parent: undefined };
    } catch (error) {
      throw error instanceof SourceAwayError ? error : this.away(error, root);
    }
  }

  /**
   * That the root is still what it was: a disk that was unmounted looks like one whose files were all removed.
   * @throws {SourceAwayError}
   */
  async confirm(root: Directory): Promise<void> {
    const stat = await lstat(root.real, { bigint: true }).catch((error: unknown) => {
      throw this.away(error, root.real);
    });
    if (placeOf(stat) !== root.place) throw new SourceAwayError(this.#options.title, 'it was replaced while it was read; it is read again');
  }

  /** What is at a path of the tree. @throws {SourceAwayError} */
  async resolve(root: Directory, path: string): Promise<Entry> {
    let entry: Entry = { kind: 'directory', directory: root };
    for (const name of path.split('/')) {
      // A file is no directory, and the system would take "a//b" and "a/./b" for "a/b".
      if (entry.kind !== 'directory' || name === '' || name === '.' || name === '..' || name.includes('\0')) return NOTHING;
      entry = await this.enter(entry.directory, name);
    }
    return entry;
  }

  /** What is under a name in a directory. @throws {SourceAwayError} when the system refuses to tell */
  async enter(parent: Directory, name: string): Promise<Entry> {
    const path = joined(parent, name);
    if (this.#options.isIgnored(path)) return NOTHING;
    try {
      return await this.#look(parent, path, `${parent.real}${parent.real.endsWith(sep) ? '' : sep}${name}`);
    } catch (error) {
      if (isAbsent(error)) return NOTHING;
      throw this.away(error, path);
    }
  }

  away(error: unknown, path: string): SourceAwayError {
    return new SourceAwayError(this.#options.title, reasonOf(error, path), error);
  }

  async #look(parent: Directory, path: string, named: string): Promise<Entry> {
    let real = named;
    let stat = await lstat(real, { bigint: true });
    if (stat.isSymbolicLink()) {
      if (!this.#options.followLinks) return leftOut('is a symbolic link, which are not followed');
      const target = await targetOf(named);
      if (target === undefined) return leftOut('is a symbolic link to where this user may not look');
      real = target;
      if (!isWithin(rootOf(parent).real, real)) return leftOut('is a symbolic link that leads out of the directory');
      stat = await lstat(real, { bigint: true });
    }
    if (stat.isFile()) return { kind: 'file', file: { path, real, stat } };
    if (!stat.isDirectory()) return leftOut('is neither a file nor a directory');
    const place = placeOf(stat);
    if (isUnder(place, parent)) return leftOut('is a symbolic link to a directory that it lies in');
    return { kind: 'directory', directory: { path, real, place, parent } };
  }
}

async function isEmpty(directory: string): Promise<boolean> {
  await using entries = await opendir(directory);
  return (await entries.read()) === null;
}

async function targetOf(link: string): Promise<string | undefined> {
  try {
    return await realpath(link);
  } catch (error) {
    if (codeOf(error) === 'EACCES' || codeOf(error) === 'EPERM') return undefined;
    throw error;
  }
}

function leftOut(problem: string): Entry {
  return { kind: 'left out', problem };
}

export function rootOf(directory: Directory): Directory {
  return directory.parent === undefined ? directory : rootOf(directory.parent);
}

function isUnder(place: string, directory: Directory | undefined): boolean {
  return directory !== undefined && (directory.place === place || isUnder(place, directory.parent));
}

function isWithin(root: string, path: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep);
}
