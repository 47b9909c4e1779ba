import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { BlobStore, INLINE_MAX_BYTES } from '@sluice/blobs';
import { eventually, FakeClock, temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { OpenBlobs } from './open-blobs.ts';

async function openBlobsFixture(maxOpen: number) {
  const dir = await temporaryDirectory();
  let openings = 0;
  const blobs = await BlobStore.open({
    dir: join(dir.path, 'blobs'),
    durability: 'relaxed',
    operate: (label, operation) => {
      if (label === 'BLOB_READ:OPEN') openings += 1;
      return operation();
    },
  });
  const clock = new FakeClock();
  const open = new OpenBlobs(blobs, clock, maxOpen);
  return {
    ...{ blobs, clock, open },
    openings: () => openings,
    put: async (fill: number) => (await blobs.put(Buffer.alloc(INLINE_MAX_BYTES + 10, fill))).sha256,
    async [Symbol.asyncDispose]() {
      open.close();
      blobs.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

/** Files this process has open under the blob directory. */
async function openFiles(): Promise<number> {
  const { readlink } = await import('node:fs/promises');
  const links = await Promise.all((await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
  return links.filter((path) => path.includes('/blobs/files/')).length;
}

test('reads of one blob share one opening', async () => {
  await using fixture = await openBlobsFixture(8);
  const name = await fixture.put(1);
  const reads = await Promise.all(Array.from({ length: 20 }, (_, index) => fixture.open.read(name, index, 5)));
  expect(reads.every((bytes) => Buffer.from(bytes).equals(Buffer.alloc(5, 1)))).toBe(true);
  expect(fixture.openings()).toBe(1);
});

test('ten times more blobs than may be open are all read, and only so many stay open', async () => {
  await using fixture = await openBlobsFixture(4);
  const names = await Promise.all(Array.from({ length: 40 }, (_, index) => fixture.put(index)));
  const reads = await Promise.all(names.map((name) => fixture.open.read(name, 0, 1)));
  expect(reads.map((bytes) => bytes[0])).toEqual(names.map((_, index) => index));
  expect(fixture.open.size).toBe(4);
  await eventually(async () => expect(await openFiles()).toBe(4));
});

test('a blob nobody reads any more is closed', async () => {
  await using fixture = await openBlobsFixture(8);
  await fixture.open.read(await fixture.put(1), 0, 1);
  expect(fixture.open.size).toBe(1);
  fixture.clock.advance(20_000);
  expect(fixture.open.size).toBe(0);
  await eventually(async () => expect(await openFiles()).toBe(0));
});

test('a blob that is missing is asked for again the next time', async () => {
  await using fixture = await openBlobsFixture(8);
  const name = await fixture.put(1);
  fixture.blobs.delete(name);
  await expect(fixture.open.read(name, 0, 1)).rejects.toMatchObject({ code: 'BLOB_MISSING' });
  await fixture.put(1);
  expect((await fixture.open.read(name, 0, 1))[0]).toBe(1);
});
