import { randomBytes } from 'node:crypto';
import { type Operate, operate as plainly } from '@sluice/blobs';
import { eventually, FakeClock } from '@sluice/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { elementOf, type PartOfList, UploadInParts } from '../../testing/multipart.fixture.ts';
import { errorCode, type OriginFixture, originFixture } from '../../testing/origin.fixture.ts';
import { COMPLETIONS_MAX } from './multipart-completion.ts';
import { PATIENCE_MS } from './patient-answer.ts';

const LARGE = randomBytes(100_000);

let origin: OriginFixture;
beforeAll(async () => {
  origin = await originFixture({ seams: { partMinBytes: 4 } });
});
afterAll(() => origin[Symbol.asyncDispose]());

describe('a list of parts', () => {
  let upload: UploadInParts;
  let one: PartOfList;
  let two: PartOfList;
  beforeAll(async () => {
    upload = await UploadInParts.create(origin, '/site/list', { 'x-amz-checksum-algorithm': 'CRC32' });
    one = await upload.part(1, 'first part');
    two = await upload.part(2, 'two');
    await upload.part(3, 'third');
  });

  test('that repeats a number, or goes back, is refused', async () => {
    for (const parts of [
      [one, one],
      [two, one],
    ]) {
      const refused = await upload.complete(parts);
      expect([refused.status, await errorCode(refused)]).toEqual([400, 'InvalidPartOrder']);
    }
  });

  test('that names a part that is not there, has another ETag or another checksum, is refused', async () => {
    for (const part of [
      { ...two, number: 9 },
      { ...two, etag: one.etag },
      { ...two, more: '<ChecksumCRC32>AAAAAA==</ChecksumCRC32>' },
    ]) {
      const refused = await upload.complete([one, part]);
      expect([refused.status, await errorCode(refused)]).toEqual([400, 'InvalidPart']);
    }
  });

  test('with a small part that is not the last is refused', async () => {
    const refused = await upload.complete([one, two, { number: 3, etag: (await upload.part(3, 'third')).etag }]);
    expect([refused.status, await errorCode(refused)]).toEqual([400, 'EntityTooSmall']);
  });

  test.each(['', 'no xml', '<Part/>', '<CompleteMultipartUpload></CompleteMultipartUpload>', '<CompleteMultipartUpload><Part/>'])(
    'that is "%s" is refused',
    async (body) => {
      const refused = await fetch(upload.url, { method: 'POST', body });
      expect([refused.status, await errorCode(refused)]).toEqual([400, 'MalformedXML']);
    },
  );

  test.each([
    [{ 'x-amz-mp-object-size': '5' }, 400, 'InvalidRequest'],
    [{ 'x-amz-checksum-crc32': 'AAAAAA==-2' }, 400, 'BadDigest'],
    [{ 'x-amz-checksum-sha1': 'AAAA' }, 400, 'InvalidRequest'],
    [{ 'x-amz-checksum-type': 'FULL_OBJECT' }, 400, 'InvalidRequest'],
    [{ 'if-match': '"x"' }, 404, 'NoSuchKey'],
  ])('with %j, which does not hold or cannot be held, is refused, and the upload stays open', async (headers, status, code) => {
    const refused = await upload.complete([one, two], headers);
    expect([refused.status, await errorCode(refused)]).toEqual([status, code]);
    expect(await upload.numbers()).toEqual([1, 2, 3]);
    expect((await fetch(`${origin.url}/site/list`)).status).toBe(404);
  });

  test('that leaves parts out makes an object without them', async () => {
    expect((await upload.complete([one, two], { 'x-amz-mp-object-size': '13' })).status).toBe(200);
    expect(await (await fetch(`${origin.url}/site/list`)).text()).toBe('first parttwo');
    expect((await upload.complete([one, two])).status).toBe(200);
  });
});

describe('completing', () => {
  const versionOf = (answer: Response) => answer.headers.get('x-sluice-version');

  test('twice answers the same, also after a restart, and changes nothing', async () => {
    await using own = await originFixture({ seams: { partMinBytes: 4 } });
    const upload = await UploadInParts.create(own, '/site/twice', { 'x-amz-checksum-algorithm': 'SHA256' });
    const parts = [await upload.part(1, 'first'), await upload.part(2, 'second')];
    const first = await upload.complete(parts);
    const [version, document] = [versionOf(first), (await first.text()).replace(/<Location>.*<\/Location>/, '')];
    await own.restart();
    const second = await upload.complete(parts);
    expect([versionOf(second), (await second.text()).replace(/<Location>.*<\/Location>/, '')]).toEqual([version, document]);
    expect(await own.metric('sluice_origin_outbox_events')).toBe(1);
  });

  test('at the same time makes one object, whoever asks', async () => {
    const upload = await UploadInParts.create(origin, '/site/concurrent');
    const parts = [await upload.part(1, LARGE), await upload.part(2, 'second')];
    const before = await origin.metric('sluice_origin_outbox_events');
    const answers = await Promise.all(Array.from({ length: 8 }, () => upload.complete(parts)));
    expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(200));
    expect(new Set(answers.map(versionOf)).size).toBe(1);
    expect(await origin.metric('sluice_origin_outbox_events')).toBe(before + 1);
  });
});

/** An origin in which the next operation of the disk with this label, once `hold` was called, waits until `go`. */
async function heldOrigin(heldLabel = 'BLOB_COMMIT:SYNC') {
  const clock = new FakeClock();
  let gate: PromiseWithResolvers<void> | undefined;
  let held: PromiseWithResolvers<void> | undefined;
  const operate: Operate = (label, operation) => {
    if (label !== heldLabel || gate === undefined) return plainly(label, operation);
    held?.resolve();
    return gate.promise.then(operation) as ReturnType<typeof operation>;
  };
  const started = await originFixture({ seams: { clock, operate, partMinBytes: 4 } });
  return {
    clock,
    origin: started,
    hold: () => {
      gate = Promise.withResolvers();
      held = Promise.withResolvers();
    },
    /** Resolves when something waits. */
    held: () => held?.promise,
    go: (error?: Error) => {
      if (error === undefined) gate?.resolve();
      else gate?.reject(error);
      gate = undefined;
    },
    [Symbol.asyncDispose]: () => started[Symbol.asyncDispose](),
  };
}

describe('completing that takes long', () => {
  test('keeps the client with white space, and the document follows', async () => {
    await using fixture = await heldOrigin();
    const upload = await UploadInParts.create(fixture.origin, '/site/slow');
    const parts = [await upload.part(1, LARGE)];
    fixture.hold();
    const answered = upload.complete(parts);
    await fixture.held();
    fixture.clock.advance(PATIENCE_MS);
    const answer = await answered;
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/xml']);
    fixture.clock.advance(3 * PATIENCE_MS);
    fixture.go();
    expect(await answer.text()).toMatch(/^<\?xml version="1.0" encoding="UTF-8"\?>\n {3}<CompleteMultipartUploadResult .*<ETag>/);
    expect(Buffer.from(await (await fetch(`${fixture.origin.url}/site/slow`)).arrayBuffer()).equals(LARGE)).toBe(true);
  });

  test('and then fails says so inside of the document, and can be done again', async () => {
    await using fixture = await heldOrigin();
    const upload = await UploadInParts.create(fixture.origin, '/site/slow');
    const parts = [await upload.part(1, LARGE)];
    fixture.hold();
    const answered = upload.complete(parts);
    await fixture.held();
    fixture.clock.advance(PATIENCE_MS);
    const answer = await answered;
    fixture.go(Object.assign(new Error('no space left'), { code: 'ENOSPC' }));
    const document = await answer.text();
    expect([answer.status, elementOf(document, 'Code')]).toEqual([200, 'InsufficientStorage']);
    expect((await upload.complete(parts)).status).toBe(200);
  });

  test('uses the parts that were listed, although one is sent again meanwhile', async () => {
    await using fixture = await heldOrigin('BLOB_READ:OPEN');
    const [first, second, again] = [LARGE, randomBytes(100_000), randomBytes(100_000)];
    const upload = await UploadInParts.create(fixture.origin, '/site/again');
    const parts = [await upload.part(1, first), await upload.part(2, second)];
    fixture.hold();
    const answered = upload.complete(parts);
    await fixture.held();
    await upload.part(2, again);
    fixture.go();
    expect((await answered).status).toBe(200);
    const got = Buffer.from(await (await fetch(`${fixture.origin.url}/site/again`)).arrayBuffer());
    expect(got.equals(Buffer.concat([first, second]))).toBe(true);
    await eventually(async () => expect(await fixture.origin.metric('sluice_origin_blobs')).toBe(1));
  });

  test('finds the upload gone when it was aborted meanwhile, and stores nothing', async () => {
    await using fixture = await heldOrigin();
    const upload = await UploadInParts.create(fixture.origin, '/site/aborted');
    const parts = [await upload.part(1, LARGE), await upload.part(2, 'second')];
    fixture.hold();
    const answered = upload.complete(parts);
    await fixture.held();
    await upload.abort();
    fixture.go();
    const refused = await answered;
    expect([refused.status, await errorCode(refused)]).toEqual([404, 'NoSuchUpload']);
    expect((await fetch(`${fixture.origin.url}/site/aborted`)).status).toBe(404);
    await eventually(async () => expect(await fixture.origin.metric('sluice_origin_blobs')).toBe(0));
    expect(await fixture.origin.metric('sluice_origin_outbox_events')).toBe(0);
  });

  test('leaves room for a bounded number of others', async () => {
    await using fixture = await heldOrigin();
    const upload = await UploadInParts.create(fixture.origin, '/site/many');
    const parts = [await upload.part(1, LARGE)];
    fixture.hold();
    const answers = Array.from({ length: COMPLETIONS_MAX + 1 }, () => upload.complete(parts));
    const refused = await Promise.race(answers);
    expect([refused.status, await errorCode(refused)]).toEqual([503, 'SlowDown']);
    fixture.go();
    const statuses = (await Promise.all(answers)).map(({ status }) => status).sort();
    expect(statuses).toEqual([...Array(COMPLETIONS_MAX).fill(200), 503]);
  });

  test('is finished when the origin begins to stop', async () => {
    await using fixture = await heldOrigin();
    const upload = await UploadInParts.create(fixture.origin, '/site/stopped');
    const parts = [await upload.part(1, LARGE)];
    fixture.hold();
    const answered = upload.complete(parts);
    await fixture.held();
    const restarted = fixture.origin.restart();
    fixture.go();
    expect((await answered).status).toBe(200);
    await restarted;
    expect(Buffer.from(await (await fetch(`${fixture.origin.url}/site/stopped`)).arrayBuffer()).equals(LARGE)).toBe(true);
  });
});
