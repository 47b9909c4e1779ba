import { type BlobRef, type BlobStore, type BlobWriter, fromDiskError } from '@sluice/blobs';
import { bucketOf, checkNewBucket } from '../../domain/bucket-name.ts';
import { type BucketSettings, withDefaults } from '../../domain/bucket-settings.ts';
import { announcedChecksums, type Checksums, checksumHeaders, checksumsOf, fullObject } from '../../domain/object-checksums.ts';
import { S3Error, toS3Error } from '../../domain/s3-error.ts';
import {
  algorithmsToCompute,
  type BodyExpectation,
  checkBody,
  type DigestAlgorithm,
  expectedBody,
  OBJECT_MAX_BYTES,
  tooLarge,
} from '../../domain/upload-digests.ts';
import { uploadFields } from '../../domain/upload-headers.ts';
import { writeGuard } from '../../domain/write-guard.ts';
import type { BlockDigestMaker } from '../blobs/block-digest-maker.ts';
import type { GarbageCollector } from '../blobs/garbage-collector.ts';
import type { Md5Threads } from '../blobs/md5-threads.ts';
import { noteBufferPassed } from '../buffer-collection.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { OriginMetrics } from '../metrics.ts';
import { announcementHeaders } from './announcement-headers.ts';
import { BodyDigests } from './body-digests.ts';
import type { Exchange } from './exchange.ts';
import { RequestBody } from './request-body.ts';

/** Headers that change what a PUT means. Ignoring one would overwrite or store the wrong thing. */
const UNSUPPORTED_HEADERS = ['content-range'];

/** Query parameters with which something else than the object was meant to be written. */
const FOREIGN_PARAMETERS = ['partNumber', 'versionId'];

type Digests = Readonly<Partial<Record<DigestAlgorithm, string>>>;

/** Bytes that are to be stored, and what they must be. */
export interface BodySource {
  /** Whoever takes one has it for itself. */
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly expectation: Pick<BodyExpectation, 'contentLength' | 'digests' | 'trailers'>;
  /** Compares when the last chunk was taken; by the expectation when undefined. */
  readonly check?: (sizeBytes: number, digests: Digests) => void;
  readonly maxBytes: number;
  /** Checksums wanted beside those that are announced. */
  readonly alsoWanted?: readonly DigestAlgorithm[];
  /** Nobody asks for its MD5. */
  readonly withoutMd5?: boolean;
}

/** A body that is in the store and is kept until it was committed. */
export interface TakenBody extends BlobRef {
  /** In hexadecimal; empty when nobody asked for it. */
  readonly md5: string;
  /** Those announced and those wanted. */
  readonly checksums: Checksums;
}

/** The client went away before its body was complete; there is nobody to answer. */
export class ClientGoneError extends Error {}

export interface UploadOptions {
  readonly blobs: BlobStore;
  readonly catalog: Catalog;
  readonly garbage: GarbageCollector;
  readonly blocks: Pick<BlockDigestMaker, 'offer'>;
  readonly metrics: OriginMetrics;
  readonly md5Threads: Pick<Md5Threads, 'begin'>;
  readonly bucketSettings: (key: string) => BucketSettings;
  /** Uploads under way at once. */
  readonly maxUploads: number;
}

/** Takes bodies into the store. A body is in the catalog completely and as announced, or not at all. */
export class Uploads {
  readonly #options: UploadOptions;
  #underWay = 0;

  constructor(options: UploadOptions) {
    this.#options = options;
  }

  /** Answers a PUT of `key`. @throws {S3Error} to be sent to the client */
  put(exchange: Exchange, key: string, query: URLSearchParams): Promise<void> {
    return this.run(async () => {
      for (const name of FOREIGN_PARAMETERS) {
        if (query.has(name))
          throw new S3Error('InvalidArgument', `${name}: goes with other requests; a part of an upload needs its uploadId`);
      }
      const { catalog, blocks } = this.#options;
      const { headers } = exchange.request;
      for (const name of UNSUPPORTED_HEADERS) {
        if (headers[name] !== undefined) throw new S3Error('NotImplemented', `${name}: not supported on uploads`);
      }
      const fields = withDefaults(uploadFields(key, headers), this.#options.bucketSettings(key).uploads);
      const source = { ...bodyOf(exchange), maxBytes: OBJECT_MAX_BYTES };
      const guard = writeGuard(key, headers);
      // Both are looked at again when the body is there; what is refused now need not come.
      if (!catalog.buckets.has(bucketOf(key))) checkNewBucket(bucketOf(key));
      guard?.(catalog.find(key));
      await this.take(source, async ({ sha256, size, md5, checksums: values }) => {
        const checksums = fullObject(values);
        const body = { sha256, size, etag: md5 };
        const announced = await catalog.put(key, fields, body, { guard, details: { checksums } });
        blocks.offer(body);
        const answer = [
          ['etag', `"${md5}"`],
          ...checksumHeaders(checksums),
          ['x-amz-version-id', String(announced.version)],
          ...announcementHeaders(announced),
        ] as const;
        exchange.answer({ status: 200, headers: answer });
      });
    });
  }

  /** Runs an upload: at most so many at once, counted by outcome. One whose client went away ends without a word. @throws {S3Error} */
  async run(upload: () => Promise<void>): Promise<void> {
    const { metrics, maxUploads } = this.#options;
    try {
      if (this.#underWay >= maxUploads)
        throw new S3Error('SlowDown', `${maxUploads} uploads are under way already; try again a little later`);
      this.#underWay += 1;
      try {
        await upload();
        metrics.uploads.inc({ outcome: 'stored' });
      } finally {
        this.#underWay -= 1;
      }
    } catch (error) {
      if (error instanceof ClientGoneError) return metrics.uploads.inc({ outcome: 'aborted' });
      metrics.uploads.inc({ outcome: toS3Error(error).status < 500 ? 'refused' : 'failed' });
      throw error;
    }
  }

  /** Brings a body into the store and keeps it there while `commit` brings it into the catalog. @throws {S3Error | DiskFullError} */
  async take<Result>(source: BodySource, commit: (body: TakenBody) => Promise<Result>): Promise<Result> {
    if ((source.expectation.contentLength ?? 0) > source.maxBytes) throw tooLarge(source.maxBytes);
    const writer = this.#options.blobs.writer();
    try {
      return await this.#commit(await this.#receive(source, writer), writer, commit);
    } finally {
      await writer.discard();
    }
  }

  /** Reads a body into the writer at the speed of the disk. @throws {ClientGoneError | S3Error | DiskFullError} */
  async #receive(source: BodySource, writer: BlobWriter): Promise<TakenBody> {
    const { chunks, expectation, check, maxBytes, alsoWanted = [], withoutMd5 = false } = source;
    const algorithms = new Set<DigestAlgorithm>([...algorithmsToCompute(expectation, alsoWanted), ...(withoutMd5 ? [] : ['md5' as const])]);
    const md5 = algorithms.has('md5') ? this.#options.md5Threads.begin(expectation.contentLength ?? 0) : undefined;
    try {
      if (md5 !== undefined) algorithms.delete('md5');
      const digests = await BodyDigests.create(algorithms);
      for await (const chunk of chunks) {
        // First, so that both threads have something to do.
        await md5?.update(chunk);
        digests.update(chunk);
        noteBufferPassed(chunk.byteLength);
        await writer.write(chunk, true);
        if (writer.size > maxBytes) throw tooLarge(maxBytes);
      }
      const { sha256, size } = writer.seal();
      const computed: Digests = { ...digests.finish(), ...(md5 && { md5: await md5.finish() }), sha256 };
      if (check === undefined) checkBody(expectation, size, computed);
      else check(size, computed);
      const announced = announcedChecksums([...expectation.digests, ...expectation.trailers]);
      return { sha256, size, md5: computed.md5 ?? '', checksums: checksumsOf(computed, new Set([...announced, ...alsoWanted])) };
    } finally {
      md5?.abandon();
    }
  }

  async #commit<Result>(body: TakenBody, writer: BlobWriter, commit: (body: TakenBody) => Promise<Result>): Promise<Result> {
    const { garbage, metrics } = this.#options;
    const unpin = garbage.pin(body.sha256);
    try {
      await writer.finish();
      const result = await commit(body);
      metrics.uploadBytes.inc(body.size);
      return result;
    } catch (error) {
      garbage.offer([body.sha256]);
      throw fromDiskError(error);
    } finally {
      unpin();
    }
  }
}

/** The body of a request, asked for when it is first read. @throws {S3Error} */
export function bodyOf(exchange: Exchange): Pick<BodySource, 'chunks' | 'expectation' | 'check'> {
  const expectation = expectedBody(exchange.request.headers);
  const body = new RequestBody(exchange, expectation);
  return { chunks: read(exchange, body), expectation, check: (sizeBytes, digests) => body.check(sizeBytes, digests) };
}

/** @throws {ClientGoneError} */
async function* read(exchange: Exchange, body: RequestBody): AsyncGenerator<Uint8Array> {
  exchange.accept();
  try {
    yield* body;
  } catch (error) {
    if (error !== exchange.request.errored) throw error;
    throw new ClientGoneError('the connection ended inside the body', { cause: error });
  }
}
