import { MESSAGE_MAX_BYTES } from '@sluice/contracts';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { S3Keys } from './s3-entry.ts';
import { readS3Notification, type S3Notification } from './s3-notification.ts';

const SCOPE = { bucket: 'www-data', keys: new S3Keys('site', 'www/') };

const read = (message: unknown): S3Notification => readS3Notification(Buffer.from(JSON.stringify(message)), SCOPE);
const changes = (...keys: string[]): S3Notification => ({ kind: 'changes', keys });
const record = (key: string, more: { event?: string; bucket?: string; source?: string } = {}) => ({
  eventVersion: '2.1',
  eventSource: more.source ?? 'aws:s3',
  awsRegion: 'us-east-1',
  eventName: more.event ?? 'ObjectCreated:Put',
  userIdentity: { principalId: 'somebody' },
  s3: {
    s3SchemaVersion: '1.0',
    bucket: { name: more.bucket ?? 'www-data', arn: 'arn:aws:s3:::www-data' },
    object: { key, size: 5, eTag: 'e', sequencer: '0' },
  },
});
const records = (...all: unknown[]) => ({ Records: all });
const coded = (key: string): string => encodeURIComponent(key).replaceAll('%20', '+').replaceAll('%2F', '/');

test('a key is decoded, and called as content', () => {
  expect(read(records(record('www/a+b%2Bc/%C3%BC.txt')))).toEqual(changes('site/a b+c/ü.txt'));
});

test('several records are several changes, each key once', () => {
  const removed = record('www/b', { event: 'ObjectRemoved:DeleteMarkerCreated' });
  expect(read(records(record('www/a'), removed, record('www/a', { event: 's3:ObjectCreated:Copy' })))).toEqual(changes('site/a', 'site/b'));
});

test.each([
  ['another bucket', record('www/a', { bucket: 'other' })],
  ['a key outside of the prefix', record('other/a')],
  ['a key that can be no content', record('www/../a')],
  ['reading, which is no change', record('www/a', { event: 's3:ObjectAccessed:Get' })],
  ['an event that nobody knows', record('www/a', { event: 'ObjectCreatedX:Put' })],
])('of %s nothing follows, and the others are taken', (_, other) => {
  expect(read(records(other))).toEqual(changes());
  expect(read(records(other, record('www/b')))).toEqual(changes('site/b'));
});

test("Amazon's test event is no change", () => {
  const event = {
    Service: 'Amazon S3',
    Event: 's3:TestEvent',
    Time: '2026-01-01T00:00:00.000Z',
    Bucket: 'www-data',
    RequestId: '1',
    HostId: '2',
  };
  expect(read(event)).toEqual(changes());
});

test("MinIO's form is read by its records, and by its key where it has none", () => {
  const above = { EventName: 's3:ObjectCreated:Put', Key: 'www-data/www/a b+c%20' };
  expect(read({ ...above, Records: [record('www%2Fa+b%2Bc%2520', { source: 'minio:s3', event: 's3:ObjectCreated:Put' })] })).toEqual(
    changes('site/a b+c%20'),
  );
  expect(read(above)).toEqual(changes('site/a b+c%20'));
  expect(read({ ...above, EventName: 's3:ObjectAccessed:Head' })).toEqual(changes());
  expect(read({ ...above, Key: 'no-slash' })).toEqual(changes());
});

test('a key that Ceph may have coded or not is looked at both ways', () => {
  expect(read(records(record('www/a+b', { source: 'ceph:s3' })))).toEqual(changes('site/a b', 'site/a+b'));
});

test('every key that content can have comes back from its coding', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 100 }), (path) => {
      const contentKey = SCOPE.keys.contentKey(`www/${path}`);
      expect(read(records(record(coded(`www/${path}`))))).toEqual(contentKey === undefined ? changes() : changes(contentKey));
    }),
  );
});

test.each([
  ['nothing', ''],
  ['no JSON', 'secret-text {'],
  ['bytes that are no text', Buffer.from([0x22, 0xff, 0x22])],
  ['a number', '5'],
  ['null', 'null'],
  ['an empty list', '[]'],
  ['another object', '{"hello":"secret-text"}'],
  ['records that are none', '{"Records":"secret-text"}'],
  ['a record without an object', '{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"www-data"},"secret-text":1}}]}'],
  ['a key that is no text', JSON.stringify(records({ ...record('www/a'), s3: { bucket: { name: 'b' }, object: { key: 5 } } }))],
  ['a key that is too long', JSON.stringify(records(record(`www/${'a'.repeat(4_000)}`)))],
  ['too many records', JSON.stringify(records(...Array.from({ length: 1_001 }, () => record('www/a'))))],
  ['too many bytes', Buffer.alloc(MESSAGE_MAX_BYTES + 1, ' ')],
  ['a depth without an end', '['.repeat(500_000)],
  ['a name of every object', '{"__proto__":{"Records":[]},"constructor":5}'],
])('%s is invalid, in words that have nothing of it', (_, message) => {
  const invalid = readS3Notification(Buffer.from(message), SCOPE);
  expect(invalid).toEqual({ kind: 'invalid', reason: expect.any(String) });
  expect(JSON.stringify(invalid)).not.toContain('secret-text');
  expect(JSON.stringify(invalid).length).toBeLessThan(2_500);
});

test('whatever comes, it does not throw, and its changes are of keys of the bucket', () => {
  const shaped = fc.record(
    {
      Records: fc.array(fc.record({ eventName: fc.anything(), eventSource: fc.anything(), s3: fc.anything() }, { requiredKeys: [] })),
      EventName: fc.anything(),
      Key: fc.anything(),
      Event: fc.anything(),
    },
    { requiredKeys: [] },
  );
  const anyBytes = fc.uint8Array({ maxLength: 200 });
  const anyJson = fc
    .oneof(
      fc.json(),
      shaped.map((value) => String(JSON.stringify(value, (_, part) => (typeof part === 'bigint' ? 0 : part)))),
    )
    .map((text) => Buffer.from(text));
  fc.assert(
    fc.property(fc.oneof(anyBytes, anyJson), (data) => {
      const told = readS3Notification(data, SCOPE);
      if (told.kind === 'changes') for (const key of told.keys) expect(key).toMatch(/^site\//);
    }),
  );
});
