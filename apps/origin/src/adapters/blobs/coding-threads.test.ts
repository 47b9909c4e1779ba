import { readdir, readFile } from 'node:fs/promises';
import { getPriority } from 'node:os';
import { Worker } from 'node:worker_threads';
import { brotliDecompressSync, gunzipSync, constants as zlib, zstdDecompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { type CodingEffort, codingEfforts } from '../../domain/content-coding.ts';
import { type Coded, CodingThreads } from './coding-threads.ts';

const TEXT = Buffer.from('the quick brown fox jumps over the lazy dog. '.repeat(200));
const job = (bytes: Uint8Array = Buffer.from(TEXT), maxBytes = bytes.byteLength) => ({
  bytes,
  efforts: codingEfforts(bytes.byteLength),
  maxBytes,
});
const DECODERS: Record<CodingEffort['coding'], (bytes: Uint8Array) => Buffer> = {
  br: (bytes) => brotliDecompressSync(bytes),
  zstd: (bytes) => zstdDecompressSync(bytes, { params: { [zlib.ZSTD_d_windowLogMax]: 23 } }),
  gzip: (bytes) => gunzipSync(bytes),
};
const decoded = ({ coding, bytes }: Coded): Buffer => DECODERS[coding](bytes);

test('each coding decodes to the content, within the window that RFC 9659 lets a sender use', async () => {
  const threads = new CodingThreads();
  // Beyond 8 MiB, where a window as large as the content would be too large.
  const large = Buffer.concat(Array.from({ length: 9 * 1024 }, (_, line) => Buffer.from(`${line} `.padEnd(1024, String(line % 7)))));
  for (const bytes of [TEXT, large]) {
    const coded = await threads.encode(job(Buffer.from(bytes)));
    expect(coded.map(({ coding }) => coding)).toEqual(['br', 'zstd', 'gzip']);
    for (const each of coded) expect(decoded(each).equals(bytes), each.coding).toBe(true);
  }
  await threads.close();
}, 30_000);

test('what is larger than wanted is left out', async () => {
  const threads = new CodingThreads();
  expect(await threads.encode(job(Buffer.from(TEXT), 10))).toEqual([]);
  await threads.close();
});

test.runIf(process.platform === 'linux')('a coding thread has the lowest priority, the others keep theirs', async () => {
  const threads = new CodingThreads();
  const before = await priorities();
  const own = getPriority(0);
  await threads.encode(job());
  const added = (await priorities()).filter(({ id }) => !before.some((thread) => thread.id === id));
  expect(added.some(({ nice }) => nice === 19)).toBe(true);
  expect(before.every(({ nice }) => nice !== 19)).toBe(true);
  expect(getPriority(0)).toBe(own);
  await threads.close();
});

/** The threads of this process with their nice values: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html */
async function priorities(): Promise<{ id: string; nice: number }[]> {
  const ids = await readdir('/proc/self/task');
  return Promise.all(
    ids.map(async (id) => {
      const stat = await readFile(`/proc/self/task/${id}/stat`, 'utf8').catch(() => ') '.padEnd(100, '0 '));
      return { id, nice: Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]) };
    }),
  );
}

test('a thread that dies rejects its job alone, and the next job has another one', async () => {
  let started = 0;
  const threads = new CodingThreads(() => {
    started += 1;
    if (started === 1)
      return new Worker("require('node:worker_threads').parentPort.once('message', () => process.exit(3))", { eval: true });
    if (started === 2) {
      return new Worker("require('node:worker_threads').parentPort.once('message', () => { throw new Error('broken') })", { eval: true });
    }
    return new Worker(new URL('./coding.worker.ts', import.meta.url));
  });
  await expect(threads.encode(job())).rejects.toThrow('the thread ended');
  await expect(threads.encode(job())).rejects.toThrow('broken');
  expect(await threads.encode(job())).toHaveLength(3);
  expect(await threads.encode(job())).toHaveLength(3);
  expect(started).toBe(3);
  await threads.close();
  await expect(threads.encode(job())).rejects.toThrow('no more work is taken');
});

test('a thread that ended while it had nothing to do is not asked any more', async () => {
  const workers: Worker[] = [];
  const threads = new CodingThreads(() => {
    const worker = new Worker(new URL('./coding.worker.ts', import.meta.url));
    workers.push(worker);
    return worker;
  });
  await threads.encode(job());
  await workers[0]?.terminate();
  expect(await threads.encode(job())).toHaveLength(3);
  threads.rest();
  expect(await threads.encode(job())).toHaveLength(3);
  expect(workers).toHaveLength(3);
  await threads.close();
});
