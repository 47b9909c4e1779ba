/** CompleteMultipartUpload: parts become an object. */

import { createHash } from 'node:crypto';
import { KeyLock } from '@sluice/blobs';
import { type Fields, fieldOf } from '@sluice/http-semantics';
import PQueue from 'p-queue';
import { COMPLETE_MAX_BYTES, completeRequest } from '../../domain/complete-request.ts';
import { type ListedPart, PARTS_MAX, partsInOrder, type StoredPart } from '../../domain/multipart.ts';
import {
  type ChecksumChoice,
  type Checksums,
  checkObjectChecksums,
  checksumElements,
  type ObjectChecksums,
} from '../../domain/object-checksums.ts';
import { S3Error } from '../../domain/s3-error.ts';
import { type Resource, targetPath } from '../../domain/s3-resource.ts';
import { OBJECT_MAX_BYTES } from '../../domain/upload-digests.ts';
import { writeGuard } from '../../domain/write-guard.ts';
import { bytesInOrder } from '../blobs/blob-bytes.ts';
import type { CompletedUpload, MultipartUpload } from '../catalog/multipart-uploads.ts';
import { announcementHeaders } from './announcement-headers.ts';
import { BodyDigests } from './body-digests.ts';
import type { Exchange } from './exchange.ts';
import type { MultipartParts } from './multipart.ts';
import { answerPatiently } from './patient-answer.ts';
import type { S3Handler } from './s3-handler.ts';
import { readXmlBody } from './xml-body.ts';
import { S3_NAMESPACE, type XmlParent, xmlElement } from './xml-document.ts';

/** Objects that are put together at once: more only make the disk seek. */
const ASSEMBLIES_MAX = 2;
/** Requests to complete an upload that are being answered or wait for that. */
export const COMPLETIONS_MAX = 64;

export class MultipartCompletion {
  readonly #parts: MultipartParts;
  /** Requests for one upload come one after the other: the second one finds it completed. */
  readonly #uploads = new KeyLock();
  readonly #assemblies = new PQueue({ concurrency: ASSEMBLIES_MAX });
  readonly #stop = new AbortController();
  #underWay = 0;

  constructor(parts: MultipartParts) {
    this.#parts = parts;
  }

  readonly handle: S3Handler<'object'> = async (exchange, { resource, query }) => {
    const { catalog, clock } = this.#parts;
    const { headers } = exchange.request;
    const id = query.get('uploadId') ?? '';
    if (catalog.multipart.completed(id, resource.key) === undefined) catalog.multipart.get(id, resource.key);
    if (this.#underWay >= COMPLETIONS_MAX) {
      throw new S3Error('SlowDown', `${COMPLETIONS_MAX} uploads are being completed already; try again a little later`);
    }
    this.#underWay += 1;
    try {
      const listed = await readXmlBody(exchange, {
        root: 'CompleteMultipartUpload',
        schema: completeRequest,
        lists: ['Part'],
        maxBytes: COMPLETE_MAX_BYTES,
        headers: ofDocument(headers),
      });
      await answerPatiently(exchange, clock, async () => {
        const completed = await this.#uploads.run(id, () => this.#complete(id, resource.key, listed, headers));
        return {
          headers: announcementHeaders(completed),
          element: xmlElement('CompleteMultipartUploadResult', answerContent(exchange, resource, completed), S3_NAMESPACE),
        };
      });
    } finally {
      this.#underWay -= 1;
    }
  };

  /** Gives up what is under way; the uploads stay open. */
  async stop(): Promise<void> {
    this.#stop.abort(new S3Error('SlowDown', 'the origin is stopping; complete the upload again when it is back'));
    await this.#assemblies.onIdle();
  }

  async #complete(id: string, key: string, listed: readonly ListedPart[], headers: Fields): Promise<CompletedUpload> {
    const { catalog, garbage, metrics, partMinBytes } = this.#parts;
    const before = catalog.multipart.completed(id, key);
    if (before !== undefined) return before;
    const upload = catalog.multipart.get(id, key);
    const stored = new Map(catalog.multipart.parts(id, 0, PARTS_MAX).map((part) => [part.number, part]));
    const parts = partsInOrder(listed, stored, partMinBytes);
    checkSize(headers, parts);
    // A part that is sent again meanwhile makes way in the catalog; the one that was listed must stay until it is read.
    const checksums = [...new Set(parts.map(({ sha256 }) => sha256))];
    const unpins = checksums.map((sha256) => garbage.pin(sha256));
    try {
      const completed = await this.#assemblies.add(() => this.#assemble(upload, parts, headers));
      metrics.multipart.inc({ outcome: 'completed' });
      return completed;
    } finally {
      for (const unpin of unpins) unpin();
      garbage.offer(checksums);
    }
  }

  async #assemble(upload: MultipartUpload, parts: readonly StoredPart[], headers: Fields): Promise<CompletedUpload> {
    const { catalog, blobs, blocks, uploads } = this.#parts;
    const { key, fields, checksum } = upload;
    const chunks = bytesInOrder(
      blobs,
      parts.map(({ sha256 }) => sha256),
      this.#stop.signal,
    );
    const source = {
      chunks,
      expectation: { contentLength: sum(parts), digests: [], trailers: [] },
      maxBytes: OBJECT_MAX_BYTES,
      // Its ETag is made of those of its parts.
      withoutMd5: true,
      alsoWanted: checksum?.type === 'FULL_OBJECT' ? [checksum.algorithm] : [],
    };
    return uploads.take(source, async ({ sha256, size, checksums: whole }) => {
      const checksums = checksum && (await objectChecksums(checksum, parts, whole));
      checkObjectChecksums(headers, checksums);
      const body = { sha256, size, etag: etagOf(parts) };
      const details = { checksums, partSizes: parts.map((part) => part.size) };
      let completed: CompletedUpload | undefined;
      await catalog.put(key, fields, body, {
        guard: writeGuard(key, headers),
        details,
        also: (announced) => {
          completed = { ...announced, etag: body.etag, checksums };
          catalog.multipart.complete(upload, completed);
        },
      });
      blocks.offer(body);
      return completed as CompletedUpload;
    });
  }
}

/** Checksums in the header are the object's, not the document's. */
function ofDocument(headers: Fields): Fields {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith('x-amz-checksum-')));
}

function answerContent(
  { request, target }: Exchange,
  { bucket, key }: Resource & { kind: 'object' },
  { etag, checksums }: CompletedUpload,
): XmlParent {
  return {
    Location: `http://${request.headers.host ?? ''}${targetPath(target)}`,
    Bucket: bucket,
    Key: key.slice(bucket.length + 1),
    ETag: `"${etag}"`,
    ...checksumElements(checksums?.values ?? {}),
    ChecksumType: checksums?.type,
  };
}

function checkSize(headers: Fields, parts: readonly StoredPart[]): void {
  const announced = fieldOf(headers, 'x-amz-mp-object-size');
  if (announced !== undefined && Number(announced) !== sum(parts)) {
    throw new S3Error('InvalidRequest', `x-amz-mp-object-size: the parts make ${sum(parts)} bytes`);
  }
}

function sum(parts: readonly StoredPart[]): number {
  return parts.reduce((total, { size }) => total + size, 0);
}

/** The MD5 of the parts' MD5s, with their number: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html */
function etagOf(parts: readonly StoredPart[]): string {
  const hash = createHash('md5');
  for (const { md5 } of parts) hash.update(md5, 'hex');
  return `${hash.digest('hex')}-${parts.length}`;
}

async function objectChecksums(
  { algorithm, type }: ChecksumChoice,
  parts: readonly StoredPart[],
  whole: Checksums,
): Promise<ObjectChecksums> {
  if (type === 'FULL_OBJECT') return { type, values: whole };
  const digests = await BodyDigests.create([algorithm]);
  for (const { checksums } of parts) digests.update(Uint8Array.fromBase64(checksums[algorithm] ?? ''));
  const hex = digests.finish()[algorithm] ?? '';
  return { type, values: { [algorithm]: `${Uint8Array.fromHex(hex).toBase64()}-${parts.length}` } };
}
