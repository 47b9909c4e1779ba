import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { ManagedProcess } from './mod.ts';

test('a line of output ends with a line feed alone, is whole in whatever pieces it comes, and the last one needs none', async () => {
  await using dir = await temporaryDirectory();
  const logFile = join(dir.path, 'a.log');
  const script = `
    process.stdout.write('{"key":"a\\u2028b\\u2029c\\u0085d","half":"\\u00e9'.slice(0, -1));
    setTimeout(() => process.stdout.write(Buffer.from([0xc3])), 20);
    setTimeout(() => process.stdout.write(Buffer.concat([Buffer.from([0xa9]), Buffer.from('"}\\nlast')])), 40);`;
  const child = new ManagedProcess({ name: 'writer', command: process.execPath, args: ['-e', script], logFile });
  const lines: string[] = [];
  child.onLine((line) => lines.push(line));
  expect(await child.ended).toBe('exited with 0');
  expect(lines).toEqual(['{"key":"a\u2028b\u2029c\u0085d","half":"é"}', 'last']);
  expect((await readFile(logFile, 'utf8')).split('\n')).toEqual([...lines, '']);
});
