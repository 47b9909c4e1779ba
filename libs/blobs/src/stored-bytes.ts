/** Whether what a store has of a blob is that blob. */
import { createHash, hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { BlockChecks } from './block-checks.ts';

/** Bytes that are read and hashed before others get their turn. */
const PIECE_BYTES = 256 * 1024;

/** Whether all bytes, in memory, have this name. */
export function haveName(bytes: Uint8Array, sha256: string): boolean {
  return hash('sha256', bytes) === sha256;
}

/**
 * Reads a whole file. The checksums of its blocks when it has the bytes of its name; undefined: it has not. `afterPiece` is awaited after each piece, with its bytes.
 * @throws what reading fails with
 */
export async function checksOfFile(
  file: Pick<FileHandle, 'read'>,
  { sha256, size }: { readonly sha256: string; readonly size: number },
  afterPiece: (bytes: number) => Promise<void>,
): Promise<Uint8Array | undefined> {
  const whole = createHash('sha256');
  const checks = new BlockChecks();
  const buffer = Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, Math.max(1, size)));
  for (let offset = 0; offset < size; ) {
    const { bytesRead } = await file.read(buffer, 0, Math.min(buffer.byteLength, size - offset), offset);
    if (bytesRead === 0) return undefined;
    const piece = buffer.subarray(0, bytesRead);
    whole.update(piece);
    checks.update(piece);
    offset += bytesRead;
    await afterPiece(bytesRead);
  }
  return whole.digest('hex') === sha256 ? checks.end() : undefined;
}
