import { type BlobStore, type BlobWriter, fromDiskError } from '@sluice/blobs';
import { bucketOf, checkNewBucket } from '../../domain/bucket-name.ts';
import { S3Error, toS3Error } from '../../domain/s3-error.ts';
import { algorithmsToCompute, type BodyExpectation, expectedBody, OBJECT_MAX_BYTES, tooLarge } from '../../domain/upload-digests.ts';
import { type UploadFields, uploadFields } from '../../domain/upload-headers.ts';
import { type WriteGuard, writeGuard } from '../../domain/write-guard.ts';
import type { BlockDigestMaker } from '../blobs/block-digest-maker.ts';
import type { GarbageCollector } from '../blobs/garbage-collector.ts';
import { noteBufferPassed } from '../buffer-collection.ts';
import type { Announced, Catalog, StoredBody } from '../catalog/catalog.ts';
import type { OriginMetrics } from '../metrics.ts';
import { BodyDigests } from './body-digests.ts';
import type { Exchange } from './exchange.ts';
import { RequestBody } from './request-body.ts';

/** Headers that change what a PUT means. Ignoring one would overwrite or store the wrong thing. */
const UNSUPPORTED_HEADERS = ['content-range'];

/** The client went away before its body was complete; there is nobody to answer. */
class ClientGoneError extends Error {}

export interface UploadOptions {
  readonly blobs: BlobStore;
  readonly catalog: Catalog;
  readonly garbage: GarbageCollector;
  readonly blocks: Pick<BlockDigestMaker, 'offer'>;
  readonly metrics: OriginMetrics;
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
  async put(exchange: Exchange, key: string): Promise<void> {
    const { metrics, maxUploads } = this.#options;
    try {
      if (this.#underWay >= maxUploads)
        throw new S3Error('SlowDown', `${maxUploads} uploads are under way already; try again a little later`);
      this.#underWay += 1;
      try {
        const { etag, eventId, version } = await this.#store(exchange, key);
        metrics.uploads.inc({ outcome: 'stored' });
        const headers = [
          ['etag', `"${etag}"`],
          ['x-sluice-event-id', eventId],
          ['x-sluice-version', String(version)],
        ] as const;
        exchange.answer({ status: 200, headers });
      } finally {
        this.#underWay -= 1;
      }
    } catch (error) {
      if (error instanceof ClientGoneError) return metrics.uploads.inc({ outcome: 'aborted' });
      metrics.uploads.inc({ outcome: toS3Error(error).status < 500 ? 'refused' : 'failed' });
      throw error;
    }
  }

  async #store(exchange: Exchange, key: string): Promise<StoredBody & Announced> {
    const { headers } = exchange.request;
    for (const name of UNSUPPORTED_HEADERS) {
      if (headers[name] !== undefined) throw new S3Error('NotImplemented', `${name}: not supported on uploads`);
    }
    const fields = uploadFields(key, headers);
    const expectation = expectedBody(headers);
    const guard = writeGuard(key, headers);
    // Both are looked at again when the body is there; what is refused now need not come.
    if (!this.#options.catalog.buckets.has(bucketOf(key))) checkNewBucket(bucketOf(key));
    guard?.(this.#options.catalog.find(key));
    exchange.accept();
    const writer = this.#options.blobs.writer();
    try {
      const body = await receive(exchange, expectation, writer);
      return { ...body, ...(await this.#commit(key, fields, body, writer, guard)) };
    } finally {
      await writer.discard();
    }
  }

  async #commit(
    key: string,
    fields: UploadFields,
    body: StoredBody,
    writer: BlobWriter,
    guard: WriteGuard | undefined,
  ): Promise<Announced> {
    const { catalog, garbage, blocks, metrics } = this.#options;
    const unpin = garbage.pin(body.sha256);
    try {
      await writer.finish();
      const announced = await catalog.put(key, fields, body, guard);
      blocks.offer(body);
      metrics.uploadBytes.inc(body.size);
      return announced;
    } catch (error) {
      garbage.offer([body.sha256]);
      throw fromDiskError(error);
    } finally {
      unpin();
    }
  }
}

/** Reads the body into the writer at the speed of the disk. @throws {ClientGoneError | S3Error | DiskFullError} */
async function receive(exchange: Exchange, expectation: BodyExpectation, writer: BlobWriter): Promise<StoredBody> {
  const digests = await BodyDigests.create(new Set([...algorithmsToCompute(expectation), 'md5']));
  const content = new RequestBody(exchange, expectation);
  try {
    for await (const chunk of content) {
      digests.update(chunk);
      await writer.write(chunk);
      noteBufferPassed(chunk.byteLength);
      if (writer.size > OBJECT_MAX_BYTES) throw tooLarge();
    }
  } catch (error) {
    if (error !== exchange.request.errored) throw error;
    throw new ClientGoneError('the connection ended inside the body', { cause: error });
  }
  const computed = digests.finish();
  const { sha256, size } = writer.seal();
  content.check(size, { ...computed, sha256 });
  return { sha256, size, etag: computed.md5 ?? '' };
}
