import { DeleteObjectsCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { errorCode, md5, type OriginFixture, originFixture, rawExchange, statusOf } from '../../testing/origin.fixture.ts';
import { s3Client } from '../../testing/s3-client.fixture.ts';

let origin: OriginFixture;
let s3: S3Client;
beforeAll(async () => {
  origin = await originFixture();
  s3 = s3Client(origin.url);
});
afterAll(() => origin[Symbol.asyncDispose]());
beforeEach(async () => {
  for (const key of ['a', 'b', 'c']) await put(`/site/${key}`);
});

const put = (path: string) => fetch(origin.url + path, { method: 'PUT', body: 'x' });
const post = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) =>
  fetch(`${origin.url}/site?delete`, { method: 'POST', body, headers });
const objects = (keys: readonly string[], more = '') =>
  `<Delete>${keys.map((key) => `<Object><Key>${key}</Key>${more}</Object>`).join('')}</Delete>`;
const listed = async () => [...(await (await fetch(`${origin.url}/site`)).text()).matchAll(/<Key>([^<]*)</g)].map(([, key]) => key);

describe('a batch of deletes', () => {
  test('removes each key, whether it is there or not, and says so', async () => {
    await put('/site/%26%20%2B');
    const before = await origin.metric('sluice_origin_removals_total');
    const Objects = ['a', 'none', '& +'].map((Key) => ({ Key }));
    const { Deleted, Errors } = await s3.send(new DeleteObjectsCommand({ Bucket: 'site', Delete: { Objects } }));
    expect([Deleted, Errors]).toEqual([Objects, undefined]);
    expect(await listed()).toEqual(['b', 'c']);
    expect(await origin.metric('sluice_origin_removals_total')).toBe(before + 2);
  });

  test('when quiet tells only what was not removed', async () => {
    const Delete = { Quiet: true, Objects: [{ Key: 'a' }, { Key: 'x/../y' }, { Key: 'b'.repeat(1024) }, { Key: 'c', VersionId: '7' }] };
    const { Deleted, Errors } = await s3.send(new DeleteObjectsCommand({ Bucket: 'site', Delete }));
    expect(Deleted).toBeUndefined();
    expect(Errors?.map(({ Key, Code }) => [Key, Code])).toEqual([
      ['x/../y', 'InvalidArgument'],
      ['b'.repeat(1024), 'KeyTooLongError'],
    ]);
    expect(await listed()).toEqual(['b', 'c']);
  });

  test('removes what is as its condition demands, and not what is ignored to be', async () => {
    const Objects = [
      { Key: 'a', ETag: `"${md5('x')}"` },
      { Key: 'b', ETag: '"other"' },
      { Key: 'none', ETag: '*' },
      { Key: 'c', Size: 5 },
    ];
    const { Deleted, Errors } = await s3.send(new DeleteObjectsCommand({ Bucket: 'site', Delete: { Objects } }));
    expect(Deleted?.map(({ Key }) => Key)).toEqual(['a']);
    expect(Errors?.map(({ Key, Code }) => [Key, Code])).toEqual([
      ['b', 'PreconditionFailed'],
      ['none', 'NoSuchKey'],
      ['c', 'NotImplemented'],
    ]);
  });

  test('of 1,000 of the longest keys is taken, of one more is refused and removes nothing', async () => {
    const long = (index: number) => `${String(index).padStart(4, '0')}${'é'.repeat(507)}`;
    await put(`/site/${encodeURIComponent(long(999))}`);
    const keys = Array.from({ length: 1000 }, (_, index) => long(index));
    const tooMany = await post(objects([...keys, 'a']));
    expect([tooMany.status, await errorCode(tooMany)]).toEqual([400, 'MalformedXML']);
    expect(await listed()).toHaveLength(4);
    const answer = await (await post(objects(keys, '<VersionId>null</VersionId>'))).text();
    expect(answer.match(/<Deleted>/g)).toHaveLength(1000);
    expect(await listed()).toEqual(['a', 'b', 'c']);
  });

  test.each([
    ['<Delete/>', 'MalformedXML'],
    ['<Delete><Object/></Delete>', 'MalformedXML'],
    ['<Delete><Object><Key/></Object></Delete>', 'MalformedXML'],
    ['<Delete><Quiet>perhaps</Quiet><Object><Key>a</Key></Object></Delete>', 'MalformedXML'],
    ['<Other><Object><Key>a</Key></Object></Other>', 'MalformedXML'],
    ['', 'MalformedXML'],
  ])('%s is refused and removes nothing', async (body, code) => {
    const refused = await post(body);
    expect([refused.status, await errorCode(refused)]).toEqual([400, code]);
    expect(await listed()).toEqual(['a', 'b', 'c']);
  });

  test('is taken without a digest; with one that is not the body’s it is refused', async () => {
    const body = objects(['a']);
    const wrong = await post(body, { 'content-md5': md5('other', 'base64') });
    expect([wrong.status, await errorCode(wrong)]).toEqual([400, 'BadDigest']);
    expect(await listed()).toContain('a');
    expect((await post(body, { 'content-md5': md5(body, 'base64') })).status).toBe(200);
    expect((await post(objects(['b']))).status).toBe(200);
    expect(await listed()).toEqual(['c']);
  });

  test.each(['content-length', 'transfer-encoding'])('of 10 MB is refused, framed by %s', async (framing) => {
    const bytes = Buffer.alloc(10_000_000, ' ');
    const refused = await fetch(`${origin.url}/site?delete`, {
      method: 'POST',
      body: framing === 'content-length' ? bytes : new Blob([bytes]).stream(),
      duplex: 'half',
    });
    expect([refused.status, await errorCode(refused)]).toEqual([400, 'MalformedXML']);
  });

  test('that breaks off removes nothing', async () => {
    const head = `POST /site?delete HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n${objects(['a'])}`;
    expect(statusOf(await rawExchange(origin.port, [head], { halfClose: true }))).toBe(400);
    expect(await listed()).toEqual(['a', 'b', 'c']);
  });
});
