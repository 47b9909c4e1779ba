import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryDirectory } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { Member } from './mod.ts';

/** Behaves as the apps do at their borders: a log line with the port, `/readyz`, data on disk, a clean end on SIGTERM. */
const FAKE_APP = `
import { createServer } from 'node:http';
import { appendFileSync } from 'node:fs';
const { MODE, DATA_FILE, FAKE_PORT } = process.env;
if (MODE === 'die') { console.error('no room on the disk'); process.exit(3); }
appendFileSync(DATA_FILE, 'x');
let ready = MODE !== 'never';
const server = createServer((request, response) => {
  if (request.url === '/readyz') return response.writeHead(ready ? 200 : 503).end('{"problems":{"broker":"away"}}');
  if (request.url === '/die') process.exit(7);
  response.end('hello');
});
console.log('not json but "listening"');
server.listen(Number(FAKE_PORT), '127.0.0.1', () => {
  console.log(JSON.stringify({ msg: 'listening', host: '127.0.0.1', port: server.address().port }));
  if (MODE === 'die later') setTimeout(() => { console.error('lost its head'); process.exit(4); }, 50), (ready = false);
});
process.on('SIGTERM', () => process.exit(0));
`;

async function fakeMember(mode = '') {
  const dir = await temporaryDirectory();
  const entry = join(dir.path, 'app.mjs');
  await writeFile(entry, FAKE_APP);
  const dataDir = join(dir.path, 'data');
  const dataFile = join(dataDir, 'file');
  const logFile = join(dir.path, 'logs', 'app.log');
  const member = new Member({
    name: 'fake',
    entry,
    dataDir,
    logFile,
    portVariable: 'FAKE_PORT',
    port: 0,
    env: { MODE: mode, DATA_FILE: dataFile },
  });
  return {
    member,
    dataFile,
    logFile,
    async [Symbol.asyncDispose]() {
      await member.kill();
      await dir[Symbol.asyncDispose]();
    },
  };
}

describe('a member of the stack', () => {
  test('keeps its port and its data over a restart and a kill, and loses the data only to wipe', async () => {
    await using fake = await fakeMember();
    const { member, dataFile } = fake;
    await member.start();
    const { url, pid } = member;
    expect(await (await fetch(url)).text()).toBe('hello');
    await member.restart();
    expect(member.url).toBe(url);
    expect(member.pid).not.toBe(pid);
    await member.kill();
    expect(member.running).toBe(false);
    await expect(fetch(url)).rejects.toThrow();
    await member.start();
    expect(await readFile(dataFile, 'utf8')).toBe('xxx');
    await expect(member.wipe()).rejects.toThrow('stop or kill fake before wiping');
    await member.stop();
    await member.wipe();
    await member.start();
    expect(await readFile(dataFile, 'utf8')).toBe('x');
  });

  test('that dies at the start fails the start with its last lines', async () => {
    await using fake = await fakeMember('die');
    await expect(fake.member.start()).rejects.toThrow('fake exited with 3\nno room on the disk');
    expect(fake.member.running).toBe(false);
  });

  test('that dies between listening and being ready fails the start with its last lines', async () => {
    await using fake = await fakeMember('die later');
    await expect(fake.member.start()).rejects.toThrow(/fake exited with 4 before it was ready[\s\S]*lost its head/);
  });

  test('that never becomes ready is told apart by what is missing, and can be started without waiting for that', async () => {
    await using fake = await fakeMember('never');
    await fake.member.start({ ready: false });
    expect(fake.member.running).toBe(true);
    await expect(fake.member.waitUntilReady(50)).rejects.toThrow('fake was not ready within 50 ms: {"problems":{"broker":"away"}}');
    await expect(fake.member.start()).rejects.toThrow('fake is already running');
  });

  test('is reported when it ends by itself, and not when it was asked to', async () => {
    await using fake = await fakeMember();
    const { member } = fake;
    const ends: string[] = [];
    let heard: () => void = () => {};
    const reported = new Promise<void>((resolve) => {
      heard = resolve;
    });
    member.onUnexpectedEnd((how) => {
      ends.push(how);
      heard();
    });
    await member.start();
    await member.restart();
    await member.kill();
    await member.start();
    await fetch(`${member.url}/die`).catch(() => {});
    await reported;
    expect(ends).toEqual(['exited with 7']);
  });

  test('that is paused answers nothing until resumed, and stops cleanly all the same', async () => {
    await using fake = await fakeMember();
    const { member } = fake;
    await member.start();
    member.pause();
    await expect(fetch(member.url, { signal: AbortSignal.timeout(100) })).rejects.toThrow();
    member.resume();
    expect(await (await fetch(member.url)).text()).toBe('hello');
    member.pause();
    expect(await member.stop()).toBe('exited with 0');
  });
});
