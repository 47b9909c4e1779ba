import { createHash, hash } from 'node:crypto';

/** `size` bytes that only `seed` decides and that do not compress. */
export function contentOf(size: number, seed: string | number): Buffer<ArrayBuffer> {
  return Buffer.from(createHash('shake256', { outputLength: size }).update(String(seed)).digest());
}

/** In hex. */
export function sha256Of(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'hex');
}
