/** DeleteObjects: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html */
import { z } from 'zod';
import { S3Error, toS3Error } from '../../domain/s3-error.ts';
import { checkedKey } from '../../domain/s3-resource.ts';
import { versionAsked } from '../../domain/version-id.ts';
import { writeGuard } from '../../domain/write-guard.ts';
import type { DeleteOptions } from './delete-object.ts';
import type { Exchange } from './exchange.ts';
import { requireBucket } from './missing.ts';
import { readXmlBody } from './xml-body.ts';
import type { XmlParent } from './xml-document.ts';

const KEYS_MAX = 1000;
/** As many of the longest keys, with their elements. */
const BODY_MAX_BYTES = 2 * 1024 * 1024;
/** Removed in one transaction, after which others have their turn. */
const CHUNK_KEYS = 100;

const entry = z.object({
  Key: z.string().min(1, 'must not be empty'),
  VersionId: z.string().optional(),
  ETag: z.string().optional(),
  LastModifiedTime: z.string().optional(),
  Size: z.string().optional(),
});
const schema = z.object({
  Object: z.array(entry, 'must be there').max(KEYS_MAX, `must be at most ${KEYS_MAX}`),
  Quiet: z.stringbool({ truthy: ['true'], falsy: ['false', ''] }).optional(),
});
type Entry = z.output<typeof entry>;

/** Removes each key as a request of its own would; what cannot be removed is told beside what was. The digest that S3 wants is checked when it is there. */
export async function deleteObjects(exchange: Exchange, bucket: string, options: DeleteOptions): Promise<void> {
  requireBucket(options.catalog, bucket);
  const { Object: entries, Quiet: quiet } = await readXmlBody(exchange, {
    root: 'Delete',
    schema,
    lists: ['Object'],
    maxBytes: BODY_MAX_BYTES,
  });
  const outcomes: { Deleted?: XmlParent; Error?: XmlParent }[] = [];
  // The current version gives way to the one before it, which would come back if that were to go only afterwards.
  const age = ({ VersionId }: Entry): number => Number(VersionId) || Number.POSITIVE_INFINITY;
  const inOrder = entries.toSorted((a, b) => age(a) - age(b) || 0);
  for (let start = 0; start < inOrder.length; start += CHUNK_KEYS) {
    const chunk = inOrder.slice(start, start + CHUNK_KEYS);
    outcomes.push(...(await Promise.all(chunk.map((each) => remove(bucket, each, options)))));
  }
  exchange.answerXml('DeleteResult', {
    Deleted: quiet === true ? undefined : outcomes.flatMap(({ Deleted }) => (Deleted === undefined ? [] : [Deleted])),
    Error: outcomes.flatMap(({ Error: refusal }) => (refusal === undefined ? [] : [refusal])),
  });
}

async function remove(bucket: string, { Key, VersionId, ...conditions }: Entry, { catalog, metrics }: DeleteOptions) {
  try {
    if (conditions.LastModifiedTime !== undefined || conditions.Size !== undefined) {
      throw new S3Error('NotImplemented', 'LastModifiedTime and Size are not supported as conditions; use ETag');
    }
    const key = checkedKey(`${bucket}/${Key}`);
    const version = versionAsked(VersionId);
    if (version !== undefined) {
      if (conditions.ETag !== undefined) throw new S3Error('NotImplemented', 'ETag: a version that is named is removed without conditions');
      await catalog.versions.remove(key, version);
      return { Deleted: { Key, VersionId: version } };
    }
    const removed = await catalog.remove(key, writeGuard(key, { 'if-match': conditions.ETag }));
    if (removed !== undefined) metrics.removals.inc();
    return { Deleted: { Key } };
  } catch (error) {
    const { code, message } = toS3Error(error);
    return { Error: { Key, Code: code, Message: message } };
  }
}
