/** What clients and edges get of content that is at a source. */
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Registry } from '@sluice/runtime';
import { eventually } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { toS3Error } from '../../domain/s3-error.ts';
import { targetPath, targetQuery } from '../../domain/s3-resource.ts';
import { catalogFixture, fields } from '../../testing/catalog.fixture.ts';
import { contentOf } from '../../testing/scripted-source.fixture.ts';
import { sourcedFixture } from '../../testing/sourced-blobs.fixture.ts';
import { OpenBlobs } from '../blobs/open-blobs.ts';
import { RangeCache } from '../blobs/range-cache.ts';
import { createOriginMetrics } from '../metrics.ts';
import { Exchange } from './exchange.ts';
import { BLOBS_PATH, getBlob } from './get-blob.ts';
import { getObject } from './get-object.ts';

const MIB = 1024 * 1024;
const CACHE = 8 * MIB;
const SIZES = [10, 500_000, CACHE / 4 + 1];

/** Objects of a scripted source over real HTTP; `range` is what edges read over the broker. */
async function served() {
  const fixture = await sourcedFixture({ maxBytes: CACHE });
  const catalog = await catalogFixture();
  const metrics = createOriginMetrics(new Registry());
  const server = createServer((request, response) => {
    const exchange = new Exchange(request, response, false);
    const path = targetPath(exchange.target);
    const parts = { blobs: fixture.blobs, catalog: catalog.catalog, metrics };
    const answering = path.startsWith(BLOBS_PATH)
      ? getBlob(exchange, path, parts)
      : getObject(exchange, path.slice(1), targetQuery(exchange.target), parts);
    answering.catch((error: unknown) => exchange.refuse(toS3Error(error)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const open = new OpenBlobs(fixture.blobs, fixture.clock);
  const ranges = new RangeCache((sha256, offset, length) => open.read(sha256, offset, length));
  return {
    ...{ fixture, ranges },
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async add(key: string, bytes: Uint8Array): Promise<string> {
      const sha256 = fixture.add(key, bytes);
      const etag = createHash('md5').update(bytes).digest('hex');
      await catalog.catalog.put(key, { ...fields(), cacheControl: 'max-age=1000' }, { sha256, size: bytes.byteLength, etag });
      return sha256;
    },
    async [Symbol.asyncDispose]() {
      open.close();
      server.closeAllConnections();
      server.close();
      await catalog[Symbol.asyncDispose]();
      await fixture[Symbol.asyncDispose]();
    },
  };
}

test.each(SIZES)('an object of %i bytes is sent whole and by range, to S3 clients and to edges', async (size) => {
  await using origin = await served();
  const bytes = randomBytes(size);
  const name = await origin.add('site/a', bytes);
  const range = (await fetch(`${origin.url}/site/a`, { headers: { range: 'bytes=3-7' } })).arrayBuffer();
  expect(Buffer.from(await range).equals(bytes.subarray(3, 8))).toBe(true);
  for (const path of ['/site/a', `/-/blobs/${name}`]) {
    const answer = await fetch(origin.url + path);
    expect([answer.status, answer.headers.get('content-length')]).toEqual([200, String(size)]);
    expect(Buffer.from(await answer.arrayBuffer()).equals(bytes)).toBe(true);
  }
  expect(Buffer.from(await origin.ranges.read(name, 2, MIB)).equals(bytes.subarray(2, 2 + MIB))).toBe(true);
});

test('HEAD and what has not changed cost the source nothing', async () => {
  await using origin = await served();
  const name = await origin.add('site/a', randomBytes(100_000));
  const head = await fetch(`${origin.url}/site/a`, { method: 'HEAD' });
  expect(head.headers.get('content-length')).toBe('100000');
  const etag = head.headers.get('etag') ?? '';
  const unchanged = await fetch(`${origin.url}/site/a`, { headers: { 'if-none-match': etag } });
  expect([unchanged.status, unchanged.headers.get('cache-control')]).toEqual([304, 'max-age=1000']);
  await fetch(`${origin.url}/-/blobs/${name}`, { method: 'HEAD' });
  expect(origin.fixture.source.reads).toEqual([]);
});

test.each(SIZES)('while the source is away a GET of %i bytes is a 503 that nobody keeps', async (size) => {
  await using origin = await served();
  const name = await origin.add('site/a', randomBytes(size));
  origin.fixture.source.isAway = true;
  for (const path of ['/site/a', `/-/blobs/${name}`]) {
    const answer = await fetch(origin.url + path);
    expect([answer.status, answer.headers.get('cache-control'), answer.headers.get('content-type')]).toEqual([
      503,
      null,
      'application/xml',
    ]);
    expect(await answer.text()).toContain('<Code>ServiceUnavailable</Code>');
  }
});

test.each(SIZES.slice(1))('when the bytes of an object of %i turn out to be others the connection is cut before the end', async (size) => {
  await using origin = await served();
  const bytes = randomBytes(size);
  const name = await origin.add('site/a', bytes);
  bytes.writeUInt8((bytes.readUInt8(size - 1) + 1) % 256, size - 1);
  origin.fixture.source.corrupt('site/a', contentOf(bytes));
  for (const path of ['/site/a', `/-/blobs/${name}`]) {
    // Not before the first bytes are there is it answered; they may come beside the refusal of the rest.
    const whole = fetch(origin.url + path).then(async (answer) =>
      answer.status === 503 ? Promise.reject(new Error('503')) : answer.arrayBuffer(),
    );
    await expect(whole).rejects.toThrow();
    origin.fixture.clock.advance(1_000);
  }
  expect(origin.fixture.gone).toEqual(['site/a', 'site/a']);
});

test('a client that leaves in the middle of a large object leaves nothing open at the source', async () => {
  await using origin = await served();
  await origin.add('site/a', randomBytes(CACHE / 4 + 1));
  const held = Promise.withResolvers<void>();
  origin.fixture.source.onChunk = (_, at) => (at >= MIB ? held.promise : undefined);
  const leave = new AbortController();
  const answer = await fetch(`${origin.url}/site/a`, { signal: leave.signal });
  await answer.body?.getReader().read();
  leave.abort();
  held.resolve();
  await eventually(() => expect(origin.fixture.source.openings.size).toBe(0));
});
