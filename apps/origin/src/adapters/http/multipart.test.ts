import { createHash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { eventually } from '@sluice/testkit';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PART_MAX_BYTES, PART_MIN_BYTES } from '../../domain/multipart.ts';
import { elementOf, type PartOfList, UploadInParts } from '../../testing/multipart.fixture.ts';
import { errorCode, md5, type OriginFixture, originFixture, rawExchange, sha256, statusOf } from '../../testing/origin.fixture.ts';

let origin: OriginFixture;
beforeAll(async () => {
  origin = await originFixture({ seams: { partMinBytes: 4 }, config: { ORIGIN_MULTIPART_UPLOADS_MAX: 50 } });
});
afterAll(() => origin[Symbol.asyncDispose]());

const get = (path: string, headers: Record<string, string> = {}) => fetch(origin.url + path, { headers });
const etagOf = (parts: (string | Uint8Array)[]) =>
  `"${md5(Buffer.concat(parts.map((part) => createHash('md5').update(part).digest())))}-${parts.length}"`;

describe('an object that comes in parts', () => {
  test('is one object with the headers of its creation, and an ETag made of those of its parts', async () => {
    const headers = { 'content-type': 'text/x-parts', 'cache-control': 'max-age=5', 'x-amz-meta-author': 'Ana', 'x-amz-meta-tags': 'v41' };
    const upload = await UploadInParts.create(origin, '/site/whole', headers);
    const parts = [await upload.part(1, 'first '), await upload.part(2, 'second')];
    expect((await get('/site/whole')).status).toBe(404);
    const completed = await upload.complete(parts);
    const document = await completed.text();
    expect([completed.status, completed.headers.get('content-type')]).toEqual([200, 'application/xml']);
    const etag = etagOf(['first ', 'second']);
    expect(elementOf(document, 'ETag')).toBe(etag.replaceAll('"', '&quot;'));
    expect([elementOf(document, 'Bucket'), elementOf(document, 'Key')]).toEqual(['site', 'whole']);
    const got = await get('/site/whole');
    expect(await got.text()).toBe('first second');
    expect(Object.fromEntries(got.headers)).toMatchObject({
      ...headers,
      etag,
      'x-sluice-version': completed.headers.get('x-sluice-version'),
    });
  });

  test('is announced once, when it is complete, and not before', async () => {
    const before = await origin.metric('sluice_origin_outbox_events');
    const upload = await UploadInParts.create(origin, '/site/announced');
    const parts = [await upload.part(1, 'first '), await upload.part(2, 'second')];
    expect(await origin.metric('sluice_origin_outbox_events')).toBe(before);
    await upload.complete(parts);
    expect(await origin.metric('sluice_origin_outbox_events')).toBe(before + 1);
    await upload.complete(parts);
    expect(await origin.metric('sluice_origin_outbox_events')).toBe(before + 1);
  });

  test('has its SHA-256 as the name of one blob; those of its parts go', async () => {
    const before = await origin.metric('sluice_origin_blobs');
    const bytes = [randomBytes(100_000), randomBytes(100_000)] as const;
    const upload = await UploadInParts.create(origin, '/site/blob');
    const parts = await Promise.all(bytes.map((body, index) => upload.part(index + 1, body)));
    expect(await origin.metric('sluice_origin_blobs')).toBe(before + 2);
    await upload.complete(parts);
    await eventually(async () => expect(await origin.metric('sluice_origin_blobs')).toBe(before + 1));
    const blob = await get(`/-/blobs/${sha256(Buffer.concat(bytes))}`);
    expect(Buffer.from(await blob.arrayBuffer()).equals(Buffer.concat(bytes))).toBe(true);
  });

  test('of one part whose content is the object stays when the part goes', async () => {
    const upload = await UploadInParts.create(origin, '/site/single');
    await upload.complete([await upload.part(7, 'only one')]);
    expect(await (await get('/site/single')).text()).toBe('only one');
  });

  test('may be one of no bytes', async () => {
    const upload = await UploadInParts.create(origin, '/site/empty');
    expect((await upload.complete([await upload.part(1, '')])).status).toBe(200);
    const got = await get('/site/empty');
    expect([got.status, got.headers.get('content-length'), got.headers.get('etag')]).toEqual([200, '0', etagOf([''])]);
  });

  test('whatever order parts come in, and how often, has the bytes of the last ones', async () => {
    const sends = fc.array(
      fc.record({ number: fc.integer({ min: 1, max: 5 }), body: fc.uint8Array({ minLength: 4, maxLength: 200_000 }) }),
      {
        minLength: 1,
        maxLength: 12,
      },
    );
    await fc.assert(
      fc.asyncProperty(sends, async (list) => {
        const upload = await UploadInParts.create(origin, '/site/any-order');
        const last = new Map<number, { body: Uint8Array; part: PartOfList }>();
        for (const { number, body } of list) last.set(number, { body, part: await upload.part(number, new Uint8Array(body)) });
        const sorted = [...last].sort(([a], [b]) => a - b).map(([, entry]) => entry);
        expect((await upload.complete(sorted.map(({ part }) => part))).status).toBe(200);
        const got = await get('/site/any-order');
        expect(Buffer.from(await got.arrayBuffer()).equals(Buffer.concat(sorted.map(({ body }) => body)))).toBe(true);
        expect(got.headers.get('etag')).toBe(etagOf(sorted.map(({ body }) => body)));
      }),
      { numRuns: 30 },
    );
  });
});

describe('a part', () => {
  const CHECK = '123456789';
  test.each([
    ['content-md5', md5('other', 'base64'), 'BadDigest'],
    ['x-amz-checksum-crc32', 'AAAAAA==', 'BadDigest'],
    ['x-amz-checksum-sha256', sha256('other', 'base64'), 'BadDigest'],
    ['x-amz-content-sha256', sha256('other'), 'XAmzContentSHA256Mismatch'],
    ['content-md5', 'AAAA', 'InvalidDigest'],
  ])('that is not as %s announces is not there, and the one before stays', async (header, value, code) => {
    const upload = await UploadInParts.create(origin, '/site/checked');
    const before = await upload.part(1, 'before');
    const refused = await upload.send(1, CHECK, { [header]: value });
    expect([refused.status, await errorCode(refused)]).toEqual([400, code]);
    await upload.complete([before]);
    expect(await (await get('/site/checked')).text()).toBe('before');
  });

  test('is answered with the checksums that were announced for it', async () => {
    const upload = await UploadInParts.create(origin, '/site/answered');
    const announced = { 'x-amz-checksum-crc32': Buffer.from('cbf43926', 'hex').toString('base64') };
    const sent = await upload.send(1, CHECK, announced);
    expect(Object.fromEntries(sent.headers)).toMatchObject({ ...announced, etag: `"${md5(CHECK)}"` });
    await upload.abort();
  });

  test.each(['0', '10001', '-1', 'x', ''])('with the number "%s" is refused', async (number) => {
    const upload = await UploadInParts.create(origin, '/site/number');
    const refused = await upload.send(number, CHECK);
    expect([refused.status, await errorCode(refused)]).toEqual([400, 'InvalidArgument']);
    expect((await upload.send(10_000, CHECK)).status).toBe(200);
    await upload.abort();
  });

  test('of an upload that is not there, or of another key, is refused before its body', async () => {
    const upload = await UploadInParts.create(origin, '/site/mine');
    for (const target of [`/site/other?uploadId=${upload.id}`, '/site/mine?uploadId=none']) {
      const head = `PUT ${target}&partNumber=1 HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n`;
      const refused = await rawExchange(origin.port, [head]);
      expect([statusOf(refused), /<Code>(\w+)</.exec(refused)?.[1]]).toEqual([404, 'NoSuchUpload']);
    }
    await upload.abort();
  });

  test('of more than 5 GiB is refused before its body', async () => {
    const upload = await UploadInParts.create(origin, '/site/huge');
    const target = `/site/huge?uploadId=${upload.id}&partNumber=1`;
    const head = `PUT ${target} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: ${PART_MAX_BYTES + 1}\r\n\r\n`;
    const refused = await rawExchange(origin.port, [head]);
    expect([statusOf(refused), /<Code>(\w+)</.exec(refused)?.[1]]).toEqual([400, 'EntityTooLarge']);
    await upload.abort();
  });
});

describe('an upload', () => {
  test('that was aborted is gone with its parts at once', async () => {
    const before = await origin.metric('sluice_origin_blobs');
    const upload = await UploadInParts.create(origin, '/site/aborted');
    const parts = [await upload.part(1, randomBytes(100_000)), await upload.part(2, randomBytes(10))];
    expect((await upload.abort()).status).toBe(204);
    await eventually(async () => expect(await origin.metric('sluice_origin_blobs')).toBe(before));
    for (const answer of [await upload.send(1, 'again'), await upload.complete(parts), await upload.abort(), await fetch(upload.url)]) {
      expect([answer.status, await errorCode(answer)]).toEqual([404, 'NoSuchUpload']);
    }
  });

  test('that is open in a bucket is aborted with it: its parts go, and it cannot be completed, also when the bucket is there again', async () => {
    const blobs = await origin.metric('sluice_origin_blobs');
    const aborted = await origin.metric('sluice_origin_multipart_total{outcome="aborted"}');
    const bucket = `${origin.url}/with-uploads`;
    await fetch(bucket, { method: 'PUT' });
    const uploads = await Promise.all(['a', 'b'].map((key) => UploadInParts.create(origin, `/with-uploads/${key}`)));
    const parts = await Promise.all(uploads.map((upload) => upload.part(1, randomBytes(20_000).toString('hex'))));
    expect(await origin.metric('sluice_origin_blobs')).toBe(blobs + 2);
    expect((await fetch(bucket, { method: 'DELETE' })).status).toBe(204);
    await eventually(async () => expect(await origin.metric('sluice_origin_blobs')).toBe(blobs));
    expect(await origin.metric('sluice_origin_multipart_total{outcome="aborted"}')).toBe(aborted + 2);
    await fetch(bucket, { method: 'PUT' });
    expect(elementOf(await (await fetch(`${bucket}?uploads`)).text(), 'UploadId')).toBeUndefined();
    for (const [index, upload] of uploads.entries()) {
      const refused = await upload.complete([parts[index] as PartOfList]);
      expect([refused.status, await errorCode(refused)]).toEqual([404, 'NoSuchUpload']);
    }
    expect((await uploads[0]?.send(2, 'more'))?.status).toBe(404);
  });

  test('beyond the bound is refused until another one has ended', async () => {
    const open: UploadInParts[] = [];
    const countOpen = () => origin.metric('sluice_origin_multipart_uploads');
    while ((await countOpen()) < 50) open.push(await UploadInParts.create(origin, `/site/open-${open.length}`));
    const refused = await fetch(`${origin.url}/site/one-more?uploads`, { method: 'POST' });
    expect([refused.status, await errorCode(refused)]).toEqual([503, 'SlowDown']);
    await open.pop()?.abort();
    const accepted = await UploadInParts.create(origin, '/site/one-more');
    for (const upload of [accepted, ...open]) await upload.abort();
  });

  test.each([
    [{ 'x-amz-checksum-algorithm': 'MD4' }, 'InvalidRequest'],
    [{ 'x-amz-checksum-algorithm': 'SHA256', 'x-amz-checksum-type': 'FULL_OBJECT' }, 'InvalidRequest'],
    [{ 'x-amz-checksum-type': 'FULL_OBJECT' }, 'InvalidRequest'],
    [{ 'x-amz-meta-regions': 'US,,IN' }, 'InvalidArgument'],
  ])('with %j is not created', async (headers, code) => {
    const refused = await fetch(`${origin.url}/site/a?uploads`, { method: 'POST', headers });
    expect([refused.status, await errorCode(refused)]).toEqual([400, code]);
  });
});

describe('a part made of another object', () => {
  const SOURCE = randomBytes(200_000);
  const copy = (upload: UploadInParts, number: number, headers: Record<string, string>) =>
    fetch(`${upload.url}&partNumber=${number}`, { method: 'PUT', headers: { 'x-amz-copy-source': '/site/source%20%C3%A4', ...headers } });
  const partOf = async (number: number, answer: Response): Promise<PartOfList> => ({
    number,
    etag: elementOf(await answer.text(), 'ETag') ?? '',
  });

  beforeAll(async () => {
    await fetch(`${origin.url}/site/source%20%C3%A4`, { method: 'PUT', body: SOURCE });
  });

  test('has its bytes, or those of a range', async () => {
    const upload = await UploadInParts.create(origin, '/site/copied');
    // Not encoded, and without the slash: the bytes of UTF-8, as fetch takes them.
    const UTF8 = Buffer.from('site/source%20ä').toString('latin1');
    const parts = [
      await partOf(1, await copy(upload, 1, {})),
      await partOf(2, await copy(upload, 2, { 'x-amz-copy-source-range': 'bytes=70000-150000' })),
      await partOf(3, await copy(upload, 3, { 'x-amz-copy-source-range': 'bytes=0-0', 'x-amz-copy-source': UTF8 })),
    ];
    expect((await upload.complete(parts)).status).toBe(200);
    const expected = Buffer.concat([SOURCE, SOURCE.subarray(70_000, 150_001), SOURCE.subarray(0, 1)]);
    expect(Buffer.from(await (await get('/site/copied')).arrayBuffer()).equals(expected)).toBe(true);
  });

  test.each([
    [{ 'x-amz-copy-source': '/site/none' }, 404, 'NoSuchKey'],
    [{ 'x-amz-copy-source': '/site' }, 400, 'InvalidArgument'],
    [{ 'x-amz-copy-source': '/site/source?versionId=1' }, 404, 'NoSuchVersion'],
    [{ 'x-amz-copy-source-range': 'bytes=0-200000' }, 400, 'InvalidArgument'],
    [{ 'x-amz-copy-source-range': 'bytes=9-3' }, 400, 'InvalidArgument'],
    [{ 'x-amz-copy-source-range': 'bytes=-3' }, 400, 'InvalidArgument'],
    [{ 'x-amz-copy-source-if-match': '"other"' }, 412, 'PreconditionFailed'],
    [{ 'x-amz-copy-source-if-none-match': `"${md5(SOURCE)}"` }, 412, 'PreconditionFailed'],
    [{ 'x-amz-copy-source-if-modified-since': 'Fri, 01 Jan 2100 00:00:00 GMT' }, 412, 'PreconditionFailed'],
    [{ 'x-amz-copy-source-if-unmodified-since': 'Fri, 01 Jan 2010 00:00:00 GMT' }, 412, 'PreconditionFailed'],
  ])('with %j is refused', async (headers, status, code) => {
    const upload = await UploadInParts.create(origin, '/site/refused');
    const refused = await copy(upload, 1, headers);
    expect([refused.status, await errorCode(refused)]).toEqual([status, code]);
    expect(await upload.numbers()).toEqual([]);
    await upload.abort();
  });

  test('has the checksum of the upload', async () => {
    const upload = await UploadInParts.create(origin, '/site/copied', { 'x-amz-checksum-algorithm': 'CRC32' });
    const answer = await (await copy(upload, 1, {})).text();
    expect(elementOf(answer, 'ChecksumCRC32')).toBe(Buffer.from(crc32(SOURCE).toString(16).padStart(8, '0'), 'hex').toString('base64'));
    await upload.abort();
  });
});

test('the least size of a part is that of S3', async () => {
  await using usual = await originFixture();
  const upload = await UploadInParts.create(usual, '/site/small');
  const small = await upload.part(1, Buffer.alloc(PART_MIN_BYTES - 1));
  const last = await upload.part(2, 'last');
  const refused = await upload.complete([small, last]);
  expect([refused.status, await errorCode(refused)]).toEqual([400, 'EntityTooSmall']);
  const enough = await upload.part(1, Buffer.alloc(PART_MIN_BYTES));
  expect((await upload.complete([enough, last])).status).toBe(200);
});
