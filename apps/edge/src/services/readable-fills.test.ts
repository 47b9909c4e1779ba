import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Growth } from '@sluice/blobs';
import { systemClock } from '@sluice/runtime';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { ReadableFills } from './readable-fills.ts';

/** Of the whole, nothing is asked about its blocks. */
const PARTS = { clock: systemClock, link: { ask: () => Promise.reject(new Error('not asked for')), tell() {} } };
const WHOLE = [{ start: 0, end: 2 }];

const growing = (path: string) => {
  const growth = new Growth();
  return { growth, fill: { sha256: 'a', sizeBytes: 3, path, growth: growth.buffer } };
};

test('a fill is read from its file while it comes', async () => {
  await using dir = await temporaryDirectory();
  const { fill, growth } = growing(join(dir.path, 'a'));
  await writeFile(fill.path, 'abc');
  const fills = new ReadableFills(PARTS);
  fills.add(fill);
  growth.advanceTo(3);
  growth.complete();
  const reader = await fills.open('a', WHOLE);
  expect(Buffer.from((await reader?.read(0, 3)) ?? []).toString()).toBe('abc');
  await reader?.close();
});

test('one whose file has gone to its last place is waited for until the store has it', async () => {
  await using dir = await temporaryDirectory();
  const { fill, growth } = growing(join(dir.path, 'a'));
  const fills = new ReadableFills(PARTS);
  fills.add(fill);
  growth.complete();
  let opened = false;
  const opening = fills.open('a', WHOLE).then((reader) => {
    opened = true;
    return reader;
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(opened).toBe(false);
  fills.delete('a');
  expect(await opening).toBeUndefined();
});
