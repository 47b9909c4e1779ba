import { ListObjectsV2Command, type ListObjectsV2CommandOutput } from '@aws-sdk/client-s3';
import { fieldOf } from '@sluice/http-semantics';
import { compareUtf8 } from '../../domain/key-order.ts';
import { bytesRevisionOf, decodeKey, isFolderMarker, revisionOf, stateOf } from '../../domain/s3-entry.ts';
import type { SourceObject } from '../../services/source-port.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { notS3 } from './s3-failure.ts';

/** Entries of a page: the most that S3 gives. */
const PAGE_MAX_ITEMS = 1000;
/** Pages without an entry, one after the other, after which a listing is given up. */
const EMPTY_PAGES_MAX = 100;

/** Told of what can be no object; the path is the one in the bucket. */
export type OnLeftOut = (path: string, problem: string) => void;

/** All objects whose content keys begin with a prefix, by pages. @throws {SourceAwayError} */
export async function* listObjects(
  bucket: S3Bucket,
  contentPrefix: string,
  onLeftOut: OnLeftOut,
): AsyncGenerator<readonly SourceObject[], void> {
  const prefix = bucket.keys.bucketPrefix(contentPrefix);
  if (prefix === undefined) return;
  let token: string | undefined;
  let last: string | undefined;
  let emptyPages = 0;
  do {
    const page = await pageOf(bucket, { Prefix: prefix, MaxKeys: PAGE_MAX_ITEMS, ContinuationToken: token });
    const objects: SourceObject[] = [];
    for (const { path, key, object, problem } of page.entries) {
      // Whoever compares listings would take what comes out of turn for removed and added again; a page that comes again would never end.
      if (key !== undefined && last !== undefined && compareUtf8(key, last) <= 0) {
        throw bucket.away('its listing is not in the order of its keys; no source can be made of it');
      }
      last = key ?? last;
      if (object !== undefined) objects.push(object);
      else if (problem !== undefined) onLeftOut(path, problem);
    }
    emptyPages = page.entries.length === 0 ? emptyPages + 1 : 0;
    if (emptyPages > EMPTY_PAGES_MAX) throw bucket.away('its listing has no end; it is asked again later');
    if (objects.length > 0) yield objects;
    token = page.next;
  } while (token !== undefined);
}

/**
 * One object as it is listed. Not by HEAD: only a listing tells the time of a change as a listing does, to the millisecond where the service knows it.
 * @throws {SourceAwayError}
 */
export async function findObject(bucket: S3Bucket, contentKey: string): Promise<SourceObject | undefined> {
  const key = bucket.keys.bucketKey(contentKey);
  if (key === undefined || bucket.keys.problemOf(key) !== undefined) return undefined;
  // Of all keys that begin with a key it is the first itself.
  const { entries } = await pageOf(bucket, { Prefix: key, MaxKeys: 1 });
  return entries[0]?.key === key ? entries[0].object : undefined;
}

interface Entry {
  /** As it came. */
  readonly path: string;
  /** In the bucket; undefined when it is no text. */
  readonly key: string | undefined;
  readonly object?: SourceObject;
  /** Why it is no object; neither for what is rightly none. */
  readonly problem?: string;
}

interface Scope {
  readonly Prefix: string;
  readonly MaxKeys: number;
  readonly ContinuationToken?: string | undefined;
}

async function pageOf(bucket: S3Bucket, scope: Scope): Promise<{ readonly entries: readonly Entry[]; readonly next: string | undefined }> {
  const command = new ListObjectsV2Command({ Bucket: bucket.name, EncodingType: 'url', ...scope });
  const said = await bucket.ask('s3:ListBucket', undefined, ({ documents }) => documents.send(command));
  // What is no listing must not look like an empty one: everything would be removed.
  if (said.IsTruncated === undefined || said.Name === undefined || (said.IsTruncated && said.NextContinuationToken === undefined)) {
    throw bucket.away(notS3(said.$metadata.httpStatusCode ?? 200));
  }
  return { entries: entriesOf(bucket, said), next: said.IsTruncated ? said.NextContinuationToken : undefined };
}

function entriesOf(bucket: S3Bucket, said: ListObjectsV2CommandOutput): Entry[] {
  const { Contents = [] } = said;
  const date = Date.parse(fieldOf(bucket.connection.headersOf(said), 'date') ?? '');
  bucket.tellsMilliseconds ||= Contents.some(({ LastModified }) => (LastModified?.getTime() ?? 0) % 1000 !== 0);
  const saidAtMs = bucket.tellsMilliseconds || Number.isNaN(date) ? undefined : date;
  return Contents.map((content): Entry => {
    const { Key: path = '' } = content;
    const key = said.EncodingType === 'url' ? decodeKey(path) : path;
    if (key === undefined) return { path, key, problem: 'is not UTF-8' };
    const state = stateOf(content);
    if (state === undefined) return { path, key, problem: 'is listed without its ETag, its size or its time' };
    if (isFolderMarker(key, state.size)) return { path, key };
    const contentKey = bucket.keys.contentKey(key);
    if (contentKey === undefined) return { path, key, problem: bucket.keys.problemOf(key) ?? '' };
    const revision = revisionOf(state, saidAtMs);
    return { path, key, object: { key: contentKey, size: state.size, revision, bytesRevision: bytesRevisionOf(state) } };
  });
}
