/** The s3 source at a service that fails, lies or says nothing. What a real one makes of it is in `s3-source.s3.test.ts`. */
import { crc32 } from 'node:zlib';
import { eventually, FakeClock } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { RevisionGoneError, SourceAwayError, type SourceObject, UnusableObjectError } from '../../services/source-port.ts';
import { originFixture } from '../../testing/origin.fixture.ts';
import { toArray } from '../../testing/s3-bucket.fixture.ts';
import {
  ETAG,
  errorDocument,
  listingOf,
  MODIFIED,
  objectHeaders,
  objectOfSize,
  type Script,
  scriptedS3,
} from '../../testing/scripted-s3.fixture.ts';

const always =
  (status: number, body: string, headers: Record<string, string> = {}): Script =>
  (_, response) =>
    void response.writeHead(status, headers).end(body);
const XML = { 'Content-Type': 'application/xml' };

/** What comes of an iterable before it throws, and the error. */
async function readUntilError(chunks: AsyncIterable<Uint8Array>): Promise<{ bytes: number; error: unknown }> {
  let bytes = 0;
  try {
    for await (const chunk of chunks) bytes += chunk.byteLength;
  } catch (error) {
    return { bytes, error };
  }
  return { bytes, error: undefined };
}

describe('a body', () => {
  test('that is cut is an error in the place of its last bytes', async () => {
    await using s3 = await scriptedS3((_, response) => {
      response.writeHead(200, objectHeaders(1_000));
      response.write('x'.repeat(600), () => response.destroy());
    });
    const { bytes, error } = await readUntilError((await s3.source.open(objectOfSize(1_000))).chunks);
    expect(error).toBeInstanceOf(SourceAwayError);
    expect((error as Error).message).toMatch(/b\/a: the connection was cut after \d+ of 1000 bytes/);
    expect(bytes).toBeLessThan(1_000);
  });

  test.each([
    [3, 'the connection was cut after 3 of 5 bytes'],
    [7, 'more came than the 5 bytes'],
  ])('without a length that has %i bytes for 5 is an error, and never the whole', async (length, words) => {
    await using s3 = await scriptedS3((_, response) => {
      const { 'Content-Length': size, ...headers } = objectHeaders(10);
      response.writeHead(206, { ...headers, 'Content-Range': `bytes 2-6/${size}` });
      response.end('x'.repeat(length));
    });
    const { bytes, error } = await readUntilError((await s3.source.open(objectOfSize(10), { offset: 2, length: 5 })).chunks);
    expect([bytes, (error as Error).message]).toEqual([0, expect.stringContaining(words)]);
  });

  test('that stalls while it is waited for ends; one whose reader pauses does not', async () => {
    const clock = new FakeClock();
    let waits = 0;
    let whenWaiting: () => void = () => {};
    let finish: () => void = () => {};
    const noticing = {
      after: (delayMs: number, callback: () => void) => {
        waits += 1;
        whenWaiting();
        return clock.after(delayMs, callback);
      },
    };
    await using s3 = await scriptedS3(
      (_, response) => {
        response.writeHead(200, objectHeaders(10)).write('12345');
        finish = () => void response.end('67890');
      },
      { clock: noticing, bodyIdleTimeoutMs: 1_000 },
    );
    const waiting = (count: number) => new Promise<void>((resolve) => (whenWaiting = () => void (waits >= count && resolve())));
    const secondWait = waiting(2);
    const reading = readUntilError((await s3.source.open(objectOfSize(10))).chunks);
    await secondWait;
    clock.advance(1_000);
    expect((await reading).error).toMatchObject({
      code: 'SOURCE_AWAY',
      message: expect.stringContaining('nothing came for 1000 ms after 5 of 10'),
    });
    await eventually(async () => expect(s3.connections).toBe(0));

    const patient = await s3.source.open(objectOfSize(10));
    clock.advance(3_600_000);
    finish();
    expect(await readUntilError(patient.chunks)).toEqual({ bytes: 10, error: undefined });
  });

  test('that is closed while it is read ends with an error, and its connection too', async () => {
    await using s3 = await scriptedS3((_, response) => void response.writeHead(200, objectHeaders(10)).write('12345'));
    const opened = await s3.source.open(objectOfSize(10));
    const reading = readUntilError(opened.chunks);
    await opened.close();
    expect((await reading).error).toMatchObject({ code: 'SOURCE_CLOSED' });
    await eventually(async () => expect(s3.connections).toBe(0));
    await expect(toArray(opened.chunks)).rejects.toThrow('can be taken once');
  });

  test('that is read when its source is closed ends with an error, and its connection too', async () => {
    await using s3 = await scriptedS3((_, response) => void response.writeHead(200, objectHeaders(10)).write('12345'));
    const reading = readUntilError((await s3.source.open(objectOfSize(10))).chunks);
    await s3.source.close();
    expect((await reading).error).toBeInstanceOf(SourceAwayError);
    await eventually(async () => expect(s3.connections).toBe(0));
  });

  test('is held against the checksum that is announced with it', async () => {
    let content = 'hello';
    await using s3 = await scriptedS3((request, response) => {
      expect(request.headers['x-amz-checksum-mode']).toBe('ENABLED');
      const checksum = Buffer.alloc(4);
      checksum.writeUInt32BE(crc32('hello'));
      response.writeHead(200, { ...objectHeaders(5), 'x-amz-checksum-crc32': checksum.toString('base64') }).end(content);
    });
    expect(Buffer.concat(await toArray((await s3.source.open(objectOfSize(5))).chunks)).toString()).toBe('hello');
    content = 'hallo';
    const { bytes, error } = await readUntilError((await s3.source.open(objectOfSize(5))).chunks);
    expect([bytes, (error as Error).message]).toEqual([0, expect.stringContaining('not the checksum')]);
  });

  test('at most 32 are being read at once; one more waits for one of them to end, and other requests for none', async () => {
    await using s3 = await scriptedS3((request, response) => {
      if (request.url?.includes('list-type')) return void response.writeHead(200, XML).end(listingOf(['a']));
      response.writeHead(200, objectHeaders(10)).write('12345');
    });
    const opened = await Promise.all(Array.from({ length: 32 }, () => s3.source.open(objectOfSize(10))));
    const late = s3.source.open(objectOfSize(10));
    expect(await s3.source.find('b/a')).toMatchObject({ key: 'b/a' });
    expect([s3.requests.filter((request) => request === 'GET /b/a').length, s3.connections]).toEqual([32, 33]);
    await opened[0]?.close();
    await (await late).close();
    expect(s3.requests.filter((request) => request === 'GET /b/a')).toHaveLength(33);
  });
});

describe('an answer', () => {
  test.each([
    ['with another ETag', 200, { ETag: '"other"' }],
    ['with another length', 200, { 'Content-Length': '9' }],
    ['with another time', 200, { 'Last-Modified': 'Fri, 02 Jan 2026 03:04:07 GMT' }],
    ['that there is none', 404, {}],
    ['that it has changed', 412, {}],
  ])('%s: the object is not that of its revision', async (_, status, headers) => {
    await using s3 = await scriptedS3((request, response) => {
      expect(request.headers['if-match']).toBe(ETAG);
      const said: Record<string, string | number> = { ...objectHeaders(5), ...headers };
      response.writeHead(status, said).end(request.method === 'HEAD' ? undefined : 'x'.repeat(Number(said['Content-Length'])));
    });
    await expect(s3.source.describe(objectOfSize(5))).rejects.toThrow(RevisionGoneError);
    await expect(s3.source.open(objectOfSize(5))).rejects.toThrow(RevisionGoneError);
  });

  test.each([
    ['nothing of a part', {}, 'asked for a part and sent something else'],
    ['another part', { 'Content-Range': 'bytes 0-1/10' }, 'asked for another part than it sent'],
  ])('that has %s is not taken for the part that was asked for', async (_, headers, words) => {
    await using s3 = await scriptedS3(always(200, '0123456789', { ...(objectHeaders(10) as object), ...headers }));
    await expect(s3.source.open(objectOfSize(10), { offset: 3, length: 2 })).rejects.toThrow(words);
    await eventually(async () => expect(s3.connections).toBe(0));
  });

  test.each([
    ['a page for people', 200, '<!doctype html><html><body>Log in<br></body></html>', { 'Content-Type': 'text/html' }],
    ['a well-formed page', 200, '<html><body><p>Log in</p></body></html>', { 'Content-Type': 'text/html' }],
    ['JSON', 200, '{"objects":[]}', { 'Content-Type': 'application/json' }],
    ['nothing', 200, '', {}],
    ['the name of a bucket only', 200, '<ListBucketResult><Name>b</Name></ListBucketResult>', XML],
    ['nobody knows whose listing', 200, '<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>', XML],
    ['half a listing', 200, listingOf(['a', 'b', 'c']).slice(0, 250), XML],
    [
      'a listing of a service that pages in another way',
      200,
      listingOf(['a'], '').replace('<NextContinuationToken></NextContinuationToken>', ''),
      XML,
    ],
    ['an error with the status of success', 200, errorDocument('InternalError'), XML],
  ])('with %s is not taken for an empty listing', async (_, status, body, headers) => {
    await using s3 = await scriptedS3(always(status, body, headers));
    await expect(toArray(s3.source.list(''))).rejects.toThrow(SourceAwayError);
    await expect(s3.source.find('b/a')).rejects.toThrow(SourceAwayError);
  });

  test.each([
    [403, 'AccessDenied', {}, 'the credentials lack the right s3:ListBucket'],
    [404, 'NoSuchBucket', {}, 'has no bucket of this name'],
    [301, 'PermanentRedirect', { 'x-amz-bucket-region': 'eu-west-1' }, 'the bucket is in the region eu-west-1; correct the region'],
    [400, 'AuthorizationHeaderMalformed', {}, 'in another region'],
    [403, 'RequestTimeTooSkewed', {}, 'clocks'],
    [400, 'SomethingNew', {}, '400 SomethingNew: in the words of the service'],
  ])('%i %s is told with what to do', async (status, code, headers, words) => {
    await using s3 = await scriptedS3(always(status, errorDocument(code), { ...XML, ...headers }));
    await expect(toArray(s3.source.list(''))).rejects.toThrow(words);
    await expect(toArray(s3.source.list(''))).rejects.toThrow(`the bucket b at ${s3.endpoint} cannot be read: `);
  });

  test.each([
    [503, errorDocument('SlowDown'), 'too busy (503, asked 3 times)'],
    [429, '', 'too busy (429, asked 3 times)'],
    [502, '<html><h1>Bad Gateway</h1></html>', 'the service failed (502, asked 3 times)'],
    [500, errorDocument('InternalError'), 'the service failed (500, asked 3 times)'],
  ])('%i comes three times at most, then the source is away', async (status, body, words) => {
    await using s3 = await scriptedS3(always(status, body));
    await expect(s3.source.find('b/a')).rejects.toThrow(words);
    expect(s3.requests).toHaveLength(3);
  });

  test('that is late by one refusal is taken all the same', async () => {
    await using s3 = await scriptedS3((request, response) => {
      const script = s3.requests.length === 1 ? always(503, errorDocument('SlowDown')) : always(200, listingOf(['a']), XML);
      script(request, response);
    });
    expect(await s3.source.find('b/a')).toMatchObject({ key: 'b/a', size: 5 });
  });

  test.each<[string, Script]>([
    ['never begins', () => {}],
    ['pauses', (_, response) => void response.writeHead(200, XML).write('<ListBucketResult>')],
    ['refuses and pauses', (_, response) => void response.writeHead(403, XML).write('<Error>')],
  ])('that %s is waited for in bounds', async (how, script) => {
    await using s3 = await scriptedS3(script, { answerTimeoutMs: 100 });
    await expect(s3.source.find('b/a')).rejects.toThrow('did not answer in time');
    if (how === 'pauses') return;
    await expect(s3.source.open(objectOfSize(5))).rejects.toThrow('did not answer in time');
    expect(s3.requests).toHaveLength(6);
    await eventually(async () => expect(s3.connections).toBe(0));
  });

  test('that the object is archived refuses this object only', async () => {
    await using s3 = await scriptedS3(always(403, errorDocument('InvalidObjectState'), XML));
    await expect(s3.source.open(objectOfSize(5))).rejects.toThrow(UnusableObjectError);
  });

  test('tags that cannot be read: the source is away, and the body is let go of', async () => {
    await using s3 = await scriptedS3((request, response) => {
      if (request.url?.includes('tagging')) response.writeHead(403, XML).end(errorDocument('AccessDenied'));
      else response.writeHead(200, { ...objectHeaders(10), 'x-amz-tagging-count': 1 }).write('12345');
    });
    await expect(s3.source.open(objectOfSize(10))).rejects.toThrow('s3:GetObjectTagging');
    await eventually(async () => expect(s3.connections).toBeLessThan(2));
  });
});

describe('a listing', () => {
  test.each([
    ['out of order', ['b', 'a']],
    ['with a key twice', ['a', 'a']],
  ])('%s is refused', async (_, keys) => {
    await using s3 = await scriptedS3(always(200, listingOf(keys), XML));
    await expect(toArray(s3.source.list(''))).rejects.toThrow('not in the order of its keys');
  });

  test('that gives the same page again and again ends', async () => {
    await using s3 = await scriptedS3(always(200, listingOf(['a'], 'more'), XML));
    await expect(toArray(s3.source.list(''))).rejects.toThrow('not in the order of its keys');
    expect(s3.requests).toHaveLength(2);
  });

  test('of empty pages without an end ends', async () => {
    await using s3 = await scriptedS3(always(200, listingOf([], 'more'), XML));
    await expect(toArray(s3.source.list(''))).rejects.toThrow('has no end');
    expect(s3.requests).toHaveLength(101);
  });

  test('without coded keys is read as it is; keys that are no text are left out', async () => {
    await using plain = await scriptedS3(always(200, listingOf(['a%20c', 'a+b']).replace('<EncodingType>url</EncodingType>', ''), XML));
    expect((await toArray(plain.source.list(''))).flat().map(({ key }) => key)).toEqual(['b/a%20c', 'b/a+b']);
    await using coded = await scriptedS3(always(200, listingOf(['a%20c', 'a+c%2B', '%FF%FE']), XML));
    expect((await toArray(coded.source.list(''))).flat().map(({ key }) => key)).toEqual(['b/a c', 'b/a c+']);
  });
});

describe('no connection', () => {
  test('to a port where nobody listens', async () => {
    const s3 = await scriptedS3(() => {});
    await s3[Symbol.asyncDispose]();
    await using again = await scriptedS3(() => {}, { endpoint: s3.endpoint });
    await expect(again.source.find('b/a')).rejects.toThrow('nothing listens there; start the service or correct the endpoint');
  });

  test('to a host that is not known', async () => {
    await using s3 = await scriptedS3(() => {}, { endpoint: 'http://no-such-host.invalid' });
    await expect(s3.source.find('b/a')).rejects.toThrow(/the name of its host is not known|the name service does not answer/);
  });

  test('to a server without TLS', async () => {
    await using plain = await scriptedS3(always(200, ''));
    await using s3 = await scriptedS3(() => {}, { endpoint: plain.endpoint.replace('http:', 'https:') });
    await expect(s3.source.find('b/a')).rejects.toThrow(SourceAwayError);
  });
});

test('a password in the endpoint is in no title', async () => {
  await using s3 = await scriptedS3(() => {}, { endpoint: 'http://user:pass-word@127.0.0.1:1', prefix: 'www/' });
  expect(s3.source.title).toBe('bucket b from www/ on at http://127.0.0.1:1');
});

test('a service that rounds its dates up is asked for a listing, and only then', async () => {
  const rounded = 'Fri, 02 Jan 2026 03:04:06 GMT';
  let listed = MODIFIED;
  await using s3 = await scriptedS3((request, response) => {
    if (request.url?.includes('list-type')) response.writeHead(200, XML).end(listingOf(['a'], undefined, listed));
    else response.writeHead(200, { ...objectHeaders(5), 'Last-Modified': rounded }).end();
  });
  expect((await s3.source.describe(objectOfSize(5))).modifiedAt).toBe(MODIFIED.toISOString());
  listed = new Date(rounded);
  await expect(s3.source.describe(objectOfSize(5))).rejects.toThrow(RevisionGoneError);
});

test('where a service tells seconds only, an object gets another revision when the second of its change is over; where it tells more, it does not', async () => {
  const date = new Date('2026-01-02T03:04:05.000Z');
  let now = date;
  const keys = ['a'];
  let modified = date;
  await using s3 = await scriptedS3((_, response) => {
    response.sendDate = false;
    response.writeHead(200, { ...XML, Date: now.toUTCString() }).end(listingOf(keys, undefined, modified));
  });
  const young = await s3.source.find('b/a');
  expect(await s3.source.find('b/a')).toEqual(young);
  now = new Date(date.getTime() + 2_000);
  const old = await s3.source.find('b/a');
  expect([old?.revision === young?.revision, old?.bytesRevision]).toEqual([false, young?.bytesRevision]);
  modified = MODIFIED;
  await s3.source.find('b/a');
  [modified, now] = [date, date];
  expect(await s3.source.find('b/a')).toEqual(old);
});

test('another origin can be the source', async () => {
  await using origin = await originFixture();
  const headers = {
    'cdn-cache-control': 'max-age=9',
    'x-amz-meta-regions': 'US',
    'x-amz-tagging': 'env=prod',
    'content-type': 'text/html',
  };
  await fetch(`${origin.url}/b/a`, { method: 'PUT', body: 'hello', headers });
  await using s3 = await scriptedS3(() => {}, { endpoint: origin.url });
  const object = await s3.source.find('b/a');
  expect((await toArray(s3.source.list(''))).flat()).toEqual([object]);
  const { fields, chunks } = await s3.source.open(object as SourceObject);
  expect(fields).toMatchObject({ cdnCacheControl: 'max-age=9', regions: ['US'], tags: ['env=prod'], contentType: 'text/html' });
  expect(Buffer.concat(await toArray(chunks)).toString()).toBe('hello');
});
