/** The parts of the benchmark at work on little, so that nobody finds out on the day of a measurement that they do not run. Nothing here looks at a clock. */
import { temporaryDirectory } from '@sluice/testkit';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fillCatalog, keysOf } from './catalog-filling.ts';
import { Contents } from './contents.ts';
import { ask, load } from './load.ts';
import { type Reply, ReplyReader } from './reply.ts';
import { written } from './requests.ts';
import { originDataIn, startSluice } from './sluice-side.ts';

const body = fc.string({ maxLength: 40 });
const answer = fc.oneof(
  body.map((text) => ({ text, raw: `HTTP/1.1 200 OK\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}` })),
  fc.array(body, { maxLength: 4 }).map((texts) => {
    const chunks = texts.filter((text) => text !== '').map((text) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`);
    return {
      text: texts.join(''),
      raw: `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n${chunks.join('')}0\r\nA: b\r\n\r\n`,
    };
  }),
);

test('answers are read whole, with a length and in chunks, wherever the network cuts them', () => {
  fc.assert(
    fc.property(fc.array(answer, { minLength: 1, maxLength: 3 }), fc.integer({ min: 1, max: 50 }), (answers, pieceBytes) => {
      const reader = new ReplyReader(1_000);
      for (const { text, raw } of answers) {
        const bytes = Buffer.from(raw);
        const replies: (Reply | undefined)[] = [];
        for (let at = 0; at < bytes.byteLength; at += pieceBytes) replies.push(reader.take(bytes.subarray(at, at + pieceBytes)));
        expect(replies.slice(0, -1).every((reply) => reply === undefined)).toBe(true);
        expect(replies.at(-1)).toMatchObject({ status: 200, text, bytes: Buffer.byteLength(text) });
      }
    }),
  );
});

test('of a long body as much is kept as was said, and all is counted', () => {
  const reply = new ReplyReader(3).take(Buffer.from('HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nabcde'));
  expect(reply).toMatchObject({ status: 404, text: 'abc', bytes: 5 });
});

test('contents differ', () => {
  const contents = new Contents(100);
  expect(new Set(Array.from({ length: 50 }, () => contents.next().toString('hex'))).size).toBe(50);
});

test('an origin with keys takes the requests that were written down, and lists a catalog that was filled without it', async () => {
  await using dir = await temporaryDirectory();
  const keys = keysOf(25);
  await fillCatalog(originDataIn(dir.path), 'filled', keys);
  await using sluice = await startSluice(dir.path);
  const contents = new Contents(1_000);
  const uploads = Array.from({ length: 20 }, (_, number) =>
    written(sluice, { method: 'PUT', bucket: 'site', key: `a b/${number}.bin`, body: contents.next() }),
  );
  expect((await load(sluice, uploads, 4)).requestsPerSecond).toBeGreaterThan(0);
  const list = { 'list-type': '2', 'max-keys': '10', 'start-after': keys[4] as string };
  const page = await ask(sluice.port, written(sluice, { method: 'GET', bucket: 'filled', query: list }));
  expect([...page.text.matchAll(/<Key>([^<]+)/g)].map(([, key]) => key)).toEqual(keys.slice(5, 15));
  await expect(load(sluice, [written(sluice, { method: 'GET', bucket: 'site', key: 'none' })], 1)).rejects.toThrow('NoSuchKey');
});
