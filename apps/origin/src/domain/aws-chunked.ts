/** Takes the framing off an `aws-chunked` body, however its bytes are split. What it keeps of them is at most one line and the trailer. */
import type { Framing } from './body-framing.ts';
import { S3Error, type S3ErrorCode } from './s3-error.ts';

/** Of the line before a chunk, and of a field in the trailer. */
export const LINE_MAX_BYTES = 1024;
/** One checksum is usual. */
export const TRAILERS_MAX = 8;

/** What comes out of a body: content in pieces of its chunk, and at each chunk's end its signature. */
export type Framed = { readonly kind: 'content'; readonly bytes: Uint8Array } | { readonly kind: 'chunkEnd'; readonly signature: string };

export interface Trailer {
  /** As they came; names in lower case. A character of a value is a byte. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Empty where the framing has none. */
  readonly signature: string;
}

const LINE_FEED = 0x0a;
const CHUNK_LINE = /^([0-9a-fA-F]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?\r\n$/;
const FIELD_LINE = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*([^\r\n]*?)[\t ]*\r?\n$/;
const BLANK_LINE = /^\r?\n$/;
const SIGNATURE_FIELD = 'x-amz-trailer-signature';

export class AwsChunkedDecoder {
  readonly #framing: Framing;
  /** What is expected next. */
  #state: 'chunk line' | 'content' | 'line end' | 'trailer' = 'chunk line';
  #line = '';
  /** Bytes of the chunk under way, and of the whole body, that are still to come. */
  #chunkLeft = 0;
  #left: number;
  #signature = '';
  readonly #fields: (readonly [name: string, value: string])[] = [];
  #trailerSignature = '';
  /** Whether the blank line came that ends the body. */
  #ended = false;

  constructor(framing: Framing) {
    this.#framing = framing;
    this.#left = framing.contentLength;
  }

  /** The next bytes of the body. What comes out of them refers to them. @throws {S3Error} when they are no such framing */
  *decode(piece: Uint8Array): Generator<Framed> {
    let at = 0;
    while (at < piece.byteLength) {
      if (this.#state === 'content') {
        const bytes = piece.subarray(at, at + this.#chunkLeft);
        at += bytes.byteLength;
        this.#chunkLeft -= bytes.byteLength;
        if (this.#chunkLeft === 0) this.#state = 'line end';
        yield { kind: 'content', bytes };
        continue;
      }
      const feed = piece.indexOf(LINE_FEED, at);
      const end = feed === -1 ? piece.byteLength : feed + 1;
      if (this.#line.length + end - at > LINE_MAX_BYTES) throw malformed('a line is too long');
      this.#line += String.fromCharCode(...piece.subarray(at, end));
      at = end;
      if (feed === -1) return;
      const line = this.#line;
      this.#line = '';
      yield* this.#take(line);
    }
  }

  /** Call at the body's end. @throws {S3Error} when it came too early */
  finish(): Trailer {
    if (!this.#ended || this.#line !== '') throw new S3Error('IncompleteBody', 'the body ends inside of its framing; nothing was stored');
    if (this.#framing.signed && this.#framing.trailer && this.#trailerSignature === '') {
      throw malformed(`${SIGNATURE_FIELD} is missing`, 'MalformedTrailerError');
    }
    return { fields: this.#fields, signature: this.#trailerSignature };
  }

  *#take(line: string): Generator<Framed> {
    if (this.#state === 'trailer') return this.#takeTrailer(line);
    if (this.#state === 'line end') {
      if (line !== '\r\n') throw malformed('a chunk is longer than it says');
      this.#state = 'chunk line';
      yield { kind: 'chunkEnd', signature: this.#signature };
      return;
    }
    const [, size = '', signature = ''] = CHUNK_LINE.exec(line) ?? [];
    if (size === '' || (signature !== '') !== this.#framing.signed) {
      throw malformed(`a chunk must begin with its size in hexadecimal${this.#framing.signed ? ' and ;chunk-signature=' : ''}`);
    }
    this.#signature = signature;
    this.#chunkLeft = Number.parseInt(size, 16);
    if (this.#chunkLeft > this.#left || (this.#chunkLeft === 0 && this.#left > 0)) {
      const announced = `${this.#framing.contentLength} bytes were announced`;
      throw new S3Error('IncompleteBody', `x-amz-decoded-content-length: ${announced}, the chunks have others; nothing was stored`);
    }
    this.#left -= this.#chunkLeft;
    this.#state = this.#chunkLeft > 0 ? 'content' : 'trailer';
    if (this.#chunkLeft === 0) yield { kind: 'chunkEnd', signature };
  }

  /** Some clients end fields with a line feed alone, and put a blank line before the signature as well as behind it. */
  #takeTrailer(line: string): void {
    if (BLANK_LINE.test(line)) {
      this.#ended = true;
      return;
    }
    const [, name = '', value = ''] = FIELD_LINE.exec(line) ?? [];
    const field = name.toLowerCase();
    const isSignature = field === SIGNATURE_FIELD;
    if (field === '' || !this.#framing.trailer || this.#trailerSignature !== '' || (this.#ended && !isSignature)) {
      throw malformed('behind the last chunk comes something that is not expected there', 'MalformedTrailerError');
    }
    if (isSignature && (!this.#framing.signed || !/^[0-9a-f]{64}$/.test(value))) {
      throw malformed(`${SIGNATURE_FIELD} is not expected, or no signature`, 'MalformedTrailerError');
    }
    // A blank line ends the body only behind the signature.
    this.#ended = false;
    if (isSignature) this.#trailerSignature = value;
    else if (this.#fields.push([field, value]) > TRAILERS_MAX) throw malformed('the trailer has too many fields', 'MalformedTrailerError');
  }
}

function malformed(problem: string, code: S3ErrorCode = 'InvalidRequest'): S3Error {
  return new S3Error(code, `the body's aws-chunked framing is wrong: ${problem}; nothing was stored`);
}
