import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { randomOf } from '../random.ts';
import { type FileKind, flipBits } from './flipped-bits.ts';

const SHA = 'ab'.repeat(32);
const PATHS: Record<FileKind, string[]> = {
  blobs: [`blobs/files/ab/${SHA}`],
  databases: ['index.db', 'index.db-wal', 'blobs/blobs.db'],
};
const OTHERS = ['index.db-shm', 'blobs/incoming/x', 'stack.lock'];

test.each(['blobs', 'databases'] as const)('bits of %s are flipped, as the seed says, and nothing else changes', async (kind) => {
  const flipped: string[] = [];
  for (const _ of ['twice', 'the same']) {
    await using dir = await temporaryDirectory();
    const before = new Map<string, Buffer>();
    for (const path of [...Object.values(PATHS).flat(), ...OTHERS]) {
      before.set(path, Buffer.from(`what is in ${path}`));
      await mkdir(join(dir.path, path, '..'), { recursive: true });
      await writeFile(join(dir.path, path), before.get(path) as Buffer);
    }
    const bits = await flipBits(dir.path, kind, 8, randomOf(3));
    flipped.push(JSON.stringify(bits.map(({ offset, bit, path }) => [path.slice(dir.path.length + 1), offset, bit])));
    expect(bits).toHaveLength(8);
    for (const { path, offset, bit } of bits) {
      const bytes = before.get(path.slice(dir.path.length + 1)) as Buffer;
      bytes[offset] = (bytes[offset] as number) ^ (1 << bit);
    }
    for (const [path, expected] of before) expect(await readFile(join(dir.path, path)), path).toEqual(expected);
    for (const { path } of bits) expect(PATHS[kind]).toContain(path.slice(dir.path.length + 1));
  }
  expect(flipped[1]).toBe(flipped[0]);
});

test('nothing is flipped where there is nothing', async () => {
  await using dir = await temporaryDirectory();
  expect(await flipBits(dir.path, 'blobs', 3, randomOf(1))).toEqual([]);
});
