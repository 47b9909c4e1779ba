/** All files of a tree whose path begins with a prefix, in the order of their paths' UTF-8 bytes. */
import type { Dirent } from 'node:fs';
import { opendir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Directory, type DirectoryTree, type Entry, type FoundFile, joined, rootOf } from './directory-tree.ts';
import { isAbsent } from './file-errors.ts';
import { SortedNames } from './sorted-names.ts';

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
  for (const some of batches(await namesOf(options, directory, namePrefix))) {
    const entries = await Promise.all(some.map((name) => options.tree.enter(directory, nameOnly(name))));
    // When it is the disk that is gone and not the files, nothing that comes after them may be told.
    if (entries.some(({ kind }) => kind === 'nothing')) await options.tree.confirm(rootOf(directory));
    for (const [index, name] of some.entries()) {
      const entry = entries[index] as Entry;
      if (entry.kind === 'left out') options.onLeftOut(joined(directory, nameOnly(name)), entry.problem);
      // What became something else meanwhile would come out of order; it is found at the next look.
      else if (entry.kind === 'file' && !isDirectory(name)) yield entry.file;
      else if (entry.kind === 'directory' && isDirectory(name)) yield* walkDirectory(options, entry.directory, '');
    }
  }
}

/** Names of directories end with what their keys continue with, so that `a-b` comes before what is in `a`. */
function isDirectory(name: string): boolean {
  return name.endsWith('/');
}

function nameOnly(name: string): string {
  return isDirectory(name) ? name.slice(0, -1) : name;
}

function* batches(names: Iterable<string>): Generator<string[]> {
  let some: string[] = [];
  for (const name of names) {
    some.push(name);
    if (some.length < LOOKS) continue;
    yield some;
    some = [];
  }
  if (some.length > 0) yield some;
}

async function namesOf(options: WalkOptions, directory: Directory, namePrefix: string): Promise<Iterable<string>> {
  const names = new SortedNames();
  for await (const { name, dirent } of read(options, directory)) {
    if (!name.startsWith(namePrefix)) continue;
    const path = joined(directory, name);
    const leads = await leadsToDirectory(directory, name, dirent);
    // A directory with such a name can have nothing in it that could be an object; this also ends trees that have no end.
    const problem = options.pathProblem(leads ? `${path}/x` : path);
    if (problem === undefined) names.add(leads ? `${name}/` : name);
    else options.onLeftOut(path, problem);
  }
  return names;
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
    await tree.confirm(rootOf(directory));
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
