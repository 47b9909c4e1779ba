import { BlobMismatchError, BlobReader, type ByteSource } from '@sluice/blobs';
import type { Manifest } from '@sluice/contracts';
import type { ByteRange } from '@sluice/http-semantics';
import type { Clock } from '@sluice/runtime';
import { isWhole } from '../domain/blocks.ts';
import { BlobBlocks } from './blob-blocks.ts';
import { RangeReader } from './range-reader.ts';
import { openFill } from './readable-fills.ts';
import type { ReplicaLink } from './replica-link.ts';

/** Answers at the same time for which only the blocks they need are brought, each with one block in memory. Those beyond have the whole brought, of which there may be few. */
export const BLOCKWISE_MAX = 256;

/** Bytes that this edge does not keep, as one serving thread brings them. */
export class DetachedSources {
  readonly #link: Pick<ReplicaLink, 'ask' | 'tell'>;
  readonly #clock: Clock;
  readonly #verifiedOnly: boolean;
  #blockwise = 0;

  constructor(link: Pick<ReplicaLink, 'ask' | 'tell'>, clock: Clock, verifiedOnly = false) {
    this.#link = link;
    this.#clock = clock;
    this.#verifiedOnly = verifiedOnly;
  }

  /** For an answer of these ranges. Lets go of the bytes when it is closed. `withdrawn`: the visitor has left. @throws {SluiceError} */
  async bring(manifest: Manifest, ranges: readonly ByteRange[], withdrawn: AbortSignal): Promise<ByteSource> {
    const { sha256, size } = manifest;
    const parts = { link: this.#link, clock: this.#clock, verifiedOnly: this.#verifiedOnly };
    const blocks = new BlobBlocks({ sha256, size }, parts);
    if (!isWhole(ranges, size) && this.#blockwise < BLOCKWISE_MAX && (await blocks.areKnown())) {
      const reader = new RangeReader({ ...parts, blocks, ranges, file: undefined });
      return this.#counted(reader);
    }
    withdrawn.throwIfAborted();
    const detached = await this.#link.ask('bringDetached', manifest, withdrawn);
    if (detached.kind === 'bytes') return new BlobReader({ sha256, size }, detached.bytes, undefined);
    const release = (): void => this.#link.tell({ kind: 'released', id: detached.id });
    const fill = { sha256, sizeBytes: size, path: detached.path, growth: detached.growth };
    const reader = await openFill(fill, ranges, blocks, parts).catch((error) => {
      release();
      throw error;
    });
    if (reader === undefined) {
      release();
      throw new BlobMismatchError('the bytes did not come');
    }
    return closing(reader, release);
  }

  #counted(reader: ByteSource): ByteSource {
    this.#blockwise += 1;
    return closing(reader, () => {
      this.#blockwise -= 1;
    });
  }
}

/** The same, and `closed` is called when it has been closed. */
function closing(reader: ByteSource, closed: () => void): ByteSource {
  return {
    read: (offset, length) => reader.read(offset, length),
    readInto: (buffer, offset) => reader.readInto(buffer, offset),
    close: async () => {
      try {
        await reader.close();
      } finally {
        closed();
      }
    },
  };
}
