/**
 * The SHA-256 of each block of a large blob: what a part of it is verified with while the whole is not there. Blocks are of one size, the last one is what is left.
 */
import { InvalidMessageError } from './errors.ts';

/** Smaller blobs have none: the whole of them is there soon. */
export const BLOCK_DIGESTS_MIN_BYTES = 8 * 1024 * 1024;
/** A block fits one message. */
export const BLOCK_MIN_BYTES = 512 * 1024;
/** A block is in memory as a whole wherever it is verified. */
export const BLOCK_MAX_BYTES = 4 * 1024 * 1024;
/** Most blocks of a blob: their digests fit one message. */
export const BLOCKS_MAX = 16_384;

const DIGEST_BYTES = 32;
/** What goes before the digests: `blockBytes` in 32 bits, big-endian. */
const PREFIX_BYTES = 4;

export interface BlockDigests {
  readonly blockBytes: number;
  /** One behind the other, 32 bytes each. */
  readonly digests: Uint8Array;
}

/** Into blocks of which size a blob is divided; undefined when it has no digests, because it is too small or too large for them. */
export function blockBytesFor(sizeBytes: number): number | undefined {
  if (sizeBytes < BLOCK_DIGESTS_MIN_BYTES) return undefined;
  let blockBytes = BLOCK_MIN_BYTES;
  while (Math.ceil(sizeBytes / blockBytes) > BLOCKS_MAX) blockBytes *= 2;
  return blockBytes <= BLOCK_MAX_BYTES ? blockBytes : undefined;
}

/** The digest of block number `index`. */
export function blockDigest({ digests }: Pick<BlockDigests, 'digests'>, index: number): Uint8Array {
  return digests.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES);
}

/** The reply to `blocks`. */
export function encodeBlockDigests({ blockBytes, digests }: BlockDigests): Uint8Array {
  const message = new Uint8Array(PREFIX_BYTES + digests.byteLength);
  new DataView(message.buffer).setUint32(0, blockBytes);
  message.set(digests, PREFIX_BYTES);
  return message;
}

/** What came in reply to `blocks`, checked against the size of the blob. @throws {InvalidMessageError} */
export function decodeBlockDigests(message: Uint8Array, sizeBytes: number): BlockDigests {
  const refuse = (problem: string): never => {
    throw new InvalidMessageError('origin.fetch', `block digests: ${problem}`);
  };
  if (message.byteLength < PREFIX_BYTES) return refuse(`${message.byteLength} bytes are too few`);
  const blockBytes = new DataView(message.buffer, message.byteOffset).getUint32(0);
  if (blockBytes < BLOCK_MIN_BYTES || blockBytes > BLOCK_MAX_BYTES) return refuse(`blocks of ${blockBytes} bytes are not dealt with here`);
  const digests = message.subarray(PREFIX_BYTES);
  const expected = Math.ceil(sizeBytes / blockBytes) * DIGEST_BYTES;
  if (digests.byteLength !== expected) {
    return refuse(`${digests.byteLength} bytes for a blob of ${sizeBytes} in blocks of ${blockBytes}, which has ${expected}`);
  }
  return { blockBytes, digests };
}
