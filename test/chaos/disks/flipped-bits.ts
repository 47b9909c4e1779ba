/** Bits that a disk has got wrong, in files as they are. */
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Random } from '../random.ts';

export interface FlippedBit {
  readonly path: string;
  readonly offset: number;
  /** 0 … 7. */
  readonly bit: number;
}

/** What a member keeps: `blobs` are the files of large blobs, `databases` everything of SQLite, logs included. */
export const FILES = {
  blobs: (path: string) => /\/files\/[0-9a-f]{2}\/[0-9a-f]{64}$/.test(path),
  databases: (path: string) => /\.db(-wal)?$/.test(path),
} as const;
export type FileKind = keyof typeof FILES;

/**
 * Flips `count` bits in the files of one kind below a directory, anywhere in them: each file is as likely, each byte of it too. Works on files that are open
 * elsewhere; who reads them later reads it. Fewer, when there is nothing to flip: files may go while this looks.
 */
export async function flipBits(directory: string, kind: FileKind, count: number, random: Random): Promise<FlippedBit[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  const paths = files.filter(FILES[kind]).sort();
  const flipped: FlippedBit[] = [];
  for (let number = 0; number < count && paths.length > 0; number++) {
    const bit = await flipOne(random.pick(paths), random);
    if (bit !== undefined) flipped.push(bit);
  }
  return flipped;
}

async function flipOne(path: string, random: Random): Promise<FlippedBit | undefined> {
  try {
    const { size } = await stat(path);
    if (size === 0) return undefined;
    const flipped = { path, offset: random.integer(0, size - 1), bit: random.integer(0, 7) };
    await flip(flipped);
    return flipped;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function flip({ path, offset, bit }: FlippedBit): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, offset);
    byte[0] = (byte[0] as number) ^ (1 << bit);
    await file.write(byte, 0, 1, offset);
  } finally {
    await file.close();
  }
}
