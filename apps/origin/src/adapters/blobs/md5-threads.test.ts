import { createHash, randomBytes } from 'node:crypto';
import { systemClock } from '@sluice/runtime';
import { FakeClock } from '@sluice/testkit';
import { expect, test, vi } from 'vitest';
import { type BodyMd5, Md5Threads, THREAD_FROM_BYTES } from './md5-threads.ts';

const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');

function scopedThreads(max?: number) {
  const threads = new Md5Threads({ clock: systemClock, ...(max === undefined ? {} : { max }) });
  return Object.assign(threads, { [Symbol.asyncDispose]: () => threads.stop() });
}

function begun(threads: Md5Threads, bytes = THREAD_FROM_BYTES): BodyMd5 {
  const body = threads.begin(bytes);
  if (body === undefined) throw new Error('no thread was free');
  return body;
}

async function hashed(body: BodyMd5, bytes: Uint8Array, pieceBytes: number): Promise<string> {
  for (let at = 0; at < bytes.byteLength; at += pieceBytes) await body.update(bytes.subarray(at, at + pieceBytes));
  return body.finish();
}

test.each([1, 4095, 65_536, 1_048_576, 3_000_000])('a body in pieces of %i bytes gets its MD5, one after the other', async (pieceBytes) => {
  await using threads = scopedThreads();
  for (const bytes of [randomBytes(Math.min(5_000_001, pieceBytes * 20_000)), Buffer.alloc(0), randomBytes(1)]) {
    expect(await hashed(begun(threads), bytes, pieceBytes)).toBe(md5(bytes));
  }
});

test('bodies at the same time do not mix', async () => {
  await using threads = scopedThreads(3);
  const bodies = Array.from({ length: 3 }, () => randomBytes(4_000_000));
  const results = await Promise.all(bodies.map((bytes) => hashed(begun(threads), bytes, 50_000)));
  expect(results).toEqual(bodies.map(md5));
});

test('no more bodies than threads are taken, and no small ones; an end of any kind makes room', async () => {
  await using threads = scopedThreads(2);
  expect(threads.begin(THREAD_FROM_BYTES - 1)).toBeUndefined();
  const [first, second] = [begun(threads), begun(threads)];
  expect(threads.begin(THREAD_FROM_BYTES)).toBeUndefined();
  await first.finish();
  const third = begun(threads);
  expect(threads.begin(THREAD_FROM_BYTES)).toBeUndefined();
  await second.update(randomBytes(100));
  second.abandon();
  await third.finish();
  const bytes = randomBytes(2_000_000);
  expect(await hashed(begun(threads), bytes, 100_000)).toBe(md5(bytes));
});

test('a thread that dies fails the body that it was at, also when that waits for room', async () => {
  const { promise, reject } = Promise.withResolvers<string>();
  const threads = new Md5Threads({ clock: new FakeClock(), threads: { run: () => promise, rest() {}, close: async () => {} } });
  const body = begun(threads);
  const update = body.update(Buffer.alloc(3_000_000));
  reject(new Error('the thread ended'));
  await expect(update).rejects.toThrow('the thread ended');
  await expect(body.finish()).rejects.toThrow('the thread ended');
});

test('threads with nothing to do are dismissed after ten seconds', async () => {
  const clock = new FakeClock();
  const rest = vi.fn();
  const run = async (): Promise<string> => '';
  const threads = new Md5Threads({ clock, threads: { run, rest, close: async () => {} } });
  await begun(threads).finish();
  clock.advance(9_999);
  const next = begun(threads);
  await next.finish();
  clock.advance(9_999);
  expect(rest).not.toHaveBeenCalled();
  clock.advance(1);
  expect(rest).toHaveBeenCalledTimes(1);
});
