import type { Readable } from 'node:stream';
import {
  GetObjectCommand,
  type GetObjectCommandOutput,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
} from '@aws-sdk/client-s3';
import { fieldOf } from '@sluice/http-semantics';
import type { Clock, Logger } from '@sluice/runtime';
import type { TagPair } from '../../domain/object-tags.ts';
import {
  bareTag,
  bytesRevisionOf,
  decodeKey,
  isFolderMarker,
  isSameState,
  parseRevision,
  revisionOf,
  S3Keys,
  type S3State,
  stateOf,
  strongTag,
} from '../../domain/s3-entry.ts';
import { S3Error } from '../../domain/s3-error.ts';
import { sourceFields } from '../../domain/source-fields.ts';
import {
  type ContentSource,
  type OpenSourceObject,
  RevisionGoneError,
  SourceAwayError,
  type SourceDescription,
  type SourceObject,
  type SourceRange,
  UnusableObjectError,
} from '../../services/source-port.ts';
import type { OriginMetrics } from '../metrics.ts';
import { S3Body } from './s3-body.ts';
import { S3Connection, type S3ConnectionOptions } from './s3-connection.ts';
import { bareError, notS3, reasonOf, type S3Action, saysArchived, saysGone } from './s3-failure.ts';

/** Entries of a page: the most that S3 gives. */
const PAGE_MAX_ITEMS = 1000;
/** Pages without an entry, one after the other, after which a listing is given up. */
const EMPTY_PAGES_MAX = 100;
/** How long a body may pause while its bytes are waited for. */
const BODY_IDLE_TIMEOUT_MS = 20_000;

export interface S3SourceOptions extends S3ConnectionOptions {
  /** The bucket at the service. */
  readonly bucket: string;
  /** Only keys that begin with this are content, and are called without it: `www/`, with its slash. Default: all. */
  readonly prefix?: string | undefined;
  /** The bucket as Sluice calls it, the first segment of the content keys. Default: as the service does. */
  readonly name?: string | undefined;
  /** For tests; default {@link BODY_IDLE_TIMEOUT_MS}. */
  readonly bodyIdleTimeoutMs?: number | undefined;
  readonly clock: Pick<Clock, 'after'>;
  readonly metrics: Pick<OriginMetrics, 'sourceLeftOut'>;
  readonly log: Pick<Logger, 'warn'>;
}

interface Page {
  readonly objects: readonly SourceObject[];
  /** In the order of the listing, also of what is left out. */
  readonly keys: readonly string[];
  /** Undefined after the last one. */
  readonly next: string | undefined;
}

/**
 * An existing bucket of any S3 service is the content. What S3 tells of a state is ETag, size and time of the last change: it tells them in listings to the
 * millisecond, where the service knows it, and in headers to the second. Tags of an object can change without any of them, and are read when it is described.
 */
export class S3Source implements ContentSource {
  readonly kind = 's3';
  readonly title: string;
  readonly #options: S3SourceOptions;
  readonly #connection: S3Connection;
  readonly #keys: S3Keys;
  readonly #warned = new Set<string>();

  constructor(options: S3SourceOptions) {
    const { bucket, prefix = '', name = bucket, endpoint, region } = options;
    this.#options = options;
    this.#connection = new S3Connection(options);
    this.#keys = new S3Keys(name, prefix);
    // An endpoint may have a password in it.
    const place = endpoint === undefined ? `Amazon S3 in ${region}` : new URL(endpoint).origin;
    this.title = `bucket ${bucket}${prefix === '' ? '' : ` from ${prefix} on`} at ${place}`;
  }

  async *list(contentPrefix: string): AsyncGenerator<readonly SourceObject[], void> {
    const prefix = this.#keys.bucketPrefix(contentPrefix);
    if (prefix === undefined) return;
    let token: string | undefined;
    let last: Buffer | undefined;
    let emptyPages = 0;
    do {
      const { objects, keys, next } = await this.#page({ Prefix: prefix, MaxKeys: PAGE_MAX_ITEMS, ContinuationToken: token });
      for (const key of keys) {
        const bytes = Buffer.from(key);
        // Whoever compares listings would take what comes out of turn for removed and added again; a page that comes again would never end.
        if (last !== undefined && bytes.compare(last) <= 0)
          throw this.#away('its listing is not in the order of its keys; no source can be made of it');
        last = bytes;
      }
      emptyPages = keys.length === 0 ? emptyPages + 1 : 0;
      if (emptyPages > EMPTY_PAGES_MAX) throw this.#away('its listing has no end; it is asked again later');
      if (objects.length > 0) yield objects;
      token = next;
    } while (token !== undefined);
  }

  /** By a listing of one entry, not by HEAD: only a listing tells the time of a change as a listing does, to the millisecond where the service knows it. */
  async find(key: string): Promise<SourceObject | undefined> {
    const bucketKey = this.#keys.bucketKey(key);
    if (bucketKey === undefined || this.#keys.contentKey(bucketKey) !== key) return undefined;
    // Of all keys that begin with a key it is the first itself.
    const { objects } = await this.#page({ Prefix: bucketKey, MaxKeys: 1 });
    return objects[0]?.key === key ? objects[0] : undefined;
  }

  async describe(object: SourceObject): Promise<SourceDescription> {
    const { state, request } = this.#requestFor(object);
    const { documents } = this.#connection;
    const said = await this.#ask('s3:GetObject', object, () => documents.send(new HeadObjectCommand(request)));
    if (!isSameState(state, this.#stateOf(said, said.ContentLength))) throw new RevisionGoneError(object);
    return this.#description(object, said, state);
  }

  async open(object: SourceObject, range?: SourceRange): Promise<OpenSourceObject> {
    const { size } = object;
    const { offset, length } = range ?? { offset: 0, length: size };
    if (range !== undefined && (offset < 0 || length < 1 || offset + length > size)) {
      throw new RangeError(`${object.key} has ${size} bytes: there is no range of ${length} from ${offset} on`);
    }
    const isWhole = length === size;
    const { state, request } = this.#requestFor(object);
    const { bodies } = this.#connection;
    const part = isWhole ? ({ ChecksumMode: 'ENABLED' } as const) : { Range: `bytes=${offset}-${offset + length - 1}` };
    const said = await this.#ask('s3:GetObject', object, () => bodies.send(new GetObjectCommand({ ...request, ...part })));
    const body = new S3Body({
      stream: said.Body as Readable,
      length,
      idleTimeoutMs: this.#options.bodyIdleTimeoutMs ?? BODY_IDLE_TIMEOUT_MS,
      clock: this.#options.clock,
      failure: (reason, cause) => this.#away(`${object.key}: ${reason}`, cause),
    });
    try {
      this.#checkPart(object, state, said, isWhole ? undefined : { offset, length });
      const description = await this.#description(object, said, state);
      return { ...description, chunks: body, close: async () => body.close() };
    } catch (error) {
      body.close();
      throw error;
    }
  }

  /** S3 tells nothing by itself: notifications come another way, and a rescan finds the rest. */
  async watch(): Promise<() => Promise<void>> {
    return async () => {};
  }

  /** Ends what is under way and lets go of the connections. */
  async close(): Promise<void> {
    this.#connection.close();
  }

  async #page(scope: { Prefix: string; MaxKeys: number; ContinuationToken?: string | undefined }): Promise<Page> {
    const { bucket } = this.#options;
    const command = new ListObjectsV2Command({ Bucket: bucket, EncodingType: 'url', ...scope });
    const said = await this.#ask('s3:ListBucket', undefined, () => this.#connection.documents.send(command));
    // What is no listing must not look like an empty one: everything would be removed.
    if (said.IsTruncated === undefined || said.Name === undefined || (said.IsTruncated && said.NextContinuationToken === undefined)) {
      throw this.#away(notS3(said.$metadata.httpStatusCode ?? 200));
    }
    const saidAtMs = Date.parse(fieldOf(this.#connection.headersOf(said), 'date') ?? '');
    return {
      ...this.#entries(said, Number.isNaN(saidAtMs) ? undefined : saidAtMs),
      next: said.IsTruncated ? said.NextContinuationToken : undefined,
    };
  }

  #entries({ Contents = [], EncodingType }: ListObjectsV2CommandOutput, saidAtMs: number | undefined): Omit<Page, 'next'> {
    const objects: SourceObject[] = [];
    const keys: string[] = [];
    for (const entry of Contents) {
      const { Key = '' } = entry;
      const key = EncodingType === 'url' ? decodeKey(Key) : Key;
      if (key !== undefined) keys.push(key);
      const state = stateOf(entry);
      if (key !== undefined && state !== undefined && isFolderMarker(key, state.size)) continue;
      const contentKey = key === undefined ? undefined : this.#keys.contentKey(key);
      if (contentKey === undefined || state === undefined)
        this.#leftOut('object', { key: Key.slice(0, 1024) }, 'objects of the source are left out');
      else
        objects.push({ key: contentKey, size: state.size, revision: revisionOf(state, saidAtMs), bytesRevision: bytesRevisionOf(state) });
    }
    return { objects, keys };
  }

  /** What an object of a revision is asked for with. @throws {RevisionGoneError} for a revision of another source */
  #requestFor(object: SourceObject): { state: S3State; request: { Bucket: string; Key: string; IfMatch?: string | undefined } } {
    const state = parseRevision(object.revision);
    const key = this.#keys.bucketKey(object.key);
    if (state === undefined || key === undefined) throw new RevisionGoneError(object);
    return { state, request: { Bucket: this.#options.bucket, Key: key, IfMatch: strongTag(state.etag) } };
  }

  #stateOf(said: HeadObjectCommandOutput | GetObjectCommandOutput, size: number | undefined): S3State {
    const state = stateOf({ ...said, Size: size });
    if (state === undefined) throw this.#away(notS3(said.$metadata.httpStatusCode ?? 200));
    return state;
  }

  /** There are services that do not look at If-Match or at Range. */
  #checkPart(object: SourceObject, state: S3State, said: GetObjectCommandOutput, range: SourceRange | undefined): void {
    const { ContentRange, ContentLength, $metadata } = said;
    const of = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(ContentRange ?? '');
    if (range !== undefined && of === null) {
      throw this.#away(
        `${object.key}: the service was asked for a part and sent something else (${$metadata.httpStatusCode}); no source can be made of it`,
      );
    }
    if (!isSameState(state, this.#stateOf(said, of === null ? ContentLength : Number(of[3])))) throw new RevisionGoneError(object);
    if (range === undefined || of === null) return;
    if (Number(of[1]) !== range.offset || Number(of[2]) !== range.offset + range.length - 1) {
      throw this.#away(`${object.key}: the service was asked for another part than it sent; no source can be made of it`);
    }
  }

  async #description(
    object: SourceObject,
    said: HeadObjectCommandOutput | GetObjectCommandOutput,
    state: S3State,
  ): Promise<SourceDescription> {
    const headers = this.#connection.headersOf(said);
    const tagPairs = Number(fieldOf(headers, 'x-amz-tagging-count') ?? 0) > 0 ? await this.#tagPairs(object) : [];
    try {
      const { fields, dropped } = sourceFields(object.key, headers, tagPairs);
      for (const header of dropped) this.#leftOut('field', { key: object.key, header }, 'fields of objects of the source are left out');
      return { fields, etag: bareTag(state.etag), modifiedAt: new Date(state.modifiedMs).toISOString() };
    } catch (error) {
      if (error instanceof S3Error) throw new UnusableObjectError(object, `${error.message}; correct it at the source`, error);
      throw error;
    }
  }

  async #tagPairs(object: SourceObject): Promise<TagPair[]> {
    const command = new GetObjectTaggingCommand({ Bucket: this.#options.bucket, Key: this.#keys.bucketKey(object.key) });
    const { TagSet = [] } = await this.#ask('s3:GetObjectTagging', object, () => this.#connection.documents.send(command));
    return TagSet.map(({ Key: key = '', Value: value = '' }) => ({ key, value }));
  }

  async #ask<Output>(action: S3Action, object: SourceObject | undefined, send: () => Promise<Output>): Promise<Output> {
    try {
      return await send();
    } catch (error) {
      if (object !== undefined && saysGone(error)) throw new RevisionGoneError(object, bareError(error));
      if (object !== undefined && saysArchived(error)) {
        throw new UnusableObjectError(
          object,
          'it is archived; restore it, or keep it in a class that can be read at once',
          bareError(error),
        );
      }
      throw this.#away(reasonOf(error, action), bareError(error));
    }
  }

  #away(reason: string, cause?: unknown): SourceAwayError {
    return new SourceAwayError(this.title, reason, cause);
  }

  /** Counted each time, told once: a listing of millions would fill the log. */
  #leftOut(what: 'object' | 'field', example: object, message: string): void {
    this.#options.metrics.sourceLeftOut.inc({ what });
    if (this.#warned.has(what)) return;
    this.#warned.add(what);
    this.#options.log.warn({ source: this.title, example }, message);
  }
}
