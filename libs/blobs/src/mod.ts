/** Content-addressed bytes on disk. */
export type { BlobRef, BlobStoreOptions } from './blob-store.ts';
export { BlobReader, BlobStore, BlobWriter, INLINE_MAX_BYTES } from './blob-store.ts';
export { BlobMismatchError, BlobMissingError, DiskFullError, fromDiskError, isDiskFull } from './errors.ts';
export type { Operate } from './operate.ts';
export { operate } from './operate.ts';
