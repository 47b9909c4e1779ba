import { BlobMismatchError, type BlobRef } from '@sluice/blobs';
import type { OriginPort } from './origin-port.ts';

/** Ranges of one blob that are asked for at the same time. */
const RANGES_IN_FLIGHT = 4;

/** The bytes of a blob over the broker in order from `from` on, a few ranges ahead. @throws {SluiceError} */
export async function* blobRanges(
  origin: Pick<OriginPort, 'read' | 'chunkBytes'>,
  { sha256, size }: BlobRef,
  from = 0,
): AsyncGenerator<Uint8Array> {
  const chunkBytes = origin.chunkBytes;
  const ahead: Promise<Uint8Array>[] = [];
  let asked = from;
  try {
    while (asked < size || ahead.length > 0) {
      while (asked < size && ahead.length < RANGES_IN_FLIGHT) {
        const length = Math.min(chunkBytes, size - asked);
        const range = readExactly(origin, sha256, asked, length);
        range.catch(() => {}); // a failure is seen when its turn comes, or not at all when an earlier one failed
        ahead.push(range);
        asked += length;
      }
      yield await (ahead.shift() as Promise<Uint8Array>);
    }
  } finally {
    await Promise.allSettled(ahead);
  }
}

/** One range, whole. @throws {SluiceError} */
export async function readExactly(origin: Pick<OriginPort, 'read'>, sha256: string, offset: number, length: number): Promise<Uint8Array> {
  const bytes = await origin.read(sha256, offset, length);
  if (bytes.byteLength !== length) throw new BlobMismatchError(`asked for ${length} bytes at ${offset}, got ${bytes.byteLength}`);
  return bytes;
}
