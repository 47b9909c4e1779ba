/** Files of this machine that are to be put. */
import { type FileHandle, open, opendir, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { CommandError, EXIT, usageError } from '../domain/failure.ts';

/** Most files of one directory tree; they are listed before the first is sent, so that the total is known. */
export const FILES_MAX = 1_000_000;
/** Fewer, larger chunks than Node's default of 64 KiB: half the time for large files. */
const CHUNK_BYTES = 256 * 1024;

/** One file. Its size is that of the moment when it was listed. */
export class SourceFile {
  readonly path: string;
  readonly sizeBytes: number;
  constructor(path: string, sizeBytes: number) {
    this.path = path;
    this.sizeBytes = sizeBytes;
  }

  /** @throws {CommandError} when it cannot be read */
  async open(): Promise<OpenedFile> {
    let handle: FileHandle | undefined;
    try {
      handle = await open(this.path, 'r');
      return new OpenedFile(this.path, handle, (await handle.stat()).size);
    } catch (error) {
      await handle?.close();
      throw unreadable(this.path, error);
    }
  }
}

/** An open file of a size that is promised to the other side: not a byte more is read, and one that shrinks is an error. */
class OpenedFile {
  readonly sizeBytes: number;
  readonly #path: string;
  readonly #handle: FileHandle;

  constructor(path: string, handle: FileHandle, sizeBytes: number) {
    this.#path = path;
    this.#handle = handle;
    this.sizeBytes = sizeBytes;
  }

  /** Its bytes from the start. */
  async *chunks(): AsyncGenerator<Buffer> {
    for (let offset = 0; offset < this.sizeBytes; ) {
      const length = Math.min(CHUNK_BYTES, this.sizeBytes - offset);
      const { bytesRead, buffer } = await this.#handle.read(Buffer.allocUnsafe(length), 0, length, offset).catch((error: unknown) => {
        throw unreadable(this.#path, error);
      });
      if (bytesRead === 0) {
        throw new CommandError(
          EXIT.FAILED,
          'FILE_CHANGED',
          `${this.#path} became shorter while it was read; nothing was stored, put it again`,
        );
      }
      yield buffer.subarray(0, bytesRead);
      offset += bytesRead;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}

export interface SourceListing {
  /** Path below the directory with `/` between the segments, in alphabetical order; the file's own name for a single file. */
  readonly files: readonly { readonly name: string; readonly file: SourceFile }[];
  readonly isDirectory: boolean;
  /** What was left out and why: links to directories (they may lead in circles), sockets and devices. */
  readonly skipped: readonly string[];
}

/** The file at `path`, or every file below the directory there. @throws {CommandError} usage, when there is none */
export async function listSource(path: string): Promise<SourceListing> {
  const found = await stat(path).catch((error: unknown) => {
    throw (error as NodeJS.ErrnoException).code === 'ENOENT'
      ? usageError(`there is no file or directory ${path}`)
      : unreadable(path, error);
  });
  if (found.isFile()) {
    const name = path.slice(path.lastIndexOf(sep) + 1);
    return { files: [{ name, file: new SourceFile(path, found.size) }], isDirectory: false, skipped: [] };
  }
  if (!found.isDirectory()) throw usageError(`${path} is neither a file nor a directory`);
  return listDirectory(path);
}

async function listDirectory(root: string): Promise<SourceListing> {
  const files: { name: string; file: SourceFile }[] = [];
  const skipped: string[] = [];
  const waiting = [''];
  for (let below = waiting.pop(); below !== undefined; below = waiting.pop()) {
    const directory = join(root, below);
    const entries = await opendir(directory).catch((error: unknown) => {
      throw unreadable(directory, error);
    });
    for await (const entry of entries) {
      const name = below === '' ? entry.name : `${below}/${entry.name}`;
      const path = join(directory, entry.name);
      if (entry.isDirectory()) {
        waiting.push(name);
        continue;
      }
      const target = await stat(path).catch(() => undefined);
      if (target?.isFile()) files.push({ name, file: new SourceFile(path, target.size) });
      else skipped.push(`${path}: ${target === undefined ? 'a link that leads nowhere' : 'not a file'}`);
      if (files.length > FILES_MAX) throw usageError(`${root} has more than ${FILES_MAX} files; put its parts one by one`);
    }
  }
  files.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { files, isDirectory: true, skipped };
}

function unreadable(path: string, error: unknown): CommandError {
  const { code, message } = error as NodeJS.ErrnoException;
  const reasons: Readonly<Record<string, string>> = {
    EACCES: 'permission denied',
    ENOENT: 'it is not there any more',
    EISDIR: 'it is a directory',
    EMFILE: 'too many files are open',
  };
  return new CommandError(EXIT.FAILED, 'UNREADABLE', `cannot read ${path}: ${reasons[code ?? ''] ?? message}`, error);
}
