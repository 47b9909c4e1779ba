/**
 * What services tell of changes in their buckets → what to look at again. Amazon's form (https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html),
 * which Ceph and others have too, and MinIO's, which adds the event and the key above the records.
 */
import { describeIssues, MESSAGE_MAX_BYTES } from '@sluice/contracts';
import { z } from 'zod';
import { decodeKey, type S3Keys } from './s3-entry.ts';

/** Amazon puts one into a message, others a few. */
const RECORDS_MAX = 1000;

/** A key of 1,024 bytes, coded. */
const keyText = z
  .string()
  .min(1)
  .max(3 * 1024);
const record = z.object({
  eventName: z.string().max(128),
  eventSource: z.string().max(128).optional(),
  s3: z.object({ bucket: z.object({ name: z.string().max(256) }), object: z.object({ key: keyText }) }),
});
const notification = z.object({ Records: z.array(record).max(RECORDS_MAX, `must have at most ${RECORDS_MAX} records`) });
/** MinIO without its records. The key is `<bucket>/<key>`, and not coded. */
const bareNotification = z.object({ EventName: z.string().max(128), Key: keyText });
/** What Amazon sends when notifications are set up. */
const testNotification = z.object({ Event: z.literal('s3:TestEvent') });

export interface NotificationScope {
  /** The bucket as the service calls it. */
  readonly bucket: string;
  readonly keys: S3Keys;
}

export type S3Notification =
  /** Content keys, each once. Empty: a test, or of other buckets, other keys and events that change nothing. */
  { readonly kind: 'changes'; readonly keys: readonly string[] } | { readonly kind: 'invalid'; readonly reason: string };

interface Change {
  readonly event: string;
  readonly bucket: string;
  /** All that it may be called. */
  readonly keys: readonly string[];
}

/** Reads one message; never throws for what came, and says nothing of its content. */
export function readS3Notification(data: Uint8Array, { bucket, keys }: NotificationScope): S3Notification {
  const value = parseJson(data);
  if (value.problem !== undefined) return { kind: 'invalid', reason: value.problem };
  const changes = changesIn(value.json);
  if (typeof changes === 'string') return { kind: 'invalid', reason: changes };
  const found = new Set<string>();
  for (const change of changes) {
    if (change.bucket !== bucket || !isChange(change.event)) continue;
    for (const key of change.keys) {
      const contentKey = keys.contentKey(key);
      if (contentKey !== undefined) found.add(contentKey);
    }
  }
  return { kind: 'changes', keys: [...found] };
}

function parseJson(data: Uint8Array): { readonly json?: unknown; readonly problem?: string } {
  if (data.byteLength > MESSAGE_MAX_BYTES) return { problem: `it has ${data.byteLength} bytes, more than ${MESSAGE_MAX_BYTES}` };
  try {
    return { json: JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(data)) };
  } catch {
    return { problem: 'it is not JSON in UTF-8; send notifications of S3 events on this subject only' };
  }
}

function changesIn(json: unknown): Change[] | string {
  if (testNotification.safeParse(json).success) return [];
  if (typeof json === 'object' && json !== null && 'Records' in json) {
    const { data, error } = notification.safeParse(json);
    return error === undefined ? data.Records.map(changeOf) : describeIssues(error);
  }
  const { data, error } = bareNotification.safeParse(json);
  if (error !== undefined) return 'it has neither Records nor EventName and Key; send notifications of S3 events on this subject only';
  const slash = data.Key.indexOf('/');
  return [{ event: data.EventName, bucket: data.Key.slice(0, Math.max(slash, 0)), keys: [data.Key.slice(slash + 1)] }];
}

function changeOf({ eventName, eventSource, s3 }: z.output<typeof record>): Change {
  const { key } = s3.object;
  const decoded = decodeKey(key);
  // Ceph's versions do not agree on whether they code it. To look at a key that is not there costs little.
  const asItIs = eventSource?.startsWith('ceph:') === true || decoded === undefined ? [key] : [];
  return { event: eventName, bucket: s3.bucket.name, keys: decoded === undefined ? asItIs : [decoded, ...asItIs] };
}

/** Reading is no change: whoever looked because something was read would look for ever. */
function isChange(event: string): boolean {
  return /^(?:s3:)?(?:ObjectCreated|ObjectRemoved|ObjectRestore|ObjectTagging|LifecycleExpiration)(?::|$)/.test(event);
}
