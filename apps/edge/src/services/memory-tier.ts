/** The bytes that visitors ask for again and again, in memory above the disk. Which they are is S3-FIFO's business. */
import type { BlobStore } from '@sluice/blobs';
import { S3Fifo } from '../domain/s3-fifo.ts';

/** Larger ones are sent from the disk in pieces. One of this size goes into a socket's buffer whole, so however slowly it is read, no memory of this process waits for that. */
export const MEMORY_OBJECT_MAX_BYTES = 1024 * 1024;
/** Reads from the disk at the same time; what is asked for beyond is sent in pieces. */
const LOADING_MAX = 64;

export class MemoryTier {
  readonly #blobs: BlobStore;
  readonly #cache: S3Fifo<Uint8Array>;
  readonly #objectMaxBytes: number;
  readonly #loading = new Map<string, Promise<Uint8Array>>();

  constructor(blobs: BlobStore, maxBytes: number) {
    this.#blobs = blobs;
    this.#cache = new S3Fifo(maxBytes);
    this.#objectMaxBytes = Math.min(MEMORY_OBJECT_MAX_BYTES, this.#cache.itemMaxBytes);
  }

  get sizeBytes(): number {
    return this.#cache.sizeBytes;
  }
  get count(): number {
    return this.#cache.count;
  }

  has(sha256: string): boolean {
    return this.#cache.has(sha256);
  }
  get(sha256: string): Uint8Array | undefined {
    return this.#cache.get(sha256);
  }

  /** Whether to {@link load} a blob of this size now. */
  takes(sizeBytes: number): boolean {
    return sizeBytes <= this.#objectMaxBytes && this.#loading.size < LOADING_MAX;
  }

  /** The bytes of a blob from the disk, once for all who ask meanwhile; they stay if they are worth it. @throws {BlobMissingError} */
  load(sha256: string): Promise<Uint8Array> {
    const loading = this.#loading.get(sha256);
    if (loading !== undefined) return loading;
    const bytes = this.#blobs.readAll(sha256).then((read) => {
      // Dropped from the disk while it was read: then it is not to come back by this way.
      if (this.#blobs.has(sha256)) this.#cache.set(sha256, read, read.byteLength);
      return read;
    });
    this.#loading.set(sha256, bytes);
    const done = (): boolean => this.#loading.delete(sha256);
    bytes.then(done, done);
    return bytes;
  }

  /** The bytes are not to be served any more. */
  forget(sha256: string): void {
    this.#cache.delete(sha256);
  }
}
