/**
 * Patches: one plain zstd frame (RFC 8878) of the new bytes with the whole old version as raw-content dictionary, the payload that
 * RFC 9842 calls `dcz` without its 40-byte header.
 */
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress } from 'node:zlib';
import { SluiceError } from '@sluice/contracts';

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** Smaller than this, asking for a patch costs as much as the bytes. */
export const DELTA_MIN_BYTES = 4096;
/** Above this, zstd's match finder misses much of the dictionary at affordable levels (DESIGN §8: level 9 holds to 4 MB). */
export const DELTA_MAX_BYTES = 4 * 1024 * 1024;
/** A patch is used when it is at most this share of the whole. */
export const DELTA_MAX_SHARE = 0.5;
/** 17 ms and 1.1 % for a 574 kB script; level 19 takes 200 ms for 0.3 % (DESIGN §8). */
const LEVEL = 9;
/** zstd reads a dictionary that begins so as a formatted one and refuses it (RFC 8878 §5). */
const DICTIONARY_MAGIC = Buffer.from([0x37, 0xa4, 0x30, 0xec]);

/** The patch does not decode against this base to something of the expected size. Take the whole bytes instead. */
export class PatchError extends SluiceError {
  constructor(message: string, cause?: unknown) {
    super('PATCH_UNUSABLE', message, { cause });
    this.name = 'PatchError';
  }
}

/** Whether a patch from `base` to `target` (sizes in bytes) is worth trying. */
export function isDeltaCandidate(baseBytes: number, targetBytes: number): boolean {
  return baseBytes > 0 && baseBytes <= DELTA_MAX_BYTES && targetBytes >= DELTA_MIN_BYTES && targetBytes <= DELTA_MAX_BYTES;
}

/** Whether a patch of `patchBytes` saves enough of `targetBytes` to be sent. */
export function isWorthwhile(patchBytes: number, targetBytes: number): boolean {
  return patchBytes <= targetBytes * DELTA_MAX_SHARE;
}

/** Whether `base` can serve as a raw-content dictionary. */
export function isUsableBase(base: Uint8Array): boolean {
  return base.byteLength > 0 && !DICTIONARY_MAGIC.equals(base.subarray(0, DICTIONARY_MAGIC.length));
}

/** The patch that turns `base` into `target`, or undefined when `base` cannot be a dictionary. Runs on the thread pool. */
export async function makePatch(base: Uint8Array, target: Uint8Array): Promise<Buffer | undefined> {
  if (!isUsableBase(base)) return undefined;
  // The window has to reach from the end of the target back to the beginning of the dictionary.
  const windowLog = Math.min(Math.max(Math.ceil(Math.log2(base.byteLength + target.byteLength + 1)), 10), 27);
  return compress(target, {
    dictionary: base,
    params: {
      [constants.ZSTD_c_compressionLevel]: LEVEL,
      [constants.ZSTD_c_windowLog]: windowLog,
      [constants.ZSTD_c_checksumFlag]: 0,
    },
  });
}

/**
 * The bytes that `patch` makes of `base`. The caller verifies their checksum.
 * @throws {PatchError} when it does not decode, or not to exactly `expectedBytes` bytes; never allocates much more than those
 */
export async function applyPatch(base: Uint8Array, patch: Uint8Array, expectedBytes: number): Promise<Buffer> {
  if (!isUsableBase(base)) throw new PatchError('the base cannot be a zstd dictionary');
  let bytes: Buffer;
  try {
    bytes = await decompress(patch, {
      dictionary: base,
      maxOutputLength: Math.max(expectedBytes, 1),
      params: { [constants.ZSTD_d_windowLogMax]: 27 },
    });
  } catch (error) {
    throw new PatchError('the patch does not decode against this base', error);
  }
  if (bytes.byteLength !== expectedBytes)
    throw new PatchError(`the patch decodes to ${bytes.byteLength} bytes instead of ${expectedBytes}`);
  return bytes;
}
