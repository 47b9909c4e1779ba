/** The content of a request's body: its framing taken off, and whatever is said of it in header, framing and trailer checked. */

import type { Fields } from '@sluice/http-semantics';
import { ChunkSignatures } from '@sluice/sigv4';
import { AwsChunkedDecoder } from '../../domain/aws-chunked.ts';
import type { Framing } from '../../domain/body-framing.ts';
import { S3Error } from '../../domain/s3-error.ts';
import {
  algorithmsToCompute,
  type BodyExpectation,
  checkBody,
  type DigestAlgorithm,
  expectedBody,
  trailerDigests,
} from '../../domain/upload-digests.ts';
import { BodyDigests } from './body-digests.ts';
import type { Exchange } from './exchange.ts';

/** Read it once, to its end, and then {@link check} it: until then nothing of it may be used. */
export class RequestBody {
  readonly #exchange: Exchange;
  readonly #expectation: BodyExpectation;
  #trailer: readonly (readonly [name: string, value: string])[] = [];

  constructor(exchange: Exchange, expectation: BodyExpectation) {
    this.#exchange = exchange;
    this.#expectation = expectation;
  }

  /** @throws {S3Error} when the framing is wrong, or a signature in it; `request.errored` when the connection ends inside */
  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    const { framing } = this.#expectation;
    return (framing === undefined ? this.#bytes() : this.#unframed(framing))[Symbol.asyncIterator]();
  }

  /** `digests`: at least those that {@link algorithmsToCompute} names, in lower-case hexadecimal. @throws {S3Error} when the content is not as announced */
  check(sizeBytes: number, digests: Readonly<Partial<Record<DigestAlgorithm, string>>>): void {
    const { contentLength, digests: announced } = this.#expectation;
    checkBody({ contentLength, digests: [...announced, ...trailerDigests(this.#expectation, this.#trailer)] }, sizeBytes, digests);
  }

  /** Leaving off early must not end the connection: the refusal still has to go out. */
  #bytes(): AsyncIterable<Uint8Array> {
    return this.#exchange.request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
  }

  async *#unframed(framing: Framing): AsyncGenerator<Uint8Array> {
    const { chunkSeed } = this.#exchange;
    const signatures = framing.signed && chunkSeed !== undefined ? new ChunkSignatures(chunkSeed) : undefined;
    const decoder = new AwsChunkedDecoder(framing);
    for await (const piece of this.#bytes()) {
      for (const framed of decoder.decode(piece)) {
        if (framed.kind === 'content') {
          signatures?.update(framed.bytes);
          yield framed.bytes;
        } else if (signatures?.isChunk(framed.signature) === false) throw wrongSignature('a chunk');
      }
    }
    const { fields, signature } = decoder.finish();
    if (framing.trailer && signatures?.isTrailer(fields.map(([name, value]) => `${name}:${value}\n`).join(''), signature) === false) {
      throw wrongSignature('the trailer');
    }
    this.#trailer = fields;
  }
}

function wrongSignature(what: string): S3Error {
  return new S3Error('SignatureDoesNotMatch', `the signature of ${what} of the body is wrong; nothing was stored`);
}

/**
 * A body that is small by its kind, whole and checked by what `headers` say of it.
 * @throws {S3Error} `tooLarge` beyond `maxBytes`, before the body when its length is announced; `IncompleteBody` when it ends too soon; and what {@link RequestBody} throws
 */
export async function readSmallBody(
  exchange: Exchange,
  maxBytes: number,
  tooLarge = entityTooLarge,
  headers: Fields = exchange.request.headers,
): Promise<Uint8Array> {
  const expectation = expectedBody(headers);
  if ((expectation.contentLength ?? 0) > maxBytes) throw tooLarge(maxBytes);
  exchange.accept();
  const digests = await BodyDigests.create([...algorithmsToCompute(expectation), 'sha256']);
  const body = new RequestBody(exchange, expectation);
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of body) {
      size += chunk.byteLength;
      if (size > maxBytes) throw tooLarge(maxBytes);
      digests.update(chunk);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error !== exchange.request.errored) throw error;
    throw new S3Error('IncompleteBody', 'the connection ended inside the body', error);
  }
  body.check(size, digests.finish());
  return Buffer.concat(chunks);
}

function entityTooLarge(maxBytes: number): S3Error {
  return new S3Error('EntityTooLarge', `the body may have at most ${maxBytes} bytes`);
}
