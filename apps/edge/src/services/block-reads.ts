/** Blocks of large blobs that visitors need before a fill has come to them: brought from the origin on the main thread, verified, and shared by all threads. */
import { BlobMismatchError, type BlobRef } from '@sluice/blobs';
import { type BlockDigests, SluiceError } from '@sluice/contracts';
import { LRUCache } from 'lru-cache';
import PQueue from 'p-queue';
import { readExactly } from './blob-ranges.ts';
import type { OriginPort } from './origin-port.ts';
import type { BlockQuestion, KnownBlocks } from './serving-messages.ts';
import { TransfersBusyError } from './transfers.ts';

/** Bytes of blocks that are kept, for those who want the same a little later and for the rest of a block that is sent in pieces. */
export const KEPT_MAX_BYTES = 32 * 1024 * 1024;
/** Blocks that are brought at the same time, and that may wait. */
export const CONCURRENT_BLOCKS = 8;
export const WAITING_BLOCKS_MAX = 1_000;

/** There are none, whenever this is asked: the blob is of no size for it, or the origin is too old to know the request. */
const NONE_CODES: ReadonlySet<string> = new Set(['NO_BLOCKS', 'INVALID_MESSAGE', 'BLOB_MISSING']);

type Shared = Uint8Array<SharedArrayBuffer>;

export interface BlockReadsParts {
  readonly origin: Pick<OriginPort, 'read' | 'blocks' | 'chunkBytes'>;
  readonly observer: {
    /** Bytes have come from the origin. */
    readonly readAhead: (bytes: number) => void;
    readonly failed: (error: unknown) => void;
  };
}

export class BlockReads {
  readonly #origin: BlockReadsParts['origin'];
  readonly #observer: BlockReadsParts['observer'];
  readonly #queue = new PQueue({ concurrency: CONCURRENT_BLOCKS });
  readonly #kept = new LRUCache<string, Shared>({ maxSize: KEPT_MAX_BYTES, sizeCalculation: (bytes) => Math.max(1, bytes.byteLength) });
  readonly #underWay = new Map<string, Promise<Shared>>();
  readonly #asked = new Map<string, Promise<KnownBlocks>>();

  constructor({ origin, observer }: BlockReadsParts) {
    this.#origin = origin;
    this.#observer = observer;
  }

  /** Bytes kept. */
  get keptBytes(): number {
    return this.#kept.calculatedSize;
  }

  /** What the origin knows of the blocks of a blob now, asked once for all who ask at the same time. */
  digests(ref: BlobRef): Promise<KnownBlocks> {
    let asked = this.#asked.get(ref.sha256);
    if (asked === undefined) {
      asked = this.#askDigests(ref).finally(() => this.#asked.delete(ref.sha256));
      this.#asked.set(ref.sha256, asked);
    }
    return asked;
  }

  async #askDigests({ sha256, size }: BlobRef): Promise<KnownBlocks> {
    try {
      return { kind: 'known', blocks: shared(await this.#origin.blocks(sha256, size)) };
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      return { kind: NONE_CODES.has(error.code) ? 'none' : 'pending' };
    }
  }

  /** One block, verified. @throws {SluiceError} BLOB_MISMATCH when it is not the one with this digest, EDGE_BUSY, or what the origin answered */
  read({ sha256, range: { start, end }, digest, keep }: BlockQuestion): Promise<Shared> {
    const name = `${sha256}:${start}:${end}:${Buffer.from(digest).toString('base64')}`;
    const kept = this.#kept.get(name);
    if (kept !== undefined) return Promise.resolve(kept);
    let reading = this.#underWay.get(name);
    if (reading === undefined) {
      if (this.#queue.size >= WAITING_BLOCKS_MAX) return Promise.reject(new TransfersBusyError());
      reading = this.#queue.add(() => this.#bring(sha256, start, end - start + 1, digest)).finally(() => this.#underWay.delete(name));
      this.#underWay.set(name, reading);
    }
    return !keep
      ? reading
      : reading.then((bytes) => {
          this.#kept.set(name, bytes);
          return bytes;
        });
  }

  async #bring(sha256: string, start: number, length: number, digest: Uint8Array): Promise<Shared> {
    try {
      const { chunkBytes } = this.#origin;
      const offsets = Array.from({ length: Math.ceil(length / chunkBytes) }, (_, at) => at * chunkBytes);
      const parts = await Promise.all(
        offsets.map((at) => readExactly(this.#origin, sha256, start + at, Math.min(chunkBytes, length - at))),
      );
      this.#observer.readAhead(length);
      const bytes = Buffer.concat(parts);
      if (!(await isBlock(bytes, digest))) throw new BlobMismatchError(`the block at ${start} of ${sha256} is not what its digest says`);
      return copyShared(bytes);
    } catch (error) {
      this.#observer.failed(error);
      throw error;
    }
  }
}

/** Whether a block has this SHA-256. Hashed in the pool of threads, however much it is, the caller's goes on. */
export async function isBlock(bytes: Uint8Array<ArrayBuffer>, digest: Uint8Array): Promise<boolean> {
  return Buffer.from(await crypto.subtle.digest('SHA-256', bytes)).equals(digest);
}

function shared({ blockBytes, digests }: BlockDigests): BlockDigests {
  return { blockBytes, digests: copyShared(digests) };
}

/** For other threads, without copying it for each. */
function copyShared(bytes: Uint8Array): Shared {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.byteLength));
  copy.set(bytes);
  return copy;
}
