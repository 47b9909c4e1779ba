import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { type EdgeReport, type Manifest, SluiceError } from '@sluice/contracts';
import { eventually } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { Scene } from './scene.fixture.ts';
import { nextReport } from './scripted-origin.fixture.ts';

describe('edge', () => {
  test('what is pushed is confirmed and served from here, with its validators', async () => {
    await using scene = await Scene.start();
    const bytes = randomBytes(300_000);
    const manifest = scene.origin.upload('site/app.js', bytes, {
      contentType: 'text/javascript',
      cacheControl: 'max-age=9',
      meta: { a: 'b' },
    });
    expect(await scene.pushStore(manifest)).toEqual({ ok: true, outcome: 'stored', transfer: 'full', bytes: 300_000 });
    const response = await scene.get('site/app.js');
    expect(response.body.equals(bytes)).toBe(true);
    expect(response.cache).toBe('us-1;hit;ttl=9');
    expect(Object.fromEntries(response.headers)).toMatchObject({
      etag: `"${manifest.sha256}"`,
      age: '0',
      'cache-control': 'max-age=9',
      'content-type': 'text/javascript',
      'content-length': '300000',
      'accept-ranges': 'bytes',
      'x-amz-meta-a': 'b',
    });
    expect((await scene.get('site/app.js', { 'if-none-match': response.headers.get('etag') ?? '' })).status).toBe(304);
    const part = await scene.get('site/app.js', { range: 'bytes=100000-200000' });
    expect(part.status).toBe(206);
    expect(part.body.equals(bytes.subarray(100_000, 200_001))).toBe(true);
    const head = await fetch(scene.url('site/app.js'), { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length'), (await head.arrayBuffer()).byteLength]).toEqual([200, '300000', 0]);
    expect(scene.origin.counts.resolve).toBe(0);
  });

  test('several ranges come as one multipart body with exactly the bytes asked for, of objects in memory and in files', async () => {
    await using scene = await Scene.start();
    for (const size of [10_000, 500_000]) {
      const bytes = randomBytes(size);
      await scene.pushStore(scene.origin.upload('site/parts', bytes, { contentType: 'image/png' }));
      const got = await scene.get('site/parts', { range: `bytes=0-9,5000-5999,-7` });
      const type = got.headers.get('content-type') ?? '';
      const boundary = /^multipart\/byteranges; boundary=(\S+)$/.exec(type)?.[1];
      expect([got.status, got.headers.get('content-length')]).toEqual([206, String(got.body.byteLength)]);
      const part = (start: number, end: number) => [
        Buffer.from(`--${boundary}\r\nContent-Type: image/png\r\nContent-Range: bytes ${start}-${end}/${size}\r\n\r\n`),
        bytes.subarray(start, end + 1),
        Buffer.from('\r\n'),
      ];
      const expected = [...part(0, 9), ...part(5000, 5999), ...part(size - 7, size - 1), Buffer.from(`--${boundary}--\r\n`)];
      expect(got.body.equals(Buffer.concat(expected))).toBe(true);
    }
  });

  test.each([
    ['OPTIONS', 204],
    ['POST', 405],
    ['PUT', 405],
    ['DELETE', 405],
    ['PATCH', 405],
    ['TRACE', 405],
    ['PROPFIND', 405],
  ])('%s is answered %i with what is allowed (RFC 9110 §10.2.1)', async (method, status) => {
    await using scene = await Scene.start();
    const sent = request(scene.url('site/a'), { method }).end();
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    response.resume();
    expect([response.statusCode, response.headers.allow]).toEqual([status, 'GET, HEAD, OPTIONS']);
  });

  test('bytes that are held move for no other key, and not again for their own', async () => {
    await using scene = await Scene.start();
    const bytes = randomBytes(100_000);
    await scene.pushStore(scene.origin.upload('site/a', bytes));
    expect(await scene.pushStore(scene.origin.upload('site/a', bytes), { kind: 'same' })).toMatchObject({
      outcome: 'stored',
      transfer: 'same',
      bytes: 0,
    });
    expect(await scene.pushStore(scene.origin.upload('site/b', bytes))).toMatchObject({ outcome: 'stored', transfer: 'same', bytes: 0 });
    expect(scene.origin.counts.readBytes).toBe(100_000);
    expect((await scene.get('site/b')).body.equals(bytes)).toBe(true);
  });

  test('an older version than the one held is not taken, and the same one moves nothing', async () => {
    await using scene = await Scene.start();
    const [old, young] = [scene.origin.upload('site/a', Buffer.from('old')), scene.origin.upload('site/a', Buffer.from('young'))];
    await scene.pushStore(young);
    expect(await scene.pushStore(old)).toMatchObject({ outcome: 'current', bytes: 0 });
    expect(await scene.pushStore(young)).toMatchObject({ outcome: 'current', bytes: 0 });
    expect((await scene.get('site/a')).body.toString()).toBe('young');
  });

  const first = randomBytes(200_000);
  const second = Buffer.concat([first.subarray(0, 100_000), Buffer.from('an edit'), first.subarray(100_000)]);

  test('a new version of what is held comes as a patch', async () => {
    await using scene = await Scene.start();
    const base = scene.origin.upload('site/a', first);
    await scene.pushStore(base);
    const reply = await scene.pushStore(scene.origin.upload('site/a', second), { kind: 'delta', base: base.sha256 });
    expect(reply).toMatchObject({ outcome: 'stored', transfer: 'delta' });
    expect(reply.ok && reply.bytes).toBeLessThan(2_000);
    expect((await scene.get('site/a')).body.equals(second)).toBe(true);
  });

  test.each<[string, (scene: Scene, base: Manifest) => void]>([
    [
      'that decodes to other bytes',
      (scene) => (scene.origin.distort = (bytes) => (bytes.byteLength < 2_000 ? Buffer.from(bytes).fill(1, 20, 30) : bytes)),
    ],
    ['that cannot be had', (scene) => (scene.origin.distort = (bytes) => (bytes.byteLength < 2_000 ? bytes.subarray(1) : bytes))],
    ['whose base the origin has no more', (scene, base) => scene.origin.blobs.delete(base.sha256)],
  ])('a patch %s ends in the right bytes, taken whole', async (_how, disturb) => {
    await using scene = await Scene.start();
    const base = scene.origin.upload('site/a', first);
    await scene.pushStore(base);
    const manifest = scene.origin.upload('site/a', second);
    disturb(scene, base);
    expect(await scene.pushStore(manifest, { kind: 'delta', base: base.sha256 })).toMatchObject({
      outcome: 'stored',
      transfer: 'full',
      bytes: second.byteLength,
    });
    expect((await scene.get('site/a')).body.equals(second)).toBe(true);
  });

  test('a base this edge has lost, empty content and content that begins like a zstd dictionary end in the right bytes', async () => {
    await using scene = await Scene.start();
    const lost = scene.origin.upload('site/a', first);
    expect(await scene.pushStore(scene.origin.upload('site/a', second), { kind: 'delta', base: lost.sha256 })).toMatchObject({
      transfer: 'full',
    });
    const magic = Buffer.concat([Buffer.from([0x37, 0xa4, 0x30, 0xec]), first]);
    for (const bytes of [Buffer.alloc(0), magic, second, Buffer.alloc(0)]) {
      await scene.pushStore(scene.origin.upload('site/a', bytes), { kind: 'delta', base: lost.sha256 });
      expect((await scene.get('site/a')).body.equals(bytes)).toBe(true);
    }
  });

  test('bytes that are not the manifest’s are refused, never stored and never served', async () => {
    await using scene = await Scene.start();
    const manifest = scene.origin.upload('site/a', first);
    scene.origin.distort = (bytes) => Buffer.from(bytes).fill(0, 10, 20);
    await expect(scene.pushStore(manifest)).rejects.toMatchObject({ code: 'BLOB_MISMATCH' });
    expect((await scene.get('site/a')).status).toBe(502);
    scene.origin.distort = (bytes) => bytes;
    const response = await scene.get('site/a');
    expect([response.status, response.body.equals(first)]).toEqual([200, true]);
  });

  test('small content that comes along is stored without asking for it, and other bytes than the manifest’s are not taken', async () => {
    await using scene = await Scene.start();
    const bytes = randomBytes(10_000);
    const manifest = scene.origin.upload('site/a', bytes);
    const along = { kind: 'full', content: bytes.toString('base64') };
    expect(await scene.pushStore(manifest, along)).toMatchObject({ outcome: 'stored', transfer: 'full', bytes: 10_000 });
    expect(scene.origin.counts.read).toBe(0);
    expect((await scene.get('site/a')).body.equals(bytes)).toBe(true);
    const next = scene.origin.upload('site/b', randomBytes(10_000));
    expect(await scene.pushStore(next, along)).toMatchObject({ outcome: 'stored', bytes: 10_000 });
    expect(scene.origin.counts.read).toBe(1);
    expect((await scene.get('site/b')).headers.get('etag')).toBe(`"${next.sha256}"`);
  });

  test('a large object comes in one stream where the origin can be reached, and over the broker where not', async () => {
    const bytes = randomBytes(3_000_000);
    let answers = 0;
    const server = createServer((_request, response) => {
      answers += 1;
      response.writeHead(200, { 'content-length': bytes.byteLength }).end(bytes);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    await using scene = await Scene.start();
    scene.origin.blobsUrl = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
    await scene.stopEdge();
    await scene.startEdge();
    await scene.pushStore(scene.origin.upload('site/a', bytes));
    expect([answers, scene.origin.counts.read]).toEqual([1, 0]);
    expect((await scene.get('site/a')).body.equals(bytes)).toBe(true);
    server.closeAllConnections();
    server.close();
    const other = randomBytes(3_000_000);
    await scene.pushStore(scene.origin.upload('site/b', other));
    expect(scene.origin.counts.readBytes).toBe(3_000_000);
    expect((await scene.get('site/b')).body.equals(other)).toBe(true);
  });

  test('an invalidation fetches nothing; the next request asks once, however many ask, and the bytes stay', async () => {
    await using scene = await Scene.start();
    for (const name of ['a', 'b']) await scene.pushStore(scene.origin.upload(`site/${name}`, first, { tags: ['v1'] }));
    const before = { ...scene.origin.counts };
    for (const selector of [{ key: 'site/a' }, { prefix: 'site/' }, { tag: 'v1' }, { all: true }]) {
      expect(await scene.invalidate(selector)).toMatchObject({ outcome: 'invalidated' });
      expect(scene.origin.counts).toEqual(before);
      const responses = await Promise.all(Array.from({ length: 30 }, () => scene.get('site/a')));
      before.resolve += 1;
      expect(scene.origin.counts).toEqual(before);
      for (const { cache } of responses) expect(cache).toMatch(/^us-1;fwd=stale;fwd-status=304|^us-1;hit$/);
      expect((await scene.get('site/a')).cache).toBe('us-1;hit');
    }
    await scene.get('site/b');
    expect(scene.origin.counts).toEqual({ ...before, resolve: before.resolve + 1 });
  });

  test('a changed object is fetched when its stale copy is asked for', async () => {
    await using scene = await Scene.start();
    await scene.pushStore(scene.origin.upload('site/a', Buffer.from('one')));
    scene.origin.upload('site/a', Buffer.from('two'));
    expect((await scene.get('site/a')).body.toString()).toBe('one');
    await scene.invalidate({ key: 'site/a' });
    const response = await scene.get('site/a');
    expect([response.body.toString(), response.cache]).toEqual(['two', 'us-1;fwd=stale;fwd-status=200;stored']);
  });

  test('while the origin is away, stale is served and purged is not', async () => {
    await using scene = await Scene.start();
    for (const name of ['stale', 'purged', 'fresh']) await scene.pushStore(scene.origin.upload(`site/${name}`, Buffer.from(name)));
    await scene.invalidate({ key: 'site/stale' });
    await scene.invalidate({ key: 'site/purged', mode: 'purge' });
    await scene.origin.stop();
    const stale = await scene.get('site/stale');
    expect([stale.status, stale.body.toString(), stale.cache]).toEqual([200, 'stale', 'us-1;fwd=stale;detail=origin-away']);
    expect((await scene.get('site/purged')).status).toBe(504);
    expect((await scene.get('site/fresh')).cache).toBe('us-1;hit');
    expect((await scene.get('site/never-heard-of')).status).toBe(504);
    await scene.origin.start();
    await eventually(async () => expect((await scene.get('site/stale')).cache).toBe('us-1;fwd=stale;fwd-status=304'));
    expect((await scene.get('site/purged')).body.toString()).toBe('purged');
  });

  test('a purge drops the bytes, but not from under another key', async () => {
    await using scene = await Scene.start();
    for (const name of ['a', 'b']) await scene.pushStore(scene.origin.upload(`site/${name}`, first));
    await scene.invalidate({ key: 'site/a', mode: 'purge' });
    expect(await scene.metric('sluice_edge_blobs')).toBe(1);
    await scene.invalidate({ key: 'site/b', mode: 'purge' });
    expect(await scene.metric('sluice_edge_blobs')).toBe(0);
    expect((await scene.get('site/a')).body.equals(first)).toBe(true);
  });

  test.each(['no-store', 'private'])(
    'bytes that were kept go when they may not be any more (%s), but not from under another key',
    async (cacheControl) => {
      await using scene = await Scene.start();
      for (const key of ['site/a', 'site/b']) await scene.pushStore(scene.origin.upload(key, first));
      const unkept = (key: string) => scene.pushStore(scene.origin.upload(key, first, { cacheControl }), { kind: 'same' });
      await unkept('site/a');
      expect([await scene.metric('sluice_edge_blobs'), (await scene.get('site/b')).cache]).toEqual([1, 'us-1;hit']);
      await unkept('site/b');
      expect(await scene.metric('sluice_edge_blobs')).toBe(0);
      expect((await scene.get('site/b')).body.equals(first)).toBe(true);
      // And they stay when they may be kept again.
      await scene.pushStore(scene.origin.upload('site/a', first));
      await unkept('site/b');
      expect((await scene.get('site/a')).cache).toBe('us-1;hit');
    },
  );

  test('a 404 is remembered for a moment, and forgotten when an upload of the key arrives', async () => {
    await using scene = await Scene.start({ EDGE_NEGATIVE_TTL_MS: '60000' });
    expect((await scene.get('site/a')).status).toBe(404);
    expect((await scene.get('site/a')).cache).toBe('us-1;hit;detail=negative');
    expect(scene.origin.counts.resolve).toBe(1);
    await scene.pushStore(scene.origin.upload('site/a', Buffer.from('here')));
    expect((await scene.get('site/a')).body.toString()).toBe('here');
  });

  test('an object of other regions is pulled on demand and confirmed at each use', async () => {
    await using scene = await Scene.start();
    scene.origin.upload('site/a', first, { regions: ['EU'] });
    expect((await scene.get('site/a')).cache).toBe('us-1;fwd=uri-miss;fwd-status=200;stored');
    expect((await scene.get('site/a')).cache).toBe('us-1;fwd=stale;fwd-status=304');
    scene.origin.upload('site/a', second, { regions: ['EU'] });
    expect((await scene.get('site/a')).body.equals(second)).toBe(true);
  });

  test('a removed key is gone, and a late push does not bring it back', async () => {
    await using scene = await Scene.start();
    const manifest = scene.origin.upload('site/a', first);
    await scene.pushStore(manifest);
    scene.origin.current.delete('site/a');
    scene.origin.version += 1;
    expect(await scene.push({ op: 'remove', key: 'site/a', version: scene.origin.version, reason: 'deleted' })).toMatchObject({
      outcome: 'removed',
    });
    expect(await scene.pushStore(manifest)).toMatchObject({ outcome: 'current' });
    expect((await scene.get('site/a')).status).toBe(404);
  });

  test('a restart keeps the cache warm', async () => {
    await using scene = await Scene.start();
    await scene.pushStore(scene.origin.upload('site/small', Buffer.from('small')));
    await scene.pushStore(scene.origin.upload('site/large', first));
    await scene.stopEdge();
    const before = { ...scene.origin.counts };
    await scene.startEdge();
    expect((await scene.get('site/small')).cache).toBe('us-1;hit');
    expect((await scene.get('site/large')).body.equals(first)).toBe(true);
    expect(scene.origin.counts).toEqual({ ...before, changes: before.changes + 1 });
  });

  test('an edge without its disk catches up, answers everything at once and refills', async () => {
    await using scene = await Scene.start();
    for (let number = 0; number < 50; number++) scene.origin.upload(`site/${number}`, randomBytes(10_000));
    await scene.wipeEdge();
    await scene.startEdge();
    expect((await scene.get('site/7')).status).toBe(200);
    await eventually(async () => expect(await scene.metric('sluice_edge_blobs')).toBe(50));
    const asked = { ...scene.origin.counts };
    for (let number = 0; number < 50; number++) expect((await scene.get(`site/${number}`)).cache).toBe('us-1;hit');
    expect(scene.origin.counts).toEqual(asked);
  });

  test('another catalog is listed anew, and what it does not name is forgotten', async () => {
    await using scene = await Scene.start();
    await scene.pushStore(scene.origin.upload('site/gone', first));
    await scene.stopEdge();
    scene.origin.catalogId = 'catalog-2';
    scene.origin.changes.length = 0;
    scene.origin.current.clear();
    scene.origin.upload('site/new', second);
    await scene.startEdge();
    expect([(await scene.get('site/gone')).status, (await scene.get('site/new')).status]).toEqual([404, 200]);
  });

  test('the disk stays within its capacity under ten times as much, and everything is still answered', async () => {
    const capacity = 2_000_000;
    await using scene = await Scene.start({ EDGE_CAPACITY_BYTES: String(capacity) });
    const contents = Array.from({ length: 200 }, () => randomBytes(100_000));
    for (const [number, bytes] of contents.entries()) {
      await scene.pushStore(scene.origin.upload(`site/${number}`, bytes));
      expect(await scene.metric('sluice_edge_blob_bytes')).toBeLessThanOrEqual(capacity);
    }
    for (const [number, bytes] of contents.entries()) {
      expect((await scene.get(`site/${number}`)).body.equals(bytes)).toBe(true);
      expect(await scene.metric('sluice_edge_blob_bytes')).toBeLessThanOrEqual(capacity);
    }
  });

  test('an object larger than the capacity is known, not kept, and still served whole', async () => {
    await using scene = await Scene.start({ EDGE_CAPACITY_BYTES: '100000' });
    expect(await scene.pushStore(scene.origin.upload('site/a', first))).toMatchObject({ outcome: 'metadata', bytes: 0 });
    expect((await scene.get('site/a')).body.equals(first)).toBe(true);
    expect(await scene.metric('sluice_edge_blobs')).toBe(0);
  });

  test('what is asked for often outlives what was asked for once', async () => {
    await using scene = await Scene.start({ EDGE_CAPACITY_BYTES: '1000000' });
    const popular = scene.origin.upload('site/popular', randomBytes(100_000));
    await scene.pushStore(popular);
    for (let count = 0; count < 20; count++) await scene.get('site/popular');
    for (let number = 0; number < 30; number++) await scene.pushStore(scene.origin.upload(`site/${number}`, randomBytes(100_000)));
    expect((await scene.get('site/popular')).cache).toBe('us-1;hit');
  });

  test('an origin that has fallen behind does not take the edge back', async () => {
    await using scene = await Scene.start();
    const old = scene.origin.upload('site/a', Buffer.from('old'));
    await scene.pushStore(scene.origin.upload('site/a', Buffer.from('young')));
    scene.origin.current.set('site/a', old);
    await scene.invalidate({ all: true });
    const response = await scene.get('site/a');
    expect([response.body.toString(), response.cache]).toEqual(['young', 'us-1;fwd=stale;detail=origin-behind']);
  });

  test('an origin that hangs holds up a visitor who can be served otherwise for seconds, not for ever', async () => {
    await using scene = await Scene.start();
    await scene.pushStore(scene.origin.upload('site/a', first));
    await scene.invalidate({ key: 'site/a' });
    scene.origin.interfere = () => new Promise(() => {});
    expect((await scene.get('site/a')).status).toBe(200);
    const startedAt = performance.now();
    expect((await scene.get('site/a')).cache).toBe('us-1;fwd=stale;detail=origin-away');
    expect(performance.now() - startedAt).toBeLessThan(1_000);
  }, 20_000);

  test('a large object comes in a few ranges at a time', async () => {
    await using scene = await Scene.start();
    const bytes = randomBytes(12_000_000);
    let reading = 0;
    let most = 0;
    scene.origin.interfere = async (what) => {
      if (what !== 'read') return;
      reading += 1;
      most = Math.max(most, reading);
      await new Promise((resolve) => setImmediate(resolve));
      reading -= 1;
    };
    await scene.pushStore(scene.origin.upload('site/a', bytes));
    expect(scene.origin.counts.read).toBeGreaterThan(8);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(4);
    expect((await scene.get('site/a')).body.equals(bytes)).toBe(true);
  });

  test.each([
    [100_000, '0'],
    [100_000, '2'],
    [2_000_000, '2'],
  ])(
    'a file that was taken away behind the edge’s back is brought again for its first visitor: %i bytes, %s threads',
    async (size, threads) => {
      await using scene = await Scene.start({ EDGE_SERVING_THREADS: threads });
      const bytes = randomBytes(size);
      const { sha256 } = scene.origin.upload('site/a', bytes);
      await scene.pushStore(scene.origin.current.get('site/a') as Manifest);
      await rm(join(scene.dir, 'blobs', 'files', sha256.slice(0, 2), sha256));
      const response = await scene.get('site/a');
      expect([response.status, response.body.equals(bytes), response.cache]).toEqual([200, true, 'us-1;fwd=miss;fwd-status=200;stored']);
    },
  );

  test('bytes that vanish at the origin again and again are asked for three times, not for ever', async () => {
    await using scene = await Scene.start();
    const manifest = scene.origin.upload('site/a', first);
    scene.origin.blobs.delete(manifest.sha256);
    expect((await scene.get('site/a')).status).toBe(502);
    expect(scene.origin.counts.resolve).toBe(3);
  });

  test('a visitor who joins a pull does not get what was purged while it ran', async () => {
    await using scene = await Scene.start();
    const old = scene.origin.upload('site/a', first);
    const gate = Promise.withResolvers<void>();
    const reading = Promise.withResolvers<void>();
    scene.origin.interfere = (what) => {
      if (what !== 'read') return;
      reading.resolve();
      return gate.promise;
    };
    const slow = scene.get('site/a');
    await reading.promise;
    const young = scene.origin.upload('site/a', second);
    await scene.invalidate({ key: 'site/a', mode: 'purge' });
    const late = scene.get('site/a');
    gate.resolve();
    for (const response of await Promise.all([slow, late])) {
      expect(response.headers.get('etag')).toBe(`"${young.sha256}"`);
      expect(response.headers.get('etag')).not.toBe(`"${old.sha256}"`);
    }
  });

  test('a push that overtakes a pull wins for the visitors of both', async () => {
    await using scene = await Scene.start();
    await scene.pushStore(scene.origin.upload('site/a', Buffer.from('one')));
    const old = scene.origin.current.get('site/a') as Manifest;
    const young = scene.origin.upload('site/a', Buffer.from('two'));
    scene.origin.current.set('site/a', old);
    await scene.invalidate({ key: 'site/a' });
    scene.origin.interfere = async (what) => {
      if (what === 'resolve') await scene.pushStore(young);
    };
    const response = await scene.get('site/a');
    expect([response.status, response.body.toString()]).toEqual([200, 'two']);
  });

  test('a failure that passes is retried within the request', async () => {
    await using scene = await Scene.start();
    scene.origin.upload('site/a', first);
    let failures = 2;
    scene.origin.interfere = () => {
      if (failures-- > 0) throw new SluiceError('BUSY', 'later', { retryable: true });
    };
    expect((await scene.get('site/a')).status).toBe(200);
  });

  test('an edge that is stopped says goodbye', async () => {
    await using scene = await Scene.start();
    const goodbye: Promise<EdgeReport> = nextReport(scene.bus, 'us-1', ({ draining }) => draining);
    await scene.bus.flush();
    await scene.stopEdge();
    expect((await goodbye).id).toBe('us-1');
  });

  test('a download that runs when the edge is stopped is completed', async () => {
    await using scene = await Scene.start();
    const bytes = randomBytes(20_000_000);
    await scene.pushStore(scene.origin.upload('site/a', bytes));
    const download = new Promise<Buffer>((resolve, reject) => {
      request(scene.url('site/a'), (response) => {
        const chunks: Buffer[] = [];
        response.once('data', () => void scene.stopEdge());
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => resolve(Buffer.concat(chunks)));
        response.on('error', reject);
      }).end();
    });
    expect((await download).equals(bytes)).toBe(true);
  });

  test.each([
    ['POST', 'site/a', 405],
    ['GET', 'site', 400],
    ['GET', 'site/%zz', 400],
    ['GET', 'healthz', 200],
  ])('%s /%s → %i', async (method, path, status) => {
    await using scene = await Scene.start();
    expect((await fetch(scene.url(path), { method })).status).toBe(status);
  });
});
