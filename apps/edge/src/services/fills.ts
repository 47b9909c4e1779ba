/** Large blobs on their way from the origin into a file, which visitors read as far as it has come. */
import { BlobMismatchError, type BlobRef, type BlobStore, fillWith, type IncomingFile, whenReadable } from '@sluice/blobs';
import { blobRanges } from './blob-ranges.ts';
import type { OriginPort } from './origin-port.ts';
import type { Fill } from './serving-messages.ts';

export interface FillsParts {
  readonly blobs: Pick<BlobStore, 'incoming'>;
  readonly origin: OriginPort;
  /** The first bytes of a blob that will be kept can be read. */
  readonly began: (fill: Fill) => void;
  /** It is in the store, or will not be. */
  readonly ended: (sha256: string) => void;
}

export class Fills {
  readonly #parts: FillsParts;
  readonly #watchers = new Map<string, Set<() => void>>();
  readonly #readable = new Map<string, Fill>();

  constructor(parts: FillsParts) {
    this.#parts = parts;
  }

  /** Those that can be read now, for a serving thread that begins. */
  get readable(): readonly Fill[] {
    return [...this.#readable.values()];
  }

  /** Brings a blob, verifies it and makes it part of the store. @throws {SluiceError} */
  async bring(ref: BlobRef, rank: number): Promise<void> {
    // The short cut may have brought other bytes; who has read them was cut off.
    if (!(await this.#attempt(ref, rank, true))) await this.#attempt(ref, rank, false);
  }

  /** False: other bytes came by the short cut. */
  async #attempt(ref: BlobRef, rank: number, withShortCut: boolean): Promise<boolean> {
    const file = this.#parts.blobs.incoming();
    whenReadable(file, () => this.#began(ref, file));
    try {
      await fillFile(this.#parts.origin, ref, file, { withShortCut });
      await file.adopt(ref, rank);
      return true;
    } catch (error) {
      if (error instanceof BlobMismatchError && file.hasForeignBytes) return false;
      throw error;
    } finally {
      await file.discard();
      this.#ended(ref.sha256);
    }
  }

  #began(ref: BlobRef, file: IncomingFile): void {
    const fill = { sha256: ref.sha256, sizeBytes: ref.size, path: file.path, growth: file.growth.buffer };
    this.#readable.set(ref.sha256, fill);
    this.#parts.began(fill);
    for (const resolve of this.#watchers.get(ref.sha256) ?? []) resolve();
  }

  #ended(sha256: string): void {
    if (this.#readable.delete(sha256)) this.#parts.ended(sha256);
  }

  /** `readable` resolves when the bytes of a blob can be read while they come; never when they come in another way, or not at all. */
  watch(sha256: string): { readonly readable: Promise<undefined>; stop(): void } {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const tell = (): void => resolve(undefined);
    if (this.#readable.has(sha256)) tell();
    const watchers = this.#watchers.get(sha256) ?? new Set();
    this.#watchers.set(sha256, watchers.add(tell));
    return {
      readable: promise,
      stop: () => {
        watchers.delete(tell);
        if (watchers.size === 0) this.#watchers.delete(sha256);
      },
    };
  }
}

/** Fills a file with the bytes of a blob and verifies them, by the short cut as far as that goes. `isWanted`: asked now and then. @throws {SluiceError} */
export async function fillFile(
  origin: OriginPort,
  ref: BlobRef,
  file: IncomingFile,
  { withShortCut = true, isWanted = () => true }: { readonly withShortCut?: boolean; readonly isWanted?: () => boolean } = {},
): Promise<void> {
  if (withShortCut && (await origin.download(ref.sha256, ref.size, file))) return file.vouch();
  if (!isWanted()) throw new BlobMismatchError('nobody waits for these bytes any more');
  await fillWith(file, ref, blobRanges(origin, ref, file.growth.availableBytes), isWanted);
}
