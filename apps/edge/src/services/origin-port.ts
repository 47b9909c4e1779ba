import type { IncomingFile } from '@sluice/blobs';
import { type BlockDigests, type ChangesReply, type ResolveReply, SluiceError } from '@sluice/contracts';

export type Resolution = Exclude<ResolveReply, { ok: false }>;
export type ChangesPage = Exclude<ChangesReply, { ok: false }>;

/** What an edge asks of the origin. Every method throws a SluiceError; `retryable` says whether asking again may help. */
export interface OriginPort {
  /** The current version of a key. `have`: checksums held, against which the origin may offer a patch; small content comes along when `withContent`. `atLeast`: no answer is of a catalog older than that. */
  resolve(key: string, have: readonly string[], withContent?: boolean, atLeast?: number): Promise<Resolution>;
  /** Bytes `offset … offset+length-1` of a blob; `length` at most `chunkBytes`. Throws with code BLOB_MISSING when the origin has it no more. */
  read(sha256: string, offset: number, length: number): Promise<Uint8Array>;
  /**
   * The digests of the blocks of a large blob. Throws with code BLOCKS_PENDING when they are being made, NO_BLOCKS or INVALID_MESSAGE when there are none, or what came does not fit
   * the blob.
   */
  blocks(sha256: string, sizeBytes: number): Promise<BlockDigests>;
  /**
   * Brings a large blob into a new file by a shorter way, telling its growth. True: exactly its bytes are there, verified. False: that cannot be done now; what the growth
   * says is there is its beginning, unverified. Never rejects.
   */
  download(sha256: string, sizeBytes: number, file: Pick<IncomingFile, 'path' | 'growth'>): Promise<boolean>;
  /** What changed for this edge's region since a version. */
  changes(since: number, catalogId: string | undefined, listing: number | undefined): Promise<ChangesPage>;
  /** Most bytes of one `read`. */
  readonly chunkBytes: number;
}

/** An origin that is away until it is provided: an edge serves what it holds before it has met its broker. */
export function awaitedOrigin(): OriginPort & { provide(origin: OriginPort): void } {
  let provided: OriginPort | undefined;
  const origin = (): OriginPort => {
    if (provided === undefined) throw new SluiceError('BROKER_AWAY', 'the broker has not been reached yet', { retryable: true });
    return provided;
  };
  return {
    resolve: async (key, have, withContent, atLeast) => origin().resolve(key, have, withContent, atLeast),
    read: async (sha256, offset, length) => origin().read(sha256, offset, length),
    blocks: async (sha256, sizeBytes) => origin().blocks(sha256, sizeBytes),
    download: async (sha256, sizeBytes, file) => origin().download(sha256, sizeBytes, file),
    changes: async (since, catalogId, listing) => origin().changes(since, catalogId, listing),
    get chunkBytes() {
      return origin().chunkBytes;
    },
    provide: (found) => {
      provided = found;
    },
  };
}
