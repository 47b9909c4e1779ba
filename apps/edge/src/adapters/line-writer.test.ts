import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer, text as readText } from 'node:stream/consumers';
import { eventually, FakeClock, temporaryDirectory } from '@sluice/testkit';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CLOSE_MS, FLUSH_MS, LineWriter } from './line-writer.ts';

let dir: Awaited<ReturnType<typeof temporaryDirectory>>;
beforeEach(async () => {
  dir = await temporaryDirectory();
});
afterEach(() => dir[Symbol.asyncDispose]());

async function openWriter(name: string, waitingMaxBytes?: number) {
  const clock = new FakeClock();
  const states: unknown[] = [];
  const reopenFailures: unknown[] = [];
  const path = join(dir.path, name);
  const it = { path, clock, states, reopenFailures, dropped: 0, writer: undefined as unknown as LineWriter };
  it.writer = await LineWriter.open({
    ...{ path, clock, ...(waitingMaxBytes === undefined ? {} : { waitingMaxBytes }) },
    onDropped: (lines) => {
      it.dropped += lines;
    },
    onState: (error) => states.push(error),
    onReopenFailed: (error) => reopenFailures.push(error),
  });
  return it;
}
const text = (path: string) => readFile(path, 'latin1');
const lines = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => `line ${from + at}\n`);

describe('a file', () => {
  test('has each line within a second, in order, behind what it had before', async () => {
    await writeFile(join(dir.path, 'log'), 'before\n');
    const { writer, clock, path } = await openWriter('log');
    for (const line of lines(0, 20_000)) writer.write(line);
    clock.advance(FLUSH_MS);
    const expected = `before\n${lines(0, 20_000).join('')}`;
    await eventually(async () => expect(await text(path)).toBe(expected));
    await writer.close();
  });

  test('has all lines when the writer is closed, and none that come afterwards', async () => {
    const it = await openWriter('log');
    it.writer.write('a\n');
    await it.writer.close();
    it.writer.write('b\n');
    expect([await text(it.path), it.dropped]).toEqual(['a\n', 1]);
  });

  test('that was renamed gets the lines until it is opened again; then a new one of its name does', async () => {
    const { writer, clock, path } = await openWriter('log');
    writer.write('1\n');
    clock.advance(FLUSH_MS);
    await eventually(async () => expect(await text(path)).toBe('1\n'));
    await rename(path, `${path}.1`);
    writer.write('2\n');
    clock.advance(FLUSH_MS);
    await eventually(async () => expect(await text(`${path}.1`)).toBe('1\n2\n'));
    writer.reopen();
    await eventually(async () => expect(await text(path)).toBe(''));
    writer.write('3\n');
    await writer.close();
    expect([await text(`${path}.1`), await text(path)]).toEqual(['1\n2\n', '3\n']);
  });

  test('that cannot be opened again: lines go to the old one, and that is told', async () => {
    await mkdir(join(dir.path, 'logs'));
    const { writer, clock, path, states, reopenFailures } = await openWriter('logs/log');
    await rename(join(dir.path, 'logs'), join(dir.path, 'moved'));
    writer.reopen();
    await eventually(() => Promise.resolve(expect(reopenFailures).toEqual([expect.objectContaining({ code: 'ENOENT' })])));
    writer.write('1\n');
    clock.advance(FLUSH_MS);
    await eventually(async () => expect(await text(join(dir.path, 'moved/log'))).toBe('1\n'));
    await mkdir(join(dir.path, 'logs'));
    writer.reopen();
    writer.write('2\n');
    await writer.close();
    expect([await text(path), states, reopenFailures.length]).toEqual(['2\n', [], 1]);
  });

  test('that cannot be opened at the start is an error that names it', async () => {
    await expect(openWriter('none/log')).rejects.toThrow(/ENOENT.*none\/log/);
    await expect(openWriter('')).rejects.toThrow(/EISDIR/);
  });

  test('may be read by the edge and its group only', async () => {
    const { writer, path } = await openWriter('log');
    const file = await open(path);
    expect((await file.stat()).mode & 0o777 & ~0o640).toBe(0);
    await file.close();
    await writer.close();
  });
});

describe('a pipe whose reader stands still', () => {
  const LINE = `${'x'.repeat(99)}\n`;

  async function openPipe(waitingMaxBytes: number) {
    execFileSync('mkfifo', [join(dir.path, 'pipe')]);
    const reader = spawn('cat', [join(dir.path, 'pipe')], { stdio: ['ignore', 'pipe', 'inherit'] });
    const received = buffer(reader.stdout);
    let it: Awaited<ReturnType<typeof openWriter>> | undefined;
    await eventually(async () => {
      it = await openWriter('pipe', waitingMaxBytes);
    });
    reader.kill('SIGSTOP');
    return { it: it as NonNullable<typeof it>, goOn: () => reader.kill('SIGCONT'), received };
  }

  test('holds up nothing: the lines that wait are bounded, and what comes beyond is dropped and counted', async () => {
    const { it, goOn, received } = await openPipe(100_000);
    for (let count = 0; count < 10_000; count += 1) it.writer.write(LINE);
    expect(it.dropped).toBe(9_000);
    goOn();
    // There is room again.
    await eventually(async () => {
      it.clock.advance(FLUSH_MS);
      const before = it.dropped;
      it.writer.write('again\n');
      expect(it.dropped).toBe(before);
    });
    await it.writer.close();
    expect((await received).toString()).toBe(`${LINE.repeat(1_000)}again\n`);
  });

  test('does not hold up the end: it comes in time, and the lines that are lost are counted', async () => {
    const { it, goOn, received } = await openPipe(1_000_000);
    for (let count = 0; count < 5_000; count += 1) it.writer.write(LINE);
    const closed = it.writer.close();
    it.clock.advance(CLOSE_MS);
    await closed;
    goOn();
    const arrived = (await received).toString();
    expect(arrived).toMatch(/^(x{99}\n)*$/);
    expect(it.dropped).toBeGreaterThan(0);
    // Of one piece the system may have taken all and not yet said so.
    const total = arrived.length / LINE.length + it.dropped;
    expect([total >= 5_000, total <= 5_040]).toEqual([true, true]);
  });

  test('that nobody reads at all is an error at the start', async () => {
    execFileSync('mkfifo', [join(dir.path, 'pipe')]);
    await expect(openWriter('pipe')).rejects.toThrow(/ENXIO/);
  });
});

test('what cannot be written is tried again every second, and both the failure and its end are told once', async () => {
  execFileSync('mkfifo', [join(dir.path, 'pipe')]);
  const read = () => spawn('cat', [join(dir.path, 'pipe')], { stdio: ['ignore', 'pipe', 'inherit'] });
  const first = read();
  let it: Awaited<ReturnType<typeof openWriter>> | undefined;
  await eventually(async () => {
    it = await openWriter('pipe');
  });
  const { writer, clock, states } = it as NonNullable<typeof it>;
  first.kill();
  await once(first, 'exit');
  writer.write('1\n');
  await eventually(() => Promise.resolve([clock.advance(FLUSH_MS), expect(states).toEqual([expect.objectContaining({ code: 'EPIPE' })])]));
  clock.advance(FLUSH_MS);
  writer.write('2\n');
  const received = readText(read().stdout);
  await eventually(() => Promise.resolve([clock.advance(FLUSH_MS), expect(states).toEqual([expect.anything(), undefined])]));
  await writer.close();
  expect(await received).toBe('1\n2\n');
});

describe('standard output that is a pipe', () => {
  /** A process that writes lines, and some of its own in between, and its reader. */
  async function start(script: string) {
    execFileSync('mkfifo', [join(dir.path, 'pipe')]);
    const reader = spawn('cat', [join(dir.path, 'pipe')], { stdio: ['ignore', 'pipe', 'inherit'] });
    const pipe = await open(join(dir.path, 'pipe'), 'w');
    const source = `
      import { writeSync } from 'node:fs';
      import { systemClock } from '@sluice/runtime';
      import { LineWriter } from ${JSON.stringify(join(import.meta.dirname, 'line-writer.ts'))};
      const nothing = () => {};
      const writer = await LineWriter.open({ path: undefined, clock: systemClock, onDropped: nothing, onState: nothing, onReopenFailed: nothing });
      ${script}
      await writer.close();
      process.exit(0);`;
    const args = ['--input-type=module', '--eval', source];
    const process_ = spawn(process.execPath, args, { stdio: ['ignore', pipe.fd, 'inherit'], cwd: import.meta.dirname });
    await pipe.close();
    return { process: process_, reader };
  }

  test('has whole lines, also when something else is written there at the same time', async () => {
    const { reader } = await start(`
      for (let at = 0; at < 5000; at += 1) {
        writer.write('a'.repeat(300 + (at % 700)) + '\\n');
        if (at % 20 !== 0) continue;
        writeSync(1, 'b'.repeat(500) + '\\n');
        await new Promise(setImmediate);
      }`);
    const lines = (await readText(reader.stdout)).split('\n').slice(0, -1);
    expect(lines.filter((line) => /^a+$/.test(line))).toHaveLength(5_000);
    expect(lines.filter((line) => /^b{500}$/.test(line))).toHaveLength(250);
  });

  test('and whose reader stands still does not keep the process from its end', async () => {
    const { process: writer, reader } = await start(`for (let at = 0; at < 5000; at += 1) writer.write('a'.repeat(300) + '\\n');`);
    reader.kill('SIGSTOP');
    expect(await once(writer, 'exit')).toEqual([0, null]);
    reader.kill('SIGKILL');
  });
});
