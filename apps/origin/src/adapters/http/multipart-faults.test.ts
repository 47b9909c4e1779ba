import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { Operate } from '@sluice/blobs';
import { eventually, FakeClock, temporaryDirectory } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { UploadInParts } from '../../testing/multipart.fixture.ts';
import { errorCode, NO_BROKER, originFixture } from '../../testing/origin.fixture.ts';
import { startProcess } from '../../testing/origin-process.fixture.ts';

const [FIRST, SECOND] = [randomBytes(200_000), randomBytes(200_000)];
const bytesOf = async (answer: Response) => Buffer.from(await answer.arrayBuffer());

/** Operations of the disk, of which those of one label fail while that is set. */
function breakableDisk() {
  const disk = { broken: '', code: 'ENOSPC' };
  const operate: Operate = (label, operation) => {
    if (label === disk.broken) throw Object.assign(new Error(disk.code), { code: disk.code });
    return operation();
  };
  return { disk, operate };
}

describe('a disk that is full', () => {
  test.each([
    'BLOB_WRITE:CREATE',
    'BLOB_WRITE:WRITE',
    'BLOB_COMMIT:SYNC',
    'BLOB_COMMIT:RENAME',
    'BLOB_COMMIT:TRANSACTION',
    'CATALOG_COMMIT:TRANSACTION',
  ])('at %s refuses a part and loses none of the others; with space again the upload goes on', async (label) => {
    const { disk, operate } = breakableDisk();
    await using origin = await originFixture({ seams: { operate, partMinBytes: 4 } });
    const upload = await UploadInParts.create(origin, '/site/a');
    const first = await upload.part(1, FIRST);
    const before = await upload.part(2, 'before');
    disk.broken = label;
    const refused = await upload.send(2, SECOND);
    expect([refused.status, await errorCode(refused)]).toEqual([507, 'InsufficientStorage']);
    const unfinished = await upload.complete([first, before]);
    expect([unfinished.status, await errorCode(unfinished)]).toEqual([507, 'InsufficientStorage']);
    expect((await fetch(`${origin.url}/site/a`)).status).toBe(404);
    disk.broken = '';
    await eventually(async () => {
      expect(await origin.metric('sluice_origin_blobs')).toBe(2);
      expect(await readdir(join(origin.dir, 'blobs', 'incoming'))).toEqual([]);
    });
    expect((await upload.complete([first, await upload.part(2, SECOND)])).status).toBe(200);
    expect((await bytesOf(await fetch(`${origin.url}/site/a`))).equals(Buffer.concat([FIRST, SECOND]))).toBe(true);
  });
});

describe('parts that nothing names', () => {
  test.each(['abort', 'complete', 'send again'] as const)(
    'because the process ended right after %s are removed by the next start, and no others',
    async (what) => {
      const { disk, operate } = breakableDisk();
      await using origin = await originFixture({ seams: { operate, partMinBytes: 4 } });
      const other = await UploadInParts.create(origin, '/site/other');
      const kept = await other.part(1, SECOND);
      const upload = await UploadInParts.create(origin, '/site/a');
      const parts = [await upload.part(1, FIRST), await upload.part(2, 'second')];
      // What would remove them fails, as it would when nobody is left to do it.
      Object.assign(disk, { broken: 'BLOB_DELETE:ROW', code: 'EIO' });
      const answer = await (what === 'abort' ? upload.abort() : what === 'complete' ? upload.complete(parts) : upload.send(1, 'again'));
      expect(answer.ok).toBe(true);
      const left = { abort: 3, complete: 4, 'send again': 4 }[what];
      expect(await origin.metric('sluice_origin_blobs')).toBe(left);
      await origin.restart({ partMinBytes: 4 });
      const named = { abort: 1, complete: 2, 'send again': 3 }[what];
      await eventually(async () => expect(await origin.metric('sluice_origin_blobs')).toBe(named));
      expect((await other.complete([kept])).status).toBe(200);
      expect((await bytesOf(await fetch(`${origin.url}/site/other`))).equals(SECOND)).toBe(true);
    },
  );
});

describe('an upload of which nothing more comes', () => {
  test('is removed with its parts after the days configured, and not before', async () => {
    const clock = new FakeClock();
    const [HOUR_MS, DAY_MS] = [3_600_000, 86_400_000];
    await using origin = await originFixture({ seams: { clock }, config: { ORIGIN_MULTIPART_EXPIRY_DAYS: 7 } });
    const abandoned = await UploadInParts.create(origin, '/site/abandoned');
    await abandoned.part(1, FIRST);
    const active = await UploadInParts.create(origin, '/site/active');
    clock.advance(6 * DAY_MS);
    await active.part(1, SECOND);
    await abandoned.numbers();
    clock.advance(DAY_MS - HOUR_MS);
    expect(await abandoned.numbers()).toEqual([1]);
    await eventually(async () => {
      clock.advance(HOUR_MS);
      expect(await origin.metric('sluice_origin_multipart_uploads')).toBe(1);
    });
    expect((await fetch(abandoned.url)).status).toBe(404);
    expect(await active.numbers()).toEqual([1]);
    await eventually(async () => expect(await origin.metric('sluice_origin_blobs')).toBe(1));
    expect(await origin.metric('sluice_origin_multipart_total{outcome="expired"}')).toBe(1);
  });
});

describe('an origin that is killed', () => {
  test('between parts, and inside of one, goes on with the parts it has answered', async () => {
    await using dir = await temporaryDirectory();
    const first = await startProcess(dir.path, NO_BROKER);
    const created = await fetch(`${first.url}/site/a?uploads`, { method: 'POST', headers: { 'x-amz-meta-author': 'Ana' } });
    const id = /<UploadId>(.*)<\/UploadId>/.exec(await created.text())?.[1];
    const part = (number: number) => `/site/a?uploadId=${id}&partNumber=${number}`;
    const large = randomBytes(6_000_000);
    const etag = (await fetch(first.url + part(1), { method: 'PUT', body: large })).headers.get('etag');
    // One whose end never comes.
    const cut = httpRequest(first.url + part(2), { method: 'PUT', headers: { 'content-length': 1_000_000 } });
    cut.on('error', () => {});
    cut.write(Buffer.alloc(500_000));
    await eventually(async () => expect(await readdir(join(dir.path, 'blobs', 'incoming'))).toHaveLength(1));
    await first.origin.kill();
    const second = await startProcess(dir.path, NO_BROKER);
    const listed = await (await fetch(`${second.url}/site/a?uploadId=${id}`)).text();
    expect(listed.match(/<PartNumber>\d+/g)).toEqual(['<PartNumber>1']);
    expect(await readdir(join(dir.path, 'blobs', 'incoming'))).toEqual([]);
    const other = (await fetch(second.url + part(2), { method: 'PUT', body: SECOND })).headers.get('etag');
    const list = [etag, other].map((tag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${tag}</ETag></Part>`);
    const body = `<CompleteMultipartUpload>${list.join('')}</CompleteMultipartUpload>`;
    expect((await fetch(`${second.url}/site/a?uploadId=${id}`, { method: 'POST', body })).status).toBe(200);
    const got = await fetch(`${second.url}/site/a`);
    expect(got.headers.get('x-amz-meta-author')).toBe('Ana');
    expect((await bytesOf(got)).equals(Buffer.concat([large, SECOND]))).toBe(true);
    await second.origin.stop();
  }, 60_000);

  test('while it puts an object together has the object or the upload, and the client can complete it again', async () => {
    await using dir = await temporaryDirectory();
    const first = await startProcess(dir.path, NO_BROKER);
    const created = await fetch(`${first.url}/site/a?uploads`, { method: 'POST' });
    const target = `/site/a?uploadId=${/<UploadId>(.*)<\/UploadId>/.exec(await created.text())?.[1]}`;
    const bodies = [randomBytes(40_000_000), randomBytes(40_000_000)];
    const tags = [];
    for (const [index, body] of bodies.entries()) {
      tags.push((await fetch(`${first.url}${target}&partNumber=${index + 1}`, { method: 'PUT', body })).headers.get('etag'));
    }
    const list = tags.map((tag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${tag}</ETag></Part>`);
    const body = `<CompleteMultipartUpload>${list.join('')}</CompleteMultipartUpload>`;
    const cut = fetch(first.url + target, { method: 'POST', body }).catch(() => undefined);
    await eventually(async () => expect(await readdir(join(dir.path, 'blobs', 'incoming'))).toHaveLength(1));
    await first.origin.kill();
    await cut;
    const second = await startProcess(dir.path, NO_BROKER);
    expect((await fetch(second.url + target, { method: 'POST', body })).status).toBe(200);
    expect((await bytesOf(await fetch(`${second.url}/site/a`))).equals(Buffer.concat(bodies))).toBe(true);
    await eventually(async () => expect(await (await fetch(`${second.url}/metrics`)).text()).toMatch(/^sluice_origin_blobs\{[^}]*\} 1$/m));
    await second.origin.stop();
  }, 60_000);
});

test('a part of 300 MB, and the object made of it, take no more memory than small ones', async () => {
  await using origin = await originFixture();
  const warmUp = await UploadInParts.create(origin, '/site/warm-up');
  await warmUp.complete([await warmUp.part(1, FIRST)]);
  const beforeBytes = process.memoryUsage.rss();
  let highestBytes = 0;
  const sampler = setInterval(() => {
    highestBytes = Math.max(highestBytes, process.memoryUsage.rss());
  }, 5);
  const upload = await UploadInParts.create(origin, '/site/large');
  const piece = randomBytes(1 << 20);
  const pieces = Readable.from(
    (function* () {
      for (let sent = 0; sent < 300; sent += 1) yield piece;
    })(),
    { objectMode: true, highWaterMark: 1 },
  );
  const options = { method: 'PUT', body: Readable.toWeb(pieces), duplex: 'half' } as RequestInit;
  const etag = (await fetch(`${upload.url}&partNumber=1`, options)).headers.get('etag') ?? '';
  const completed = await upload.complete([
    { number: 1, etag },
    { number: 2, etag: (await upload.part(2, 'last')).etag },
  ]);
  // It may take so long that the answer begins before it is complete.
  expect(await completed.text()).toContain('<CompleteMultipartUploadResult');
  clearInterval(sampler);
  expect(highestBytes - beforeBytes).toBeLessThan(100e6);
  const head = await fetch(`${origin.url}/site/large`, { method: 'HEAD' });
  expect(Number(head.headers.get('content-length'))).toBe(300 * (1 << 20) + 4);
}, 60_000);
