/** A directory tree as people have them: the published files of an npm package, and names that get mangled on the way by whoever is careless. */

import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { contentOf } from '@sluice/testkit';

/** Some 200 files in 20 directories: JavaScript, TypeScript, Markdown, JSON, certificates, images. */
const PACKAGE_DIR = resolve(import.meta.dirname, '../../node_modules/pino');

const ODD_NAMES = [
  'with space/two  spaces.txt',
  'ünï/cöde ☃ 𝒳.txt',
  'plus+plus+.txt',
  '100%25%.txt',
  "quotes ' and &amp; <b>.txt",
  'a=b&c;d,e@f$g!h~i(j)[k]{l}^m.txt',
  'hash#and?query.txt',
  '.hidden',
  '-dash.txt',
  `long/${'l'.repeat(240)}/${'o'.repeat(240)}/${'n'.repeat(200)}.txt`,
  'empty.txt',
] as const;

/** Files by path, with `/` between its segments. */
export type Tree = Map<string, Buffer>;

/** Makes the tree in `dir`. */
export async function makeTree(dir: string): Promise<void> {
  await cp(PACKAGE_DIR, dir, { recursive: true });
  for (const name of ODD_NAMES) await writeInto(dir, name, name === 'empty.txt' ? Buffer.alloc(0) : Buffer.from(`content of ${name}\n`));
}

export async function writeInto(dir: string, path: string, content: Uint8Array): Promise<void> {
  const file = join(dir, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
}

/** All files below `dir`. */
export async function readTree(dir: string): Promise<Tree> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(await Promise.all(files.map(async (file) => [relative(dir, file).split(sep).join('/'), await readFile(file)] as const)));
}

/** Bytes that take several parts to upload. */
export function largeContent(seed: string): Buffer {
  return contentOf(100_000_000, seed);
}
