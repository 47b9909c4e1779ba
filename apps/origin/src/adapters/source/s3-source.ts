import type { Readable } from 'node:stream';
import {
  GetObjectCommand,
  type GetObjectCommandOutput,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
} from '@aws-sdk/client-s3';
import { fieldOf } from '@sluice/http-semantics';
import type { Clock, Logger } from '@sluice/runtime';
import type { TagPair } from '../../domain/object-tags.ts';
import { bareTag, compareStates, parseRevision, type S3State, stateOf, strongTag } from '../../domain/s3-entry.ts';
import { S3Error } from '../../domain/s3-error.ts';
import type { NotificationScope } from '../../domain/s3-notification.ts';
import { sourceFields } from '../../domain/source-fields.ts';
import {
  type ContentSource,
  type OpenSourceObject,
  RevisionGoneError,
  type SourceDescription,
  type SourceObject,
  type SourceRange,
  UnusableObjectError,
} from '../../services/source-port.ts';
import { S3Body } from './s3-body.ts';
import { S3Bucket, type S3BucketOptions } from './s3-bucket.ts';
import { notS3 } from './s3-failure.ts';
import { findObject, listObjects } from './s3-listing.ts';

/** How long a body may pause while its bytes are waited for. */
const BODY_IDLE_TIMEOUT_MS = 20_000;

export interface S3SourceOptions extends S3BucketOptions {
  /** For tests; default {@link BODY_IDLE_TIMEOUT_MS}. */
  readonly bodyIdleTimeoutMs?: number | undefined;
  readonly clock: Pick<Clock, 'after'>;
  readonly log: Pick<Logger, 'warn'>;
  /** Told of what can be no object, at each look through it; the path is the one in the bucket. */
  readonly onLeftOut?: ((path: string, problem: string) => void) | undefined;
  /** Told of what a manifest cannot take of an object's description, whenever that is read. */
  readonly onDropped?: ((key: string, header: string) => void) | undefined;
}

type Said = HeadObjectCommandOutput | GetObjectCommandOutput;

/**
 * An existing bucket of any S3 service is the content. What S3 tells of a state is ETag, size and time of the last change: it tells them in listings to the
 * millisecond, where the service knows it, and in headers to the second. Tags of an object can change without any of them, and are read when it is described.
 */
export class S3Source implements ContentSource {
  readonly kind = 's3';
  readonly title: string;
  readonly #options: S3SourceOptions;
  readonly #bucket: S3Bucket;
  readonly #warned = new Set<string>();

  constructor(options: S3SourceOptions) {
    this.#options = options;
    this.#bucket = new S3Bucket(options);
    this.title = this.#bucket.title;
  }

  /** What of the service's notifications is about this source. */
  get scope(): NotificationScope {
    return { bucket: this.#bucket.name, keys: this.#bucket.keys };
  }

  list(prefix: string): AsyncGenerator<readonly SourceObject[], void> {
    return listObjects(this.#bucket, prefix, (path, problem) => {
      this.#options.onLeftOut?.(path, problem);
      this.#warnOnce('objects of the source are left out', { path: path.slice(0, 1024), problem });
    });
  }

  find(key: string): Promise<SourceObject | undefined> {
    return findObject(this.#bucket, key);
  }

  async describe(object: SourceObject): Promise<SourceDescription> {
    const { state, request } = this.#requestFor(object);
    const said = await this.#bucket.ask('s3:GetObject', object, ({ documents }) => documents.send(new HeadObjectCommand(request)));
    await this.#requireSame(object, state, this.#stateOf(said, said.ContentLength));
    return this.#description(object, said, state);
  }

  async open(object: SourceObject, range?: SourceRange): Promise<OpenSourceObject> {
    const { offset, length } = range ?? { offset: 0, length: object.size };
    if (range !== undefined && (offset < 0 || length < 1 || offset + length > object.size)) {
      throw new RangeError(`${object.key} has ${object.size} bytes: there is no range of ${length} from ${offset} on`);
    }
    const isWhole = length === object.size;
    const { state, request } = this.#requestFor(object);
    const part = isWhole ? ({ ChecksumMode: 'ENABLED' } as const) : { Range: `bytes=${offset}-${offset + length - 1}` };
    const command = new GetObjectCommand({ ...request, ...part });
    const said = await this.#bucket.ask('s3:GetObject', object, ({ bodies }) => bodies.send(command));
    const body = new S3Body({
      stream: said.Body as Readable,
      length,
      idleTimeoutMs: this.#options.bodyIdleTimeoutMs ?? BODY_IDLE_TIMEOUT_MS,
      clock: this.#options.clock,
      failure: (reason, cause) => this.#bucket.away(`${object.key}: ${reason}`, cause),
    });
    try {
      const size = isWhole ? said.ContentLength : this.#sizeOfPart(object.key, said, { offset, length });
      await this.#requireSame(object, state, this.#stateOf(said, size));
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
    this.#bucket.connection.close();
  }

  /** What an object of a revision is asked for with. @throws {RevisionGoneError} for a revision of another source */
  #requestFor(object: SourceObject): { state: S3State; request: { Bucket: string; Key: string; IfMatch?: string | undefined } } {
    const state = parseRevision(object.revision);
    const key = this.#bucket.keys.bucketKey(object.key);
    if (state === undefined || key === undefined) throw new RevisionGoneError(object);
    return { state, request: { Bucket: this.#bucket.name, Key: key, IfMatch: strongTag(state.etag) } };
  }

  #stateOf(said: Said, size: number | undefined): S3State {
    const state = stateOf({ ...said, Size: size });
    if (state === undefined) throw this.#bucket.away(notS3(said.$metadata.httpStatusCode ?? 200));
    return state;
  }

  /** There are services that do not look at If-Match. @throws {RevisionGoneError} when an answer tells of another state */
  async #requireSame(object: SourceObject, state: S3State, said: S3State): Promise<void> {
    const compared = compareStates(state, said);
    if (compared === 'same') return;
    // Listings of a service agree with each other, however it rounds.
    const now = compared === 'unclear' ? await this.find(object.key) : undefined;
    if (now === undefined || parseRevision(now.revision)?.modifiedMs !== state.modifiedMs) throw new RevisionGoneError(object);
  }

  /** The bytes of the whole, as the answer with a part tells them. There are services that do not look at Range. */
  #sizeOfPart(key: string, { ContentRange, $metadata }: GetObjectCommandOutput, { offset, length }: SourceRange): number {
    const told = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(ContentRange ?? '');
    if (told === null) {
      const status = $metadata.httpStatusCode;
      throw this.#bucket.away(`${key}: the service was asked for a part and sent something else (${status}); no source can be made of it`);
    }
    if (Number(told[1]) !== offset || Number(told[2]) !== offset + length - 1) {
      throw this.#bucket.away(`${key}: the service was asked for another part than it sent; no source can be made of it`);
    }
    return Number(told[3]);
  }

  async #description(object: SourceObject, said: Said, state: S3State): Promise<SourceDescription> {
    const headers = this.#bucket.connection.headersOf(said);
    const tagPairs = Number(fieldOf(headers, 'x-amz-tagging-count') ?? 0) > 0 ? await this.#tagPairs(object) : [];
    try {
      const { fields, dropped } = sourceFields(object.key, headers, tagPairs);
      for (const header of dropped) {
        this.#options.onDropped?.(object.key, header);
        this.#warnOnce('fields of objects of the source are left out', { key: object.key, header });
      }
      return { fields, etag: bareTag(state.etag), modifiedAt: new Date(state.modifiedMs).toISOString() };
    } catch (error) {
      if (error instanceof S3Error) throw new UnusableObjectError(object, `${error.message}; correct it at the source`, error);
      throw error;
    }
  }

  async #tagPairs(object: SourceObject): Promise<TagPair[]> {
    const command = new GetObjectTaggingCommand({ Bucket: this.#bucket.name, Key: this.#bucket.keys.bucketKey(object.key) });
    const { TagSet = [] } = await this.#bucket.ask('s3:GetObjectTagging', object, ({ documents }) => documents.send(command));
    return TagSet.map(({ Key: key = '', Value: value = '' }) => ({ key, value }));
  }

  /** A listing of millions would fill the log. */
  #warnOnce(message: string, example: object): void {
    if (this.#warned.has(message)) return;
    this.#warned.add(message);
    this.#options.log.warn({ source: this.title, example }, message);
  }
}
