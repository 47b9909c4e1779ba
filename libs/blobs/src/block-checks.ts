/**
 * Checksums of the blocks of a large blob's file, by which each read from the disk is checked. CRC-32 and not SHA-256: they tell that a disk has given other bytes than were verified and
 * written, which is no matter of trust, and cost a third of the time. That the whole has the SHA-256 of its name is checked when it is written, and by scrubbing.
 */
import { crc32 } from 'node:zlib';

/** A range is read and checked in whole blocks of this size. */
export const CHECKED_BLOCK_BYTES = 64 * 1024;
const CHECK_BYTES = 4;

/** Checksums of the bytes that come in order. */
export class BlockChecks {
  readonly #checks: number[] = [];
  #current = 0;
  #currentBytes = 0;

  update(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.byteLength; ) {
      const piece = chunk.subarray(at, at + CHECKED_BLOCK_BYTES - this.#currentBytes);
      this.#current = crc32(piece, this.#current);
      this.#currentBytes += piece.byteLength;
      at += piece.byteLength;
      if (this.#currentBytes === CHECKED_BLOCK_BYTES) this.#endBlock();
    }
  }

  #endBlock(): void {
    this.#checks.push(this.#current);
    this.#current = 0;
    this.#currentBytes = 0;
  }

  /** Four bytes for each block, the lowest first. Nothing can be added after that. */
  end(): Uint8Array {
    if (this.#currentBytes > 0) this.#endBlock();
    const checks = Buffer.allocUnsafeSlow(this.#checks.length * CHECK_BYTES);
    for (const [index, check] of this.#checks.entries()) checks.writeUInt32LE(check, index * CHECK_BYTES);
    return checks;
  }
}

/** Whether bytes are those of whole blocks from `index` on, by the checksums that {@link BlockChecks.end} gave. */
export function areChecked(bytes: Uint8Array, index: number, checks: Uint8Array): boolean {
  const view = new DataView(checks.buffer, checks.byteOffset, checks.byteLength);
  for (let at = 0, block = index; at < bytes.byteLength; at += CHECKED_BLOCK_BYTES, block += 1) {
    if ((block + 1) * CHECK_BYTES > checks.byteLength) return false;
    if (crc32(bytes.subarray(at, at + CHECKED_BLOCK_BYTES)) !== view.getUint32(block * CHECK_BYTES, true)) return false;
  }
  return true;
}
