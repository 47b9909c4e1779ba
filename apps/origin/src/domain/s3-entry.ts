/**
 * What an S3 service says of an object → what a source says of it. https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
 */
import { keyProblem } from '@sluice/contracts';

/** The state of an object, as far as S3 tells it. */
export interface S3State {
  /** As the service writes it: with its quotes. */
  readonly etag: string;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since the epoch. Some services tell whole seconds only. */
  readonly modifiedMs: number;
}

/** An object of a listing or of an answer; any of it may be missing. */
export interface SaidState {
  readonly ETag?: string | undefined;
  readonly Size?: number | undefined;
  readonly LastModified?: Date | undefined;
}

/** Longer ones are used by nobody, and a revision has a bound. */
const ETAG_MAX_CHARACTERS = 400;
/** Once an object is so old its second is over, and a clock that is a second behind is allowed for. */
const SECOND_IS_OVER_MS = 2000;
const YOUNG = '~';

/** Undefined when something is missing or makes no sense. */
export function stateOf({ ETag: etag, Size: size, LastModified: modified }: SaidState): S3State | undefined {
  if (etag === undefined || etag === '' || etag.length > ETAG_MAX_CHARACTERS) return undefined;
  if (size === undefined || !Number.isSafeInteger(size) || size < 0) return undefined;
  const modifiedMs = modified?.getTime() ?? Number.NaN;
  return Number.isSafeInteger(modifiedMs) && modifiedMs >= 0 ? { etag, size, modifiedMs } : undefined;
}

/**
 * The state as one text, out of which {@link parseRevision} reads it again. Where a service tells whole seconds, another change in the same second would look the same: an
 * object seen in its very second has a revision of its own, and gets another one when it is seen later.
 * @param saidAtMs the service's own clock when it said so; undefined where it tells milliseconds, or no time
 */
export function revisionOf({ etag, size, modifiedMs }: S3State, saidAtMs: number | undefined): string {
  const mayChangeUnseen = saidAtMs !== undefined && saidAtMs - modifiedMs < SECOND_IS_OVER_MS;
  return `${mayChangeUnseen ? YOUNG : ''}${size}.${modifiedMs}.${etag}`;
}

/** Undefined when the text is no revision of an S3 source. */
export function parseRevision(revision: string): S3State | undefined {
  const parts = /^~?(\d{1,16})\.(\d{1,16})\.(.+)$/s.exec(revision);
  if (parts === null) return undefined;
  return stateOf({ Size: Number(parts[1]), LastModified: new Date(Number(parts[2])), ETag: parts[3] });
}

/** The ETag is made of the bytes, in one way or another. */
export function bytesRevisionOf({ etag, size }: S3State): string {
  return `${size}.${etag}`;
}

/**
 * Whether an answer, whose time is an HTTP date without milliseconds, tells of the state of a listing. `unclear`: of another one, or the service rounds its dates up.
 */
export function compareStates(listed: S3State, said: S3State): 'same' | 'other' | 'unclear' {
  if (listed.etag !== said.etag || listed.size !== said.size) return 'other';
  if (Math.floor(listed.modifiedMs / 1000) === Math.floor(said.modifiedMs / 1000)) return 'same';
  return Math.abs(listed.modifiedMs - said.modifiedMs) < 1000 ? 'unclear' : 'other';
}

/** For a precondition, which knows no weak tags (RFC 9110 §13.1.1). */
export function strongTag(etag: string): string | undefined {
  return etag.startsWith('W/') ? undefined : etag;
}

/** Without quotes, as clients are told. */
export function bareTag(etag: string): string {
  return /^(?:W\/)?"(.*)"$/s.exec(etag)?.[1] ?? etag;
}

/** A key of a listing with `encoding-type=url`. Undefined when its bytes are no text. */
export function decodeKey(key: string): string | undefined {
  try {
    return decodeURIComponent(key.replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}

/** What consoles make of an empty folder. */
export function isFolderMarker(key: string, size: number): boolean {
  return size === 0 && key.endsWith('/');
}

/** How keys of a bucket, or of those in it that begin with a prefix, are called as content. Keeps their order. */
export class S3Keys {
  readonly #contentPrefix: string;
  readonly #prefix: string;

  /** @param name the first segment of the content keys */
  constructor(name: string, prefix: string) {
    this.#contentPrefix = `${name}/`;
    this.#prefix = prefix;
  }

  /** Undefined for a key that is not in here, or can be no content key. */
  contentKey(key: string): string | undefined {
    return this.problemOf(key) === undefined ? this.#contentPrefix + key.slice(this.#prefix.length) : undefined;
  }

  /** Why a key of the bucket is no content key, or undefined. */
  problemOf(key: string): string | undefined {
    if (!key.startsWith(this.#prefix)) return `does not begin with ${this.#prefix}`;
    return keyProblem(this.#contentPrefix + key.slice(this.#prefix.length));
  }

  /** Undefined for content that cannot come from here. */
  bucketKey(contentKey: string): string | undefined {
    return contentKey.startsWith(this.#contentPrefix) ? this.#prefix + contentKey.slice(this.#contentPrefix.length) : undefined;
  }

  /** The prefix of all keys whose content keys begin with `contentPrefix`. Undefined when there can be none. */
  bucketPrefix(contentPrefix: string): string | undefined {
    return this.#contentPrefix.startsWith(contentPrefix) ? this.#prefix : this.bucketKey(contentPrefix);
  }
}
