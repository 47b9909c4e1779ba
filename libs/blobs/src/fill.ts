/** Files that are filled from somewhere and read meanwhile. */
import type { BlobRef } from './blob-ref.ts';
import { BlobMismatchError } from './errors.ts';
import type { IncomingFile } from './incoming-file.ts';

/** Calls back when the first bytes of a file can be read; never when it fails before. */
export function whenReadable({ growth }: Pick<IncomingFile, 'growth'>, readable: () => void): void {
  growth.reach(1).then(readable, () => {});
}

/**
 * Puts the pieces of a blob behind what a file has of it and verifies the whole. `isWanted`: asked before each piece.
 * @throws {BlobMismatchError} when they are not the blob's, more or fewer than it has, or not wanted any more
 * @throws {DiskFullError} and what the pieces throw
 */
export async function fillWith(
  file: Pick<IncomingFile, 'append' | 'verify' | 'growth'>,
  ref: BlobRef,
  pieces: AsyncIterable<Uint8Array>,
  isWanted: () => boolean = () => true,
): Promise<void> {
  for await (const piece of pieces) {
    if (!isWanted()) throw new BlobMismatchError('nobody waits for these bytes any more');
    // Before it is on the disk: what does not end must not fill it.
    if (file.growth.availableBytes + piece.byteLength > ref.size) throw new BlobMismatchError(`expected ${ref.size} bytes, got more`);
    await file.append(piece);
  }
  await file.verify(ref);
}
