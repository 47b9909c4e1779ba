/**
 * Where content comes from. The origin's catalog says what there is at which version; a source is where that is found out, and where bytes are read that the origin does
 * not hold itself. One conformance suite (`testing/source-conformance.ts`) holds all adapters to this.
 */
import { SluiceError } from '@sluice/contracts';
import type { UploadFields } from '../domain/upload-headers.ts';

export type SourceKind = 'store' | 'directory' | 's3';

/** One object as it is found at a source. */
export interface SourceObject {
  /** A content key: `<bucket>/<path>`. What can be none is left out and counted by the source. */
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** Names the state of bytes and fields: another one whenever either may have changed. Opaque, at most 512 characters. */
  readonly revision: string;
  /** Names the state of the bytes alone: equal ones of a key mean equal bytes, so that they need not be read again where only fields changed. Opaque, at most 512 characters. */
  readonly bytesRevision: string;
  /**
   * It is being written: there is something, but no complete state of it. Neither a change nor a removal follows from that, what is known of the key stays as it is; a hint
   * comes when it is complete. Until then `describe` and `open` refuse it with {@link RevisionGoneError}.
   */
  readonly settling?: true;
}

/** What a source says about an object beside its bytes. */
export interface SourceDescription {
  readonly fields: UploadFields;
  /** The entity tag that S3 clients are told, without quotes; undefined: the MD5 of the bytes. */
  readonly etag: string | undefined;
  /** RFC 3339 with milliseconds: when the source got it. */
  readonly modifiedAt: string;
}

/** Part of an object. */
export interface SourceRange {
  /** Bytes from the beginning of the object. */
  readonly offset: number;
  /** Bytes; at least 1. */
  readonly length: number;
}

/** An object that is being read. */
export interface OpenSourceObject extends SourceDescription {
  /** The bytes in order, to be taken once. Never mixes two states of an object: @throws {RevisionGoneError} instead, at the latest in the place of the last chunk. */
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Harmless more than once, and while `chunks` is being read: then that ends with an error. */
  close(): Promise<void>;
}

/** What a source noticed: look at this again. No more than a hint; a rescan finds everything in the end. */
export type SourceHint = { readonly key: string } | { readonly prefix: string } | { readonly all: true };

export interface ContentSource {
  readonly kind: SourceKind;
  /** For people, in logs and errors: `directory /srv/www`, `bucket site at https://s3.example.com`. */
  readonly title: string;
  /** Everything whose key begins with `prefix`, in the order of the keys' UTF-8 bytes, by pages of at most 1,000. An object that changes meanwhile is in it or not. @throws {SourceAwayError} */
  list(prefix: string): AsyncIterable<readonly SourceObject[]>;
  /** One object as it is now; undefined when there is none. @throws {SourceAwayError} */
  find(key: string): Promise<SourceObject | undefined>;
  /** Its fields, without its bytes. @throws {RevisionGoneError | UnusableObjectError | SourceAwayError} */
  describe(object: SourceObject): Promise<SourceDescription>;
  /** Reads that very state of an object, the whole or a part. @throws {RevisionGoneError | UnusableObjectError | SourceAwayError} */
  open(object: SourceObject, range?: SourceRange): Promise<OpenSourceObject>;
  /** Begins to notice changes. Call the result to end it. @throws {SourceAwayError} */
  watch(onHint: (hint: SourceHint) => void): Promise<() => Promise<void>>;
}

/** The object is not any more what it was when it was found: look at it again. */
export class RevisionGoneError extends SluiceError {
  constructor({ key }: Pick<SourceObject, 'key'>, cause?: unknown) {
    super('REVISION_GONE', `${key} has changed or is gone at its source; it is looked at again`, { retryable: true, cause });
    this.name = 'RevisionGoneError';
  }
}

/** The source cannot be reached, or refuses: nothing is known about its objects. */
export class SourceAwayError extends SluiceError {
  constructor(title: string, reason: string, cause?: unknown) {
    super('SOURCE_AWAY', `the ${title} cannot be read: ${reason}`, { retryable: true, cause });
    this.name = 'SourceAwayError';
  }
}

/** The object is there, and cannot be content as it is: asking again is of no use before somebody has changed it at its source. */
export class UnusableObjectError extends SluiceError {
  constructor({ key }: Pick<SourceObject, 'key'>, reason: string, cause?: unknown) {
    super('OBJECT_UNUSABLE', `${key} cannot be taken from its source: ${reason}`, { cause });
    this.name = 'UnusableObjectError';
  }
}
