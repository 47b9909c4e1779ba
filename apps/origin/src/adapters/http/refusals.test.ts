import { DeleteBucketCommand, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { eventually } from '@sluice/testkit';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { S3_ERROR_CODES } from '../../domain/s3-error.ts';
import { type KeyedOrigin, keyedOrigin, OWNER, STRANGER } from '../../testing/keyed-origin.fixture.ts';
import { rawExchange } from '../../testing/origin.fixture.ts';

let origin: KeyedOrigin;
let clockOffsetMs = 0;
beforeAll(async () => {
  origin = await keyedOrigin({ clockOffsetMs: () => clockOffsetMs });
});
beforeEach(() => {
  clockOffsetMs = 0;
});
afterAll(() => origin[Symbol.asyncDispose]());

const counted = (code: string): Promise<number> => origin.metric(`sluice_origin_refusals_total{code="${code}"}`);
const AT = { Bucket: 'site', Key: 'a' };
const WRONG = { accessKeyId: OWNER.accessKeyId, secretAccessKey: 'x'.repeat(40) };
const UNKNOWN = { accessKeyId: 'NOBODY', secretAccessKey: 'x'.repeat(40) };

test.each([
  ['SignatureDoesNotMatch', () => origin.client(WRONG).send(new GetObjectCommand(AT))],
  ['InvalidAccessKeyId', () => origin.client(UNKNOWN).send(new GetObjectCommand(AT))],
  ['AccessDenied', () => origin.client(STRANGER).send(new PutObjectCommand(AT))],
  ['NoSuchBucket', () => origin.client(OWNER).send(new DeleteBucketCommand({ Bucket: 'none' }))],
  ['MetadataTooLarge', () => rawExchange(origin.port, [`GET / HTTP/1.1\r\nhost: ${'x'.repeat(100_000)}\r\n\r\n`])],
  ['InvalidRequest', () => rawExchange(origin.port, ['no HTTP\r\n\r\n'])],
  ['InvalidArgument', () => rawExchange(origin.port, ['POST /site/../a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'])],
  [
    'RequestTimeTooSkewed',
    () => {
      clockOffsetMs = 3_600_000;
      return origin.client(OWNER).send(new GetObjectCommand(AT));
    },
  ],
])('a request that is refused as %s is counted as that', async (code, ask) => {
  expect(await counted(code)).toBe(0);
  await ask().catch(() => {});
  await eventually(async () => expect(await counted(code)).toBe(1));
});

test('whatever is refused, the counter has one series for each code and no more', async () => {
  const text = await (await fetch(`${origin.url}/metrics`)).text();
  const series = [...text.matchAll(/^sluice_origin_refusals_total\{code="(\w+)"/gm)].map(([, code]) => code);
  expect(series.toSorted()).toEqual(S3_ERROR_CODES.toSorted());
});

test('what is answered is not counted', async () => {
  const total = async (): Promise<number> => {
    const text = await (await fetch(`${origin.url}/metrics`)).text();
    return [...text.matchAll(/^sluice_origin_refusals_total.* (\d+)$/gm)].reduce((sum, [, value]) => sum + Number(value), 0);
  };
  const before = await total();
  await origin.client(OWNER).send(new PutObjectCommand({ ...AT, Body: 'a' }));
  await (await origin.client(OWNER).send(new GetObjectCommand(AT))).Body?.transformToString();
  await eventually(async () => expect(await origin.metric('sluice_origin_uploads_total{outcome="stored"}')).toBe(1));
  expect(await total()).toBe(before);
});
