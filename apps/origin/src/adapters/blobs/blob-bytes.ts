import type { OpenBlob, OriginBlobs } from '../../services/origin-blobs.ts';

/** Bytes read at a time. */
const PIECE_BYTES = 1024 * 1024;

/** Bytes `start … end` of an open blob, in pieces. Stops when `signal` says so. */
export async function* bytesOf(
  reader: Pick<OpenBlob, 'read'>,
  start: number,
  end: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for (let offset = start; offset <= end; offset += PIECE_BYTES) {
    signal.throwIfAborted();
    yield await reader.read(offset, Math.min(PIECE_BYTES, end - offset + 1));
  }
}

/** The bytes of blobs one behind the other, each opened when it is its turn. @throws {BlobMissingError} */
export async function* bytesInOrder(
  blobs: Pick<OriginBlobs, 'reader'>,
  checksums: Iterable<string>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for (const sha256 of checksums) {
    const reader = await blobs.reader(sha256);
    try {
      yield* bytesOf(reader, 0, reader.ref.size - 1, signal);
    } finally {
      await reader.close();
    }
  }
}
