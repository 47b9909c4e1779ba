import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { BlobStore, fillWith, INLINE_MAX_BYTES } from './mod.ts';
import { checkStore, contentOf, sha256Of } from './store-check.ts';

const CONTENT = contentOf(3 * INLINE_MAX_BYTES, 1);
const REF = { sha256: sha256Of(CONTENT), size: CONTENT.byteLength };

async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += 10_000) yield bytes.subarray(at, at + 10_000);
}

async function storeIn(dir: string) {
  return BlobStore.open({ dir: join(dir, 'blobs'), durability: 'relaxed' });
}

test('a file is filled behind what it has, and is a blob when the whole is right', async () => {
  await using dir = await temporaryDirectory();
  const store = await storeIn(dir.path);
  const file = store.incoming();
  await file.append(CONTENT.subarray(0, 20_000));
  await fillWith(file, REF, piecesOf(CONTENT.subarray(20_000)));
  await file.adopt(REF);
  await checkStore(store, join(dir.path, 'blobs'));
  expect(store.has(REF.sha256)).toBe(true);
  store.close();
});

test.each([
  ['fewer', CONTENT.subarray(1)],
  ['others', contentOf(CONTENT.byteLength, 2)],
  ['more', Buffer.concat([CONTENT, CONTENT, CONTENT])],
])('%s bytes are refused, and never more are written than were announced', async (_, bytes) => {
  await using dir = await temporaryDirectory();
  const store = await storeIn(dir.path);
  const file = store.incoming();
  await expect(fillWith(file, REF, piecesOf(bytes))).rejects.toMatchObject({ code: 'BLOB_MISMATCH' });
  expect(file.growth.availableBytes).toBeLessThanOrEqual(REF.size);
  await file.discard();
  store.close();
});

test('what is not wanted any more ends at the next piece', async () => {
  await using dir = await temporaryDirectory();
  const store = await storeIn(dir.path);
  const file = store.incoming();
  await expect(fillWith(file, REF, piecesOf(CONTENT), () => file.growth.availableBytes < 50_000)).rejects.toMatchObject({
    code: 'BLOB_MISMATCH',
  });
  expect(file.growth.availableBytes).toBe(50_000);
  await file.discard();
  store.close();
});

test('a writer that gives up its bytes, before or while they come, names all of them and keeps none', async () => {
  await using dir = await temporaryDirectory();
  const store = await storeIn(dir.path);
  for (const keptBytes of [0, 10_000, 100_000, CONTENT.byteLength]) {
    const writer = store.writer();
    await writer.write(CONTENT.subarray(0, keptBytes));
    await writer.forgo();
    for await (const piece of piecesOf(CONTENT.subarray(keptBytes))) await writer.write(piece);
    expect(writer.seal()).toEqual(REF);
    await expect(writer.finish()).rejects.toMatchObject({ code: 'BLOB_MISMATCH' });
    await writer.discard();
    expect(await readdir(join(dir.path, 'blobs', 'incoming'))).toEqual([]);
  }
  expect(store.totals.count).toBe(0);
  store.close();
});
