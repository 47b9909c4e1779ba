import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createLogger, followFile, type Logger } from '@sluice/runtime';
import { eventually, FakeClock, temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { parseKeys } from '../keys-config.ts';

const KEYS_FILE = { variable: 'ORIGIN_KEYS_FILE', title: 'keys file', parse: parseKeys } as const;
const SECRET = 'x'.repeat(40);
const keys = (...ids: string[]): string =>
  JSON.stringify({ keys: ids.map((accessKeyId) => ({ accessKeyId, secretAccessKey: SECRET, rights: { '*': ['read'] } })) });

async function follow() {
  const dir = await temporaryDirectory();
  const path = join(dir.path, 'keys.yaml');
  await writeFile(path, keys('first'));
  const said: { level: string; fields: { problems?: string[] } }[] = [];
  const at = (level: string) => (fields: object) => void said.push({ level, fields });
  const log: Logger = Object.assign(Object.create(createLogger('origin', 'silent')), { info: at('info'), error: at('error') });
  const clock = new FakeClock();
  const file = await followFile({ path, ...KEYS_FILE, clock, log });
  return {
    ...{ path, said, file },
    /** Replaces the file, and lets the time pass after which it is looked at again. */
    async replace(text: string) {
      await writeFile(`${path}.new`, text);
      await rename(`${path}.new`, path);
      clock.advance(10_000);
    },
    advance: (ms: number) => clock.advance(ms),
    async [Symbol.asyncDispose]() {
      file.stop();
      await dir[Symbol.asyncDispose]();
    },
  };
}

test('keys of a changed file are in force, and those that it has no more are not', async () => {
  await using it = await follow();
  expect([...it.file.current.keys()]).toEqual(['first']);
  await it.replace(keys('second', 'third'));
  await eventually(() => expect([...it.file.current.keys()]).toEqual(['second', 'third']));
});

test('SIGHUP makes it look at once', async () => {
  await using it = await follow();
  await writeFile(it.path, keys('second'));
  process.emit('SIGHUP');
  it.advance(200);
  await eventually(() => expect([...it.file.current.keys()]).toEqual(['second']));
});

test('a file that cannot be used, or is gone, leaves the old keys in force, and is complained of once', async () => {
  await using it = await follow();
  await it.replace('keys: []');
  await eventually(() => expect(it.said).toHaveLength(1));
  it.advance(10_000);
  await rm(it.path);
  it.advance(10_000);
  await eventually(() => expect(it.said).toHaveLength(2));
  expect(it.said.map(({ level, fields }) => [level, fields.problems])).toEqual([
    ['error', ['keys: must have at least one key']],
    ['error', [expect.stringContaining(`${it.path} cannot be read (ENOENT)`)]],
  ]);
  expect([...it.file.current.keys()]).toEqual(['first']);
  await it.replace(keys('second'));
  await eventually(() => expect([...it.file.current.keys()]).toEqual(['second']));
});

test('a file that is not there at the start is an error that says what to do', async () => {
  const log = createLogger('origin', 'silent');
  await expect(followFile({ path: '/nowhere/keys.yaml', ...KEYS_FILE, clock: new FakeClock(), log })).rejects.toThrow(
    /\/nowhere\/keys.yaml cannot be read.*ORIGIN_KEYS_FILE/s,
  );
});
