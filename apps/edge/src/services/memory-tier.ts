/**
 * The bytes that visitors ask for again and again, in memory above the disk, as one serving thread sees them: what has proved itself is shared by all threads, what came new is on
 * trial in this one. Which bytes those are is S3-FIFO's business.
 */
import type { BlobView } from '@sluice/blobs';
import { FREQUENCY_MAX, SmallQueue } from '../domain/s3-fifo.ts';
import type { SharedBlob } from './sharing.ts';

/** Larger ones are sent from the disk in pieces. One of this size goes into a socket's buffer whole, so however slowly it is read, no memory of this process waits for that. */
export const MEMORY_OBJECT_MAX_BYTES = 1024 * 1024;
/** Reads from the disk at the same time; what is asked for beyond is sent in pieces. */
const LOADING_MAX = 64;

/** What a thread is told of the shared part. */
export type MemoryChange =
  | { readonly kind: 'added'; readonly sha256: string; readonly bytes: Uint8Array; readonly slot: number }
  | { readonly kind: 'dropped'; readonly sha256: readonly string[] };

export interface MemoryTierOptions {
  readonly blobs: Pick<BlobView, 'has' | 'readNow' | 'readAll'>;
  /** Bytes of what is on trial in this thread. */
  readonly trialBytes: number;
  /** Uses of what is shared, by slot, counted by all threads. */
  readonly uses: Uint8Array;
  /** Whether the shared part has no room left without letting something go. */
  readonly isFull: () => boolean;
  /** Brings bytes that have proved themselves to all threads; they come back as {@link MemoryChange}. */
  readonly share: (blob: SharedBlob) => void;
}

interface Shared {
  readonly bytes: Uint8Array;
  /** Undefined while all threads are being told. */
  readonly slot: number | undefined;
}

export class MemoryTier {
  readonly #options: MemoryTierOptions;
  readonly #trial: SmallQueue<Uint8Array>;
  readonly #shared = new Map<string, Shared>();
  readonly #objectMaxBytes: number;
  readonly #loading = new Map<string, Promise<Uint8Array>>();

  constructor(options: MemoryTierOptions) {
    this.#options = options;
    this.#trial = new SmallQueue(options.trialBytes);
    this.#objectMaxBytes = Math.min(MEMORY_OBJECT_MAX_BYTES, this.#trial.itemMaxBytes);
  }

  /** Of what is on trial here. */
  get trialBytes(): number {
    return this.#trial.sizeBytes;
  }
  get count(): number {
    return this.#trial.count + this.#shared.size;
  }

  /** Of what all threads share. */
  get sharedCount(): number {
    return this.#shared.size;
  }

  has(sha256: string): boolean {
    return this.#shared.has(sha256) || this.#trial.has(sha256);
  }

  get(sha256: string): Uint8Array | undefined {
    const shared = this.#shared.get(sha256);
    if (shared === undefined) return this.#trial.get(sha256);
    const { uses } = this.#options;
    // Not atomic: a use that two threads count as one changes nothing that matters.
    if (shared.slot !== undefined && (uses[shared.slot] as number) < FREQUENCY_MAX) (uses[shared.slot] as number) += 1;
    return shared.bytes;
  }

  /** Whether to {@link load} a blob of this size now. */
  takes(sizeBytes: number): boolean {
    return sizeBytes <= this.#objectMaxBytes && this.#loading.size < LOADING_MAX;
  }

  /** The same at once, for bytes that are not in a file; else undefined. @throws {BlobMissingError} */
  loadNow(sha256: string): Uint8Array | undefined {
    const bytes = this.#options.blobs.readNow(sha256);
    if (bytes !== undefined) this.#keep(sha256, bytes);
    return bytes;
  }

  /** The bytes of a blob from the disk, once for all who ask meanwhile; they stay if they are worth it. @throws {BlobMissingError} */
  load(sha256: string): Promise<Uint8Array> {
    const loading = this.#loading.get(sha256);
    if (loading !== undefined) return loading;
    const bytes = this.#options.blobs.readAll(sha256).then((read) => {
      // Dropped from the disk while it was read: then it is not to come back by this way.
      if (this.#options.blobs.has(sha256)) this.#keep(sha256, read);
      return read;
    });
    this.#loading.set(sha256, bytes);
    const done = (): boolean => this.#loading.delete(sha256);
    bytes.then(done, done);
    return bytes;
  }

  #keep(sha256: string, bytes: Uint8Array): void {
    if (this.#shared.has(sha256)) return;
    for (const { name, value } of this.#trial.add(sha256, bytes, bytes.byteLength, this.#main())) {
      const copy = new Uint8Array(new SharedArrayBuffer(value.byteLength));
      copy.set(value);
      this.#shared.set(name, { bytes: copy, slot: undefined });
      this.#options.share({ sha256: name, bytes: copy });
    }
  }

  #main(): { count: number; isFull: boolean } {
    return { count: this.#shared.size, isFull: this.#options.isFull() };
  }

  /** Takes over what has become of the shared part. */
  follow(change: MemoryChange): void {
    if (change.kind === 'added') {
      this.#trial.delete(change.sha256);
      this.#shared.set(change.sha256, { bytes: change.bytes, slot: change.slot });
    } else {
      for (const sha256 of change.sha256) {
        this.#trial.delete(sha256);
        this.#shared.delete(sha256);
      }
    }
  }
}
