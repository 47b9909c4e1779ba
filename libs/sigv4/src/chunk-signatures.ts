/**
 * The signatures inside of a body in chunks: each covers its chunk and the signature before.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html, https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
 */
import { createHash } from 'node:crypto';
import { EMPTY_SHA256 } from './canonical-request.ts';
import { ALGORITHM, type Scope, scopeText, signatureOf, signaturesEqual } from './signature.ts';

/** What the signatures of the chunks go on from: those of the request's own signature. */
export interface ChunkSeed {
  readonly key: Uint8Array;
  /** As in `x-amz-date`. */
  readonly date: string;
  readonly scope: Scope;
  readonly signature: string;
}

export class ChunkSignatures {
  readonly #seed: ChunkSeed;
  #previous: string;
  #hash = createHash('sha256');

  constructor(seed: ChunkSeed) {
    this.#seed = seed;
    this.#previous = seed.signature;
  }

  /** Bytes of the chunk under way. */
  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  /** Ends the chunk and gives its signature. */
  chunk(): string {
    const hash = this.#hash.digest('hex');
    this.#hash = createHash('sha256');
    return this.#sign('PAYLOAD', EMPTY_SHA256, hash);
  }

  /** Ends the chunk; whether its signature is the given one. */
  isChunk(signature: string): boolean {
    return signaturesEqual(this.chunk(), signature);
  }

  /** The signature of the trailer. `lines`: `name:value` with a line feed behind each; a character is a byte. */
  trailer(lines: string): string {
    return this.#sign('TRAILER', createHash('sha256').update(lines, 'latin1').digest('hex'));
  }

  /** Whether the signature of the trailer is the given one. */
  isTrailer(lines: string, signature: string): boolean {
    return signaturesEqual(this.trailer(lines), signature);
  }

  #sign(what: 'PAYLOAD' | 'TRAILER', ...hashes: readonly string[]): string {
    const { key, date, scope } = this.#seed;
    this.#previous = signatureOf(key, [`${ALGORITHM}-${what}`, date, scopeText(scope), this.#previous, ...hashes].join('\n'));
    return this.#previous;
  }
}
