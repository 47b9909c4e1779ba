import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** The files of a directory at one moment. */
export interface DirectoryImage {
  readonly files: ReadonlyMap<string, Buffer>;
  readonly digest: string;
}

/** Locks end with their process, and SQLite makes its shared memory anew: https://www.sqlite.org/walformat.html#crash_recovery */
const ENDS_WITH_THE_PROCESS = /(-shm|\.lock)$/;

/**
 * Reads a directory without letting anything else run on this thread: what a process that dies now leaves. A checkpoint that another thread makes meanwhile does no harm: the log, which
 * only this thread writes, has all of it.
 */
export function imageOf(dir: string): DirectoryImage {
  const files = new Map<string, Buffer>();
  for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || ENDS_WITH_THE_PROCESS.test(entry.name)) continue;
    const path = join(entry.parentPath, entry.name);
    try {
      files.set(relative(dir, path), readFileSync(path));
    } catch (error) {
      // A thread of the system has just removed or moved it.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  const hash = createHash('sha256');
  for (const path of [...files.keys()].sort()) hash.update(`${path}\0`).update(files.get(path) as Buffer);
  return { files, digest: hash.digest('hex') };
}

export function writeImage({ files }: DirectoryImage, dir: string): void {
  for (const [path, bytes] of files) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), bytes);
  }
}
