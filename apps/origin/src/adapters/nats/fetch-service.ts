import type { Bus } from '@sluice/bus';
import { encodeBlockDigests, type FetchRequest, type ORIGIN_FETCH, type Signature, SluiceError } from '@sluice/contracts';
import type { Clock } from '@sluice/runtime';
import type { Statement } from '@sluice/signing';
import PQueue from 'p-queue';
import type { z } from 'zod';
import type { StoredObject } from '../../domain/catalog-change.ts';
import { type BlockDigestMaker, NoBlocksError } from '../blobs/block-digest-maker.ts';
import type { PatchMaker } from '../blobs/patch-maker.ts';
import type { RangeCache } from '../blobs/range-cache.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { OriginMetrics } from '../metrics.ts';

/**
 * Raw replies that are being read or have not yet reached the broker: with the longest reply this bounds the memory they take. Measured with
 * ten edges and 1 MiB ranges: 4, 8 and 16 are equally fast.
 */
const READS_MAX = 8;
/** Reads that may wait for that. */
const WAITING_MAX = 1024;
/** A broker that takes nothing for so long has lost the connection; what was sent is gone with it. */
const FLUSH_TIMEOUT_MS = 10_000;
/** Bytes that take longer to come are not waited for at the end. */
const IDLE_TIMEOUT_MS = 2_000;

/** No more reads can wait now. Ask again a little later. */
export class BusyError extends SluiceError {
  constructor() {
    super('BUSY', `${WAITING_MAX} reads are waiting already; ask again later`, { retryable: true });
    this.name = 'BusyError';
  }
}

export interface FetchServiceOptions {
  readonly bus: Pick<Bus, 'chunkBytes' | 'flush'>;
  readonly catalog: Catalog;
  readonly ranges: RangeCache;
  readonly sizeOf: (sha256: string) => number | undefined;
  readonly patches: Pick<PatchMaker, 'offer'>;
  readonly blocks: Pick<BlockDigestMaker, 'of'>;
  /** Makes sure of what the catalog does not know, of an origin whose content stands at a source. @throws {SluiceError} when that cannot be found out now */
  readonly lookUp?: ((key: string) => Promise<unknown>) | undefined;
  /** Resolves when the catalog has come to a version that others know, of several origins. @throws {CatalogBehindError} */
  readonly reach?: ((version: number) => Promise<void>) | undefined;
  /** A range of a blob that is unknown here, from another origin that holds it; undefined when none does. */
  readonly elsewhere?: ((sha256: string, offset: number, length: number) => Promise<Uint8Array | undefined>) | undefined;
  /** Signs what the asker is going to pass on; absent, or undefined: this origin does not sign. */
  readonly sign?: ((statement: Statement) => Signature | undefined) | undefined;
  readonly clock: Clock;
  readonly metrics: OriginMetrics;
}

type Request = z.output<typeof ORIGIN_FETCH.request>;
type Of<Op extends FetchRequest['op']> = Extract<Request, { op: Op }>;
type ResolveAnswer = Exclude<z.input<typeof ORIGIN_FETCH.reply>, { ok: false }>;

/** Answers `origin.fetch`: what is the current version of a key, ranges of bytes, and the digests of their blocks. */
export class FetchService {
  readonly #options: FetchServiceOptions;
  readonly #reads = new PQueue({ concurrency: READS_MAX });

  constructor(options: FetchServiceOptions) {
    this.#options = options;
  }

  handle(request: Request): Promise<ResolveAnswer | Uint8Array> {
    switch (request.op) {
      case 'resolve':
        return this.#resolve(request);
      case 'read':
        return this.#read(request);
      case 'blocks':
        return this.#blocks(request);
    }
  }

  #blocks({ sha256 }: Of<'blocks'>): Promise<Uint8Array> {
    const { bus, blocks, metrics } = this.#options;
    return this.#inTurn(async () => {
      try {
        const reply = encodeBlockDigests(blocks.of(sha256));
        if (reply.byteLength > bus.chunkBytes) throw new NoBlocksError(`they do not fit a message of ${bus.chunkBytes} bytes`);
        metrics.fetches.inc({ outcome: 'blocks_ok' });
        return reply;
      } catch (error) {
        const isPending = error instanceof SluiceError && error.code === 'BLOCKS_PENDING';
        metrics.fetches.inc({ outcome: isPending ? 'blocks_pending' : 'blocks_missing' });
        throw error;
      }
    });
  }

  async #resolve({ key, have, inlineMaxBytes, atLeast = 0, signed = false }: Of<'resolve'>): Promise<ResolveAnswer> {
    const { catalog, metrics, patches, lookUp, reach } = this.#options;
    await reach?.(atLeast);
    if (lookUp !== undefined && catalog.find(key) === undefined) await lookUp(key);
    // One turn of the event loop: object and `asOf` belong to the same state.
    const found = catalog.find(key);
    const asOf = catalog.lastVersion;
    if (found === undefined) {
      metrics.fetches.inc({ outcome: 'resolve_missing' });
      const version = catalog.removedAt(key);
      if (version === undefined) return { ok: true, found: false, asOf };
      return { ok: true, found: false, removed: { version, ...this.#signed(signed, { kind: 'removal', key, version }) }, asOf };
    }
    metrics.fetches.inc({ outcome: 'resolve_found' });
    const { manifest, previous } = found;
    const [patch, content] = await Promise.all([patches.offer(manifest, previous, have), this.#inline(found, have, inlineMaxBytes)]);
    return {
      ok: true,
      found: true,
      manifest,
      ...(previous === undefined ? {} : { previous }),
      ...(patch === undefined ? {} : { patch }),
      ...(content === undefined ? {} : { content }),
      asOf,
      ...this.#signed(signed, { kind: 'manifest', manifest }),
    };
  }

  #signed(isWanted: boolean, statement: Statement): { signature?: Signature } {
    const signature = isWanted ? this.#options.sign?.(statement) : undefined;
    return signature === undefined ? {} : { signature };
  }

  /** Small content that nobody is likely to hold yet, in base64. */
  async #inline({ manifest, previous }: StoredObject, have: readonly string[], maxBytes: number): Promise<string | undefined> {
    const { key, sha256, size, contentVersion } = manifest;
    // Announced again with more to say about it: its bytes have been on their way since the first time.
    const isAnnouncedAgain = contentVersion !== undefined;
    const likelyHeld =
      isAnnouncedAgain || have.includes(sha256) || previous?.sha256 === sha256 || this.#options.catalog.references.isShared(sha256, key);
    if (size === 0 || size > maxBytes || likelyHeld) return undefined;
    const bytes = await this.#options.ranges.read(sha256, 0, size).catch(unlessAtItsSource);
    if (bytes === undefined) return undefined;
    this.#options.metrics.fetchBytes.inc(size);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
  }

  #read({ sha256, offset, length }: Of<'read'>): Promise<Uint8Array> {
    const { bus, sizeOf, metrics } = this.#options;
    if (length > bus.chunkBytes) {
      throw new SluiceError('INVALID_MESSAGE', `length: one reply can carry at most ${bus.chunkBytes} bytes; ask in smaller ranges`);
    }
    const size = sizeOf(sha256);
    if (size !== undefined && offset > size) {
      throw new SluiceError('INVALID_MESSAGE', `offset: the blob has only ${size} bytes`);
    }
    return this.#inTurn(async () => {
      try {
        const bytes = await this.#readAnywhere(sha256, offset, length);
        metrics.fetches.inc({ outcome: 'read_ok' });
        metrics.fetchBytes.inc(bytes.byteLength);
        return bytes;
      } catch (error) {
        const missing = error instanceof SluiceError && error.code === 'BLOB_MISSING';
        metrics.fetches.inc({ outcome: missing ? 'read_missing' : 'read_failed' });
        throw error;
      }
    });
  }

  /** Resolves when all replies that were being made have left, or take long. */
  async idle(): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const cancel = this.#options.clock.after(IDLE_TIMEOUT_MS, resolve);
    await Promise.race([this.#reads.onIdle(), late]);
    cancel();
  }

  /** A patch is known to the origin that made it alone. */
  async #readAnywhere(sha256: string, offset: number, length: number): Promise<Uint8Array> {
    const { ranges, sizeOf, elsewhere } = this.#options;
    if (elsewhere !== undefined && sizeOf(sha256) === undefined) {
      const bytes = await elsewhere(sha256, offset, length);
      if (bytes !== undefined) return bytes;
    }
    return ranges.read(sha256, offset, length);
  }

  /** Makes a raw reply when it is its turn. A turn ends when the reply has left, not when it was made: until then it takes memory. @throws {BusyError} */
  #inTurn(make: () => Promise<Uint8Array>): Promise<Uint8Array> {
    if (this.#reads.size >= WAITING_MAX) {
      this.#options.metrics.fetches.inc({ outcome: 'read_busy' });
      throw new BusyError();
    }
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    void this.#reads.add(async () => {
      try {
        resolve(await make());
      } catch (error) {
        return reject(error);
      }
      await this.#sent();
    });
    return promise;
  }

  async #sent(): Promise<void> {
    const { bus, clock } = this.#options;
    // The bus puts the reply into the connection's buffer when the handler's promise has been seen, in this turn.
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise<void>((resolve) => {
      const cancel = clock.after(FLUSH_TIMEOUT_MS, resolve);
      const done = (): void => {
        cancel();
        resolve();
      };
      bus.flush().then(done, done);
    });
  }
}

/** Content that cannot be read at its source now comes later; what is known of it comes at once. */
function unlessAtItsSource(error: unknown): undefined {
  if (error instanceof SluiceError && (error.code === 'SOURCE_AWAY' || error.code === 'BUSY')) return undefined;
  throw error;
}
