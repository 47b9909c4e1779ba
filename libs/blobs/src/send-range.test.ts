import { once } from 'node:events';
import { Writable } from 'node:stream';
import { temporaryDirectory } from '@sluice/testkit';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BlobStore, sendRange } from './mod.ts';
import { contentOf } from './store-check.ts';

const LARGE = contentOf(1_500_000, 1);

async function openBlob(content: Buffer) {
  const dir = await temporaryDirectory();
  const store = await BlobStore.open({ dir: dir.path, durability: 'relaxed' });
  const reader = await store.reader((await store.put(content)).sha256);
  return {
    reader,
    async [Symbol.asyncDispose]() {
      await reader.close();
      store.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

/** A stream whose other end takes each piece some turns late, and only then looks at it. */
class SlowSink extends Writable {
  readonly taken: Buffer[] = [];
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    let turns = 3;
    const wait = (): void => {
      turns -= 1;
      if (turns > 0) return void setImmediate(wait);
      this.taken.push(Buffer.from(chunk));
      done();
    };
    setImmediate(wait);
  }
}

test('any range arrives byte for byte, however late the other end looks at what it was given', async () => {
  for (const content of [LARGE, LARGE.subarray(0, 5_000)]) {
    await using blob = await openBlob(content);
    await fc.assert(
      fc.asyncProperty(fc.nat(content.length - 1), fc.nat(content.length), async (start, length) => {
        const end = Math.min(start + length, content.length - 1);
        const sink = new SlowSink();
        let sent = 0;
        await sendRange(blob.reader, { start, end }, sink, (bytes) => {
          sent += bytes;
        });
        expect(Buffer.concat(sink.taken).equals(content.subarray(start, end + 1))).toBe(true);
        expect(sent).toBe(end - start + 1);
      }),
      { numRuns: 30 },
    );
  }
});

test('a stream that is closed in the middle, or was before, ends it', async () => {
  await using blob = await openBlob(LARGE);
  const whole = { start: 0, end: LARGE.length - 1 };
  const stuck = new Writable({
    write() {
      setImmediate(() => this.destroy());
    },
  });
  await expect(sendRange(blob.reader, whole, stuck)).rejects.toThrow('closed');
  const closed = new Writable({ write() {} });
  closed.on('error', () => {});
  closed.destroy();
  await once(closed, 'close');
  await expect(sendRange(blob.reader, whole, closed)).rejects.toThrow();
});
