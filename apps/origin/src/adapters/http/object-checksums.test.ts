import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CHECKSUM_ALGORITHMS } from '../../domain/upload-digests.ts';
import { elementOf, UploadInParts } from '../../testing/multipart.fixture.ts';
import { errorCode, md5, type OriginFixture, originFixture, sha256 } from '../../testing/origin.fixture.ts';
import { BodyDigests } from './body-digests.ts';

let origin: OriginFixture;
beforeAll(async () => {
  origin = await originFixture({ seams: { partMinBytes: 4 } });
});
afterAll(() => origin[Symbol.asyncDispose]());

const ENABLED = { 'x-amz-checksum-mode': 'ENABLED' };
const read = (path: string, headers: Record<string, string> = ENABLED, method = 'GET') => fetch(origin.url + path, { method, headers });
const checksumsIn = ({ headers }: Response) => Object.fromEntries([...headers].filter(([name]) => name.startsWith('x-amz-checksum-')));
async function checksum(algorithm: (typeof CHECKSUM_ALGORITHMS)[number], bytes: Uint8Array): Promise<string> {
  if (algorithm === 'sha256') return sha256(bytes, 'base64');
  const digests = await BodyDigests.create([algorithm]);
  digests.update(bytes);
  return Buffer.from(digests.finish()[algorithm] ?? '', 'hex').toString('base64');
}

describe('a checksum that is announced for an object', () => {
  const BYTES = Buffer.from('123456789');

  test.each(CHECKSUM_ALGORITHMS)('in %s is answered, kept over a restart, and returned to who asks for it', async (algorithm) => {
    const header = `x-amz-checksum-${algorithm}`;
    const expected = { [header]: await checksum(algorithm, BYTES), 'x-amz-checksum-type': 'FULL_OBJECT' };
    const stored = await fetch(`${origin.url}/site/${algorithm}`, {
      method: 'PUT',
      body: BYTES,
      headers: { [header]: expected[header] ?? '' },
    });
    expect(checksumsIn(stored)).toEqual(expected);
    if (algorithm === CHECKSUM_ALGORITHMS[0]) await origin.restart({ partMinBytes: 4 });
    expect(checksumsIn(await read(`/site/${algorithm}`))).toEqual(expected);
    expect(checksumsIn(await read(`/site/${algorithm}`, ENABLED, 'HEAD'))).toEqual(expected);
    expect(checksumsIn(await read(`/site/${algorithm}`, {}))).toEqual({});
  });

  test('does not come with a part of its bytes', async () => {
    const partial = await read('/site/crc32', { ...ENABLED, range: 'bytes=0-3' });
    expect([partial.status, checksumsIn(partial)]).toEqual([206, {}]);
  });

  test('goes with the object, and with the content', async () => {
    const put = (headers: Record<string, string>) => fetch(`${origin.url}/site/gone`, { method: 'PUT', body: BYTES, headers });
    const headers = { 'x-amz-checksum-sha256': await checksum('sha256', BYTES) };
    await put(headers);
    await put({});
    expect(checksumsIn(await read('/site/gone'))).toEqual({});
    await put(headers);
    await fetch(`${origin.url}/site/gone`, { method: 'DELETE' });
    await put({});
    expect(checksumsIn(await read('/site/gone'))).toEqual({});
  });

  test('is not there for a digest that only guards the transfer', async () => {
    await fetch(`${origin.url}/site/guard`, { method: 'PUT', body: BYTES, headers: { 'x-amz-content-sha256': sha256(BYTES) } });
    expect(checksumsIn(await read('/site/guard'))).toEqual({});
  });
});

describe('the checksum of an object that came in parts', () => {
  const BODIES = [randomBytes(100_000), randomBytes(50_000), randomBytes(10)] as const;
  const whole = Buffer.concat(BODIES);
  const upload = async (path: string, headers: Record<string, string>) => {
    const created = await UploadInParts.create(origin, path, headers);
    const parts = [];
    for (const [index, body] of BODIES.entries()) parts.push(await created.part(index + 1, body));
    return { created, parts };
  };

  test.each(['crc32', 'crc32c', 'sha1', 'sha256'] as const)('is that of the checksums of its parts, in %s', async (algorithm) => {
    const { created, parts } = await upload('/site/composite', { 'x-amz-checksum-algorithm': algorithm.toUpperCase() });
    const ofParts = await Promise.all(BODIES.map((body) => checksum(algorithm, body)));
    const value = `${await checksum(algorithm, Buffer.concat(ofParts.map((part) => Buffer.from(part, 'base64'))))}-3`;
    const element = `Checksum${algorithm.toUpperCase()}`;
    const listed = parts.map((part, index) => ({ ...part, more: `<${element}>${ofParts[index]}</${element}>` }));
    const document = await (await created.complete(listed, { [`x-amz-checksum-${algorithm}`]: value })).text();
    expect([elementOf(document, element), elementOf(document, 'ChecksumType')]).toEqual([value, 'COMPOSITE']);
    expect(checksumsIn(await read('/site/composite'))).toEqual({
      [`x-amz-checksum-${algorithm}`]: value,
      'x-amz-checksum-type': 'COMPOSITE',
    });
  });

  test.each(['crc32', 'crc32c', 'crc64nvme'] as const)('is that of all bytes when it was created so, in %s', async (algorithm) => {
    const headers = { 'x-amz-checksum-algorithm': algorithm.toUpperCase(), 'x-amz-checksum-type': 'FULL_OBJECT' };
    const { created, parts } = await upload('/site/full', headers);
    const value = await checksum(algorithm, whole);
    const refused = await created.complete(parts, { [`x-amz-checksum-${algorithm}`]: await checksum(algorithm, Buffer.from('other')) });
    expect([refused.status, await errorCode(refused)]).toEqual([400, 'BadDigest']);
    expect((await created.complete(parts, { [`x-amz-checksum-${algorithm}`]: value })).status).toBe(200);
    expect(checksumsIn(await read('/site/full'))).toEqual({ [`x-amz-checksum-${algorithm}`]: value, 'x-amz-checksum-type': 'FULL_OBJECT' });
  });

  test('is none when none was asked for', async () => {
    const { created, parts } = await upload('/site/none', {});
    await created.complete(parts);
    expect(checksumsIn(await read('/site/none'))).toEqual({});
  });

  test('is answered for each part, whether the client announced one or not', async () => {
    const created = await UploadInParts.create(origin, '/site/each', { 'x-amz-checksum-algorithm': 'CRC32' });
    const sent = await created.send(1, BODIES[0]);
    expect(sent.headers.get('x-amz-checksum-crc32')).toBe(
      Buffer.from(crc32(BODIES[0]).toString(16).padStart(8, '0'), 'hex').toString('base64'),
    );
    const listed = await (await fetch(created.url)).text();
    expect([elementOf(listed, 'ChecksumAlgorithm'), elementOf(listed, 'ChecksumType')]).toEqual(['CRC32', 'COMPOSITE']);
    expect(elementOf(listed, 'ChecksumCRC32')).toBe(sent.headers.get('x-amz-checksum-crc32'));
    await created.abort();
  });
});

describe('reading by part', () => {
  const BODIES = ['first part', 'second', 'the third of them'];

  test('gives the bytes of each with its place and the number of all', async () => {
    const upload = await UploadInParts.create(origin, '/site/by-part');
    // Their numbers need not be without gaps.
    const parts = [];
    for (const [index, body] of BODIES.entries()) parts.push(await upload.part(10 * index + 1, body));
    await upload.complete(parts);
    const size = BODIES.join('').length;
    let start = 0;
    for (const [index, body] of BODIES.entries()) {
      for (const method of ['GET', 'HEAD']) {
        const got = await read(`/site/by-part?partNumber=${index + 1}`, ENABLED, method);
        expect([got.status, await got.text()]).toEqual([206, method === 'GET' ? body : '']);
        expect(Object.fromEntries(got.headers)).toMatchObject({
          'content-length': String(body.length),
          'content-range': `bytes ${start}-${start + body.length - 1}/${size}`,
          'x-amz-mp-parts-count': '3',
        });
      }
      start += body.length;
    }
    for (const beyond of [4, 10_000]) {
      const refused = await read(`/site/by-part?partNumber=${beyond}`);
      expect([refused.status, await errorCode(refused)]).toEqual([416, 'InvalidPartNumber']);
    }
    const both = await read('/site/by-part?partNumber=1', { range: 'bytes=0-1' });
    expect([both.status, await errorCode(both)]).toEqual([400, 'InvalidRequest']);
    expect((await read('/site/by-part')).headers.has('x-amz-mp-parts-count')).toBe(false);
  });

  test('of an object that did not come in parts gives the whole as the first', async () => {
    await fetch(`${origin.url}/site/plain`, { method: 'PUT', body: '0123456789' });
    const got = await read('/site/plain?partNumber=1');
    expect([got.status, got.headers.get('content-range'), await got.text()]).toEqual([206, 'bytes 0-9/10', '0123456789']);
    expect(got.headers.has('x-amz-mp-parts-count')).toBe(false);
    expect((await read('/site/plain?partNumber=2')).status).toBe(416);
    await fetch(`${origin.url}/site/plain`, { method: 'PUT', body: '' });
    expect((await read('/site/plain?partNumber=1')).status).toBe(200);
  });

  test.each(['0', '10001', 'x', ''])('"%s" is refused', async (number) => {
    const refused = await read(`/site/plain?partNumber=${number}`);
    expect([refused.status, await errorCode(refused)]).toEqual([400, 'InvalidArgument']);
  });

  test('of an object in parts that was overwritten as a whole knows no parts any more', async () => {
    const upload = await UploadInParts.create(origin, '/site/overwritten');
    await upload.complete([await upload.part(1, 'first'), await upload.part(2, 'second')]);
    await fetch(`${origin.url}/site/overwritten`, { method: 'PUT', body: 'whole' });
    expect((await read('/site/overwritten?partNumber=2')).status).toBe(416);
    expect((await read('/site/overwritten')).headers.get('etag')).toBe(`"${md5('whole')}"`);
  });
});
