/** The schemas of all subjects, by the bytes of a message. */
import { decode, decodeBlockDigests, encode, errorToWire, InvalidMessageError } from '@sluice/contracts';
import type { z } from 'zod';
import { readContentRequest } from '../../../apps/origin/src/domain/content-request.ts';
import { readS3Notification } from '../../../apps/origin/src/domain/s3-notification.ts';
import { examples, SUBJECTS } from '../../../libs/contracts/fixtures/examples.ts';
import { mutateBytes, mutateJson } from '../mutate.ts';
import type { Random } from '../random.ts';
import { checkedWords, law, orRefusal, target } from '../target.ts';

const EXAMPLES = examples();
const TEXTS = EXAMPLES.map(({ example }) => Buffer.from(JSON.stringify(example.message)));
/** By name, for inputs that are data. */
export const SCHEMAS = new Map<string, z.ZodType>(
  Object.entries(SUBJECTS).flatMap(([file, parts]) =>
    (['message', 'request', 'reply'] as const).flatMap((part) =>
      parts[part] === undefined ? [] : [[`${file} ${part}`, parts[part]] as const],
    ),
  ),
);
const NAME_OF = new Map<z.ZodType | undefined, string>([...SCHEMAS].map(([name, schema]) => [schema, name]));
const NAMES = [...SCHEMAS.keys()];

/** The bytes of a message that was valid, before something happened to it. */
export function hostileMessage(random: Random, among: readonly number[]): Uint8Array {
  const at = random.pick(among);
  const text = TEXTS[at] as Uint8Array;
  switch (random.below(8)) {
    case 0:
      return mutateBytes(random, text, TEXTS);
    case 1:
      return mutateBytes(random, Buffer.from(mutateJson(random, EXAMPLES[at]?.example.message)));
    case 2:
      return random.oneIn(8) ? text : random.bytes(random.size(200));
    default:
      return Buffer.from(mutateJson(random, EXAMPLES[at]?.example.message));
  }
}

/** The examples that travel on a subject, or all. */
export function examplesOf(subject?: string): number[] {
  return EXAMPLES.flatMap((example, at) => (subject === undefined || example.subject === subject ? [at] : []));
}

const ALL = examplesOf();
/** A refusal travels in a reply and in the log. */
const REASON_MAX_CHARACTERS = 4_096;

export const messages = target({
  name: 'messages',
  law: 'a message is refused with a short reason, or understood and then the same on its way out and in again',
  make(random) {
    const at = random.pick(ALL);
    const own = NAME_OF.get(EXAMPLES[at]?.schema) as string;
    return { schema: random.oneIn(8) ? random.pick(NAMES) : own, bytes: hostileMessage(random, [at]) };
  },
  check({ schema: name, bytes }) {
    const schema = SCHEMAS.get(name);
    if (schema === undefined) throw new Error(`no schema ${name}`);
    const first = orRefusal(() => decode('s', schema, bytes) as object, [InvalidMessageError]);
    law(({} as { polluted?: unknown }).polluted === undefined, () => 'every object has what came as __proto__');
    if (first instanceof Error) {
      law(first.message.length <= REASON_MAX_CHARACTERS && first.message.isWellFormed(), () => 'the reason is too long, or no text');
      law(errorToWire(first).code === 'INVALID_MESSAGE', () => 'refused as another kind of failure');
      return;
    }
    const sent = encode('s', schema, first as never);
    const again = encode('s', schema, decode('s', schema, sent) as never);
    law(
      Buffer.from(again).equals(sent),
      () => `understood as another thing the second time: ${Buffer.from(sent)} and ${Buffer.from(again)}`,
    );
  },
});

const CONTENT_SUBJECTS = ['content.uploaded', 'content.invalidated', 'content.removed'];
const CONTENT = CONTENT_SUBJECTS.flatMap(examplesOf);

export const contentRequests = target({
  name: 'content-requests',
  law: 'what others put on the content stream is one of four things, and what is invalid has a reason',
  make: (random) => ({ subject: random.pick(CONTENT_SUBJECTS), bytes: hostileMessage(random, CONTENT) }),
  check({ subject, bytes }) {
    const request = readContentRequest(subject, bytes);
    if (request.kind === 'invalid') checkedWords(new Error(request.reason));
    if (request.kind === 'announce') law(!/(?:^|\/)\.\.?(?:\/|$)/.test(request.key), () => `a key with dots: ${request.key}`);
  },
});

const NOTIFICATIONS = [
  {
    Records: [
      {
        eventVersion: '2.1',
        eventSource: 'aws:s3',
        eventName: 'ObjectCreated:Put',
        s3: { bucket: { name: 'photos' }, object: { key: 'a%20b/c+d.jpg', size: 3, eTag: 'e' } },
      },
      { eventName: 's3:ObjectRemoved:Delete', eventSource: 'ceph:s3', s3: { bucket: { name: 'photos' }, object: { key: 'x/%zz' } } },
    ],
  },
  { EventName: 's3:ObjectCreated:Put', Key: 'photos/a b.jpg', Records: [] },
  { Event: 's3:TestEvent', Service: 'Amazon S3' },
];
const KEYS = { contentKey: (key: string) => (key === '' || key.length > 900 ? undefined : `site/${key}`) };

export const notifications = target({
  name: 's3-notifications',
  law: 'a notification names at most a thousand keys to look at again, or is refused in words that do not repeat it',
  make: (random) => {
    const text = mutateJson(random, random.pick(NOTIFICATIONS));
    return random.oneIn(4) ? mutateBytes(random, Buffer.from(text)) : new Uint8Array(Buffer.from(text));
  },
  check(bytes) {
    const read = readS3Notification(bytes, { bucket: 'photos', keys: KEYS as never });
    if (read.kind === 'invalid') checkedWords(new Error(read.reason));
    else law(read.keys.length <= 2_000 && new Set(read.keys).size === read.keys.length, () => 'keys without end, or twice');
  },
});

export const blockDigests = target({
  name: 'block-digests',
  law: 'digests of blocks fit the size of their blob, or are refused',
  make: (random) => {
    const size = random.below(2 ** 31) * random.pick([1, 1, 40]);
    const blockBytes = random.pick([0, 1, 2 ** 19 - 1, 2 ** 19, 2 ** 20, 2 ** 22, 2 ** 22 + 1, 2 ** 32 - 1]);
    const blocks = Math.min(Math.ceil(size / Math.max(blockBytes, 2 ** 18)), 300) + random.pick([0, 0, 0, 1, -1]);
    const message = new Uint8Array(36 + 32 * Math.max(blocks - 1, 0) + random.pick([0, 0, 0, 1, -1]));
    new DataView(message.buffer).setUint32(0, blockBytes);
    return {
      size: random.oneIn(9) ? random.pick([-1, 0, 2 ** 53, 0.5]) : size,
      message: random.oneIn(3) ? mutateBytes(random, message) : message,
    };
  },
  check({ message, size }) {
    const read = orRefusal(() => decodeBlockDigests(message, size), [InvalidMessageError]);
    if (!(read instanceof Error)) law(read.digests.byteLength === 32 * Math.ceil(size / read.blockBytes), () => 'digests that do not fit');
  },
});
