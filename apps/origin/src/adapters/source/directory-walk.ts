/** All files of a tree whose path begins with a prefix, in the order of their paths' UTF-8 bytes. */
import type { Dirent } from 'node:fs';
import { opendir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Directory, type DirectoryTree, type Entry, type FoundFile, joined } from './directory-tree.ts';
import { isAbsent } from './file-errors.ts';
import { type ListedName, SortedNames } from './sorted-names.ts';

/** What is asked of the system at a time. */
const LOOKS = 64;
const DIRECTORY_BUFFER = 256;

export interface WalkOptions {
  readonly tree: DirectoryTree;
  /** Told once in each walk. */
  readonly onLeftOut: (path: string, problem: string) => void;
  /** Why a file at this path can be no object. */
  readonly pathProblem: (path: string) => string | undefined;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Holds the names of the directories on the way to where it is, and of no others: some 100 bytes each, so that a flat directory of a million files costs
 * 100 MB while it is walked. @throws {SourceAwayError}
 */
export async function* walk(options: WalkOptions, prefix: string): AsyncGenerator<FoundFile> {
  const root = await options.tree.root();
  const slash = prefix.lastIndexOf('/');
  const start: Entry = slash < 0 ? { kind: 'directory', directory: root } : await options.tree.resolve(root, prefix.slice(0, slash));
  if (start.kind === 'directory') yield* walkDirectory(options, start.directory, prefix.slice(slash + 1));
  await options.tree.confirm(root);
}

async function* walkDirectory(options: WalkOptions, directory: Directory, namePrefix: string): AsyncGenerator<FoundFile> {
  const names = await namesOf(options, directory, namePrefix);
  for (let at = 0; at < names.length; at += LOOKS) {
    const some = names.slice(at, at + LOOKS);
    const entries = await Promise.all(some.map(({ name }) => options.tree.enter(directory, name)));
    for (const [index, { name, isDirectory }] of some.entries()) {
      const entry = entries[index] as Entry;
      if (entry.kind === 'left out') options.onLeftOut(joined(directory, name), entry.problem);
      // What became something else meanwhile would come out of order; it is found at the next look.
      else if (entry.kind === 'file' && !isDirectory) yield entry.file;
      else if (entry.kind === 'directory' && isDirectory) yield* walkDirectory(options, entry.directory, '');
    }
  }
}

async function namesOf(options: WalkOptions, directory: Directory, namePrefix: string): Promise<readonly ListedName[]> {
  const names = new SortedNames();
  for await (const { name, dirent } of read(options, directory)) {
    const path = joined(directory, name);
    const isDirectory = await leadsToDirectory(directory, name, dirent);
    if (!(name.startsWith(namePrefix) || (isDirectory && `${name}/`.startsWith(namePrefix)))) continue;
    // A directory with such a name can have nothing in it that could be an object, and ends trees that have no end.
    const problem = isDirectory ? options.pathProblem(`${path}/x`) : options.pathProblem(path);
    if (problem === undefined) names.add({ name, isDirectory });
    else options.onLeftOut(path, problem);
  }
  return names.take();
}

async function* read({ tree, onLeftOut }: WalkOptions, directory: Directory): AsyncGenerator<{ name: string; dirent: Dirent }> {
  try {
    // As bytes: a name that is no UTF-8 would come as another one, which is not there.
    const entries = await opendir(directory.real, { encoding: 'buffer' as BufferEncoding, bufferSize: DIRECTORY_BUFFER });
    for await (const dirent of entries) {
      const bytes = dirent.name as unknown as Uint8Array;
      const name = decoded(bytes);
      if (name !== undefined) yield { name, dirent };
      else onLeftOut(joined(directory, Buffer.from(bytes).toString()), 'is not UTF-8');
    }
  } catch (error) {
    if (!isAbsent(error)) throw tree.away(error, directory.path || '.');
    // Removed meanwhile; if it is the whole disk that is gone, the end of the walk tells.
  }
}

function decoded(name: Uint8Array): string | undefined {
  try {
    return utf8.decode(name);
  } catch {
    return undefined;
  }
}

async function leadsToDirectory(directory: Directory, name: string, dirent: Dirent): Promise<boolean> {
  if (dirent.isDirectory()) return true;
  // Some file systems do not tell the type along with the name.
  if (dirent.isFile() || dirent.isFIFO() || dirent.isSocket() || dirent.isCharacterDevice() || dirent.isBlockDevice()) return false;
  return await stat(join(directory.real, name)).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
