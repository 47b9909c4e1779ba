import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { BlobStore } from '@sluice/blobs';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { bytesInOrder } from './blob-bytes.ts';

test('blobs come one behind the other, and no more once that is given up', async () => {
  await using dir = await temporaryDirectory();
  const blobs = await BlobStore.open({ dir: join(dir.path, 'blobs'), durability: 'full' });
  const bodies = [randomBytes(3_000_000), randomBytes(0), randomBytes(10), randomBytes(2_000_000)];
  const names: string[] = [];
  for (const body of bodies) names.push((await blobs.put(body)).sha256);
  const stop = new AbortController();
  expect(Buffer.concat(await Array.fromAsync(bytesInOrder(blobs, names, stop.signal))).equals(Buffer.concat(bodies))).toBe(true);
  const pieces = bytesInOrder(blobs, names, stop.signal);
  await pieces.next();
  stop.abort(new Error('enough'));
  await expect(pieces.next()).rejects.toThrow('enough');
  blobs.close();
});
