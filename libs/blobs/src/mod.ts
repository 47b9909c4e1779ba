/** Content-addressed bytes on disk. */
export { BlobReader } from './blob-reader.ts';
export type { BlobRef } from './blob-ref.ts';
export type { BlobStoreOptions } from './blob-store.ts';
export { BlobStore } from './blob-store.ts';
export { BlobView } from './blob-view.ts';
export { BlobWriter, INLINE_MAX_BYTES } from './blob-writer.ts';
export { readBootId } from './boot-id.ts';
export type { ByteSource } from './byte-source.ts';
export { BlobMismatchError, BlobMissingError, DiskFullError, fromDiskError, isDiskFull } from './errors.ts';
export { fillWith, whenReadable } from './fill.ts';
export { GrowingReader } from './growing-reader.ts';
export { Growth } from './growth.ts';
export type { IncomingFile } from './incoming-file.ts';
export { KeyLock } from './key-lock.ts';
export type { Operate } from './operate.ts';
export { operate } from './operate.ts';
export { sendRange } from './send-range.ts';
