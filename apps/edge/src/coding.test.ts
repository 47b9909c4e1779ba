/** Content coding as visitors meet it: a real edge, real clients, an origin that a test holds in its hands. */
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib';
import { type Manifest, SluiceError } from '@sluice/contracts';
import { eventually, temporaryDirectory } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { Scene } from './scene.fixture.ts';

const TEXT = Array.from({ length: 400 }, (_, line) => `line ${(line * 7919) % 1000} of a text that compresses\n`).join('');
const DECODERS = { br: brotliDecompressSync, zstd: zstdDecompressSync, gzip: gunzipSync };
type Coding = keyof typeof DECODERS;
const CODINGS = Object.keys(DECODERS) as Coding[];

/** An answer with its body as it came over the wire. */
async function ask(scene: Scene, path: string, headers: Record<string, string> = {}, method = 'GET', host = '127.0.0.1') {
  return new Promise<{ status: number; headers: Record<string, string>; body: Buffer }>((resolve, reject) => {
    const sent = request(scene.url(path), { method, headers: { host, ...headers } }, async (response) => {
      const body = await buffer(response);
      resolve({ status: response.statusCode ?? 0, headers: response.headers as Record<string, string>, body });
    });
    sent.on('error', reject).end();
  });
}

function variantOf(manifest: Manifest, coding: string) {
  const { sha256, size } = manifest.variants?.find((variant) => variant.coding === coding) ?? expect.unreachable('it has no such variant');
  return { sha256, size, etag: `"${sha256}"` };
}

/** Resolves when the edge serves `key` in every coding. */
async function coded(scene: Scene, key: string): Promise<void> {
  await eventually(async () => {
    for (const coding of CODINGS) {
      expect((await ask(scene, key, { 'accept-encoding': coding })).headers['content-encoding']).toBe(coding);
    }
  });
}

async function codedScene(variables: Record<string, string> = {}) {
  const scene = await Scene.start(variables);
  const manifest = scene.origin.uploadCoded('site/a.txt', TEXT);
  await scene.pushStore(manifest);
  await coded(scene, 'site/a.txt');
  return { scene, manifest, [Symbol.asyncDispose]: () => scene[Symbol.asyncDispose]() };
}

describe('a visitor', () => {
  test('gets the coding asked for, each with validator, length and digest of its own, and HEAD says the same', async () => {
    await using it = await codedScene();
    for (const coding of CODINGS) {
      const variant = variantOf(it.manifest, coding);
      const got = await ask(it.scene, 'site/a.txt', { 'accept-encoding': `${coding};q=0.5` });
      expect(got.headers).toMatchObject({
        'content-encoding': coding,
        'content-length': String(variant.size),
        'content-type': 'text/plain',
        etag: variant.etag,
        vary: 'Accept-Encoding',
        'cache-status': 'us-1;hit',
        'repr-digest': `sha-256=:${createHash('sha256').update(got.body).digest('base64')}:`,
      });
      expect(DECODERS[coding](got.body).toString()).toBe(TEXT);
      const head = await ask(it.scene, 'site/a.txt', { 'accept-encoding': coding }, 'HEAD');
      const { date: _date, ...fields } = head.headers;
      expect(got.headers).toMatchObject(fields);
    }
    const plain = await ask(it.scene, 'site/a.txt');
    expect(plain.headers).toMatchObject({ etag: `"${it.manifest.sha256}"`, vary: 'Accept-Encoding' });
    expect(plain.headers).not.toHaveProperty('content-encoding');
    expect(plain.body.toString()).toBe(TEXT);
  });

  test('with fetch, or with curl --compressed, reads the content', async () => {
    await using it = await codedScene();
    for (const coding of CODINGS) {
      const response = await fetch(it.scene.url('site/a.txt'), { headers: { 'accept-encoding': coding } });
      expect(response.headers.get('content-encoding')).toBe(coding);
      expect(await response.text()).toBe(TEXT);
    }
    const compressed = ['-sS', '--compressed', '-w', '%header{content-encoding}', it.scene.url('site/a.txt')];
    const { stdout } = await promisify(execFile)('curl', compressed);
    expect(stdout).toMatch(/(br|zstd|gzip)$/);
    expect(stdout.replace(/(br|zstd|gzip)$/, '')).toBe(TEXT);
  });

  test('has conditions evaluated against the variant: 304 and 412 are for each alone', async () => {
    await using it = await codedScene();
    const [br, gzip] = [variantOf(it.manifest, 'br').etag, variantOf(it.manifest, 'gzip').etag];
    const status = async (coding: string, name: string, value: string) => {
      const { status: code, headers, body } = await ask(it.scene, 'site/a.txt', { 'accept-encoding': coding, [name]: value });
      expect(headers).toMatchObject({ vary: 'Accept-Encoding', etag: coding === 'br' ? br : gzip });
      if (code !== 200) expect(body).toHaveLength(0);
      return code;
    };
    expect(await status('br', 'if-none-match', br)).toBe(304);
    expect(await status('br', 'if-none-match', `W/${br}, ${gzip}`)).toBe(304);
    expect(await status('br', 'if-none-match', gzip)).toBe(200);
    expect(await status('gzip', 'if-none-match', gzip)).toBe(304);
    expect(await status('gzip', 'if-match', br)).toBe(412);
    expect(await status('gzip', 'if-match', gzip)).toBe(200);
    expect(await status('gzip, identity;q=0', 'if-none-match', `"${it.manifest.sha256}"`)).toBe(200);
    // What a visitor has of before there were variants has not changed.
    const before = await ask(it.scene, 'site/a.txt', { 'accept-encoding': 'gzip', 'if-none-match': `"${it.manifest.sha256}"` });
    expect(before).toMatchObject({ status: 304, headers: { vary: 'Accept-Encoding', etag: `"${it.manifest.sha256}"` } });
  });

  test('gets ranges of the coded bytes: joined they decode, and If-Range holds only for the same variant', async () => {
    await using it = await codedScene();
    for (const coding of CODINGS) {
      const { size, etag } = variantOf(it.manifest, coding);
      const half = Math.floor(size / 2);
      const parts = await Promise.all(
        [`bytes=0-${half - 1}`, `bytes=${half}-`].map((range) =>
          ask(it.scene, 'site/a.txt', { 'accept-encoding': coding, range, 'if-range': etag }),
        ),
      );
      for (const part of parts)
        expect(part).toMatchObject({ status: 206, headers: { etag, vary: 'Accept-Encoding', 'content-encoding': coding } });
      expect(parts[0]?.headers['content-range']).toBe(`bytes 0-${half - 1}/${size}`);
      expect(DECODERS[coding](Buffer.concat(parts.map(({ body }) => body))).toString()).toBe(TEXT);
      const otherwise = await ask(it.scene, 'site/a.txt', {
        'accept-encoding': `${coding}, identity;q=0`,
        range: 'bytes=0-1',
        'if-range': `"${it.manifest.sha256}"`,
      });
      expect(otherwise).toMatchObject({ status: 200, headers: { 'content-length': String(size) } });
      const beyond = await ask(it.scene, 'site/a.txt', { 'accept-encoding': coding, range: `bytes=${size}-` });
      expect(beyond).toMatchObject({ status: 416, headers: { 'content-range': `bytes */${size}`, vary: 'Accept-Encoding' } });
      // Several parts of a coded representation would be decoded as one: the whole instead.
      const several = await ask(it.scene, 'site/a.txt', { 'accept-encoding': coding, range: 'bytes=0-0,500-501' });
      expect(several).toMatchObject({ status: 200, headers: { 'content-encoding': coding } });
    }
  });

  test('of an object without variants gets it as it is, with no Vary', async () => {
    await using scene = await Scene.start();
    await scene.pushStore(scene.origin.upload('site/a.gz', Buffer.from('coded'), { contentEncoding: 'gzip' }));
    const got = await ask(scene, 'site/a.gz', { 'accept-encoding': 'br' });
    expect(got.headers).toMatchObject({ 'content-encoding': 'gzip', 'content-length': '5' });
    expect(got.headers).not.toHaveProperty('vary');
  });

  test('of what an edge may not keep gets it as it is', async () => {
    await using scene = await Scene.start();
    scene.origin.uploadCoded('site/secret.txt', TEXT, { cacheControl: 'no-store' });
    for (const _time of [1, 2]) {
      const got = await ask(scene, 'site/secret.txt', { 'accept-encoding': 'br' });
      expect(got.headers).not.toHaveProperty('content-encoding');
      expect(got.body.toString()).toBe(TEXT);
    }
  });
});

test('a site’s document for what is not there is negotiated too, without validators, and Vary names all that it depends on', async () => {
  await using dir = await temporaryDirectory();
  const file = join(dir.path, 'sites.yaml');
  const cors = 'cors: { origins: [https://a.org, https://b.org] }';
  await writeFile(file, `sites: [{ name: www, hosts: [www.example.com], bucket: site, notFound: 404.html, ${cors} }]`);
  await using scene = await Scene.start({ EDGE_SITES_FILE: file });
  await scene.pushStore(scene.origin.uploadCoded('site/404.html', TEXT, { contentType: 'text/html' }));
  await eventually(async () => {
    const headers = { 'accept-encoding': 'br', accept: 'text/html', origin: 'https://a.org' };
    const { status, headers: got, body } = await ask(scene, 'gone.html', headers, 'GET', 'www.example.com');
    expect(status).toBe(404);
    expect(got).toMatchObject({ 'content-encoding': 'br', 'content-length': String(body.byteLength), 'cache-control': 'no-store' });
    expect(got.vary).toBe('Accept-Encoding, Origin');
    expect(got).not.toHaveProperty('etag');
    expect(brotliDecompressSync(body).toString()).toBe(TEXT);
  });
});

describe('variants', () => {
  test('are brought after the object is confirmed and served; what is not there yet is not waited for', async () => {
    await using scene = await Scene.start();
    const manifest = scene.origin.uploadCoded('site/a.txt', TEXT);
    const gate = Promise.withResolvers<void>();
    let reads = 0;
    scene.origin.interfere = (what) => {
      if (what !== 'read') return;
      reads += 1;
      return reads === 1 ? undefined : gate.promise;
    };
    expect(await scene.pushStore(manifest)).toMatchObject({ ok: true, outcome: 'stored', bytes: manifest.size });
    const early = await ask(scene, 'site/a.txt', { 'accept-encoding': 'br' });
    expect(early).toMatchObject({ status: 200, headers: { vary: 'Accept-Encoding', 'cache-status': 'us-1;hit' } });
    expect(early.headers).not.toHaveProperty('content-encoding');
    gate.resolve();
    await coded(scene, 'site/a.txt');
    // Once each, however many ask.
    expect(scene.origin.counts.read).toBe(4);
  });

  test('announced for content that is held move alone', async () => {
    await using scene = await Scene.start();
    await scene.pushStore(scene.origin.upload('site/a.txt', Buffer.from(TEXT)));
    const { readBytes } = scene.origin.counts;
    const manifest = scene.origin.uploadCoded('site/a.txt', TEXT, { contentVersion: 101 });
    expect(await scene.pushStore(manifest, { kind: 'same' })).toEqual({ ok: true, outcome: 'stored', transfer: 'same', bytes: 0 });
    await coded(scene, 'site/a.txt');
    const moved = manifest.variants?.reduce((sum, { size }) => sum + size, 0) ?? 0;
    expect(scene.origin.counts.readBytes - readBytes).toBe(moved);
    // For a visitor it is still the version that was uploaded.
    expect((await ask(scene, 'site/a.txt')).headers['x-sluice-version']).toBe('101');
  });

  test('go with a purge, and an invalidation makes them stale with their object', async () => {
    await using it = await codedScene();
    await it.scene.invalidate({ key: 'site/a.txt' });
    const confirmed = await ask(it.scene, 'site/a.txt', { 'accept-encoding': 'br' });
    expect(confirmed.headers).toMatchObject({ 'content-encoding': 'br', 'cache-status': 'us-1;fwd=stale;fwd-status=304' });
    expect(await it.scene.metric('sluice_edge_blobs')).toBe(4);
    await it.scene.invalidate({ key: 'site/a.txt', mode: 'purge' });
    expect(await it.scene.metric('sluice_edge_blobs')).toBe(0);
    await it.scene.origin.stop();
    expect((await ask(it.scene, 'site/a.txt', { 'accept-encoding': 'br' })).status).toBe(504);
  });

  test('announced after an invalidation come with the origin’s word: the object is fresh', async () => {
    await using scene = await Scene.start();
    const { version } = scene.origin.upload('site/a.txt', Buffer.from(TEXT));
    await scene.pushStore(scene.origin.current.get('site/a.txt') as Manifest);
    await scene.invalidate({ key: 'site/a.txt' });
    await scene.pushStore(scene.origin.uploadCoded('site/a.txt', TEXT, { contentVersion: version }), { kind: 'same' });
    await coded(scene, 'site/a.txt');
    expect((await ask(scene, 'site/a.txt')).headers['cache-status']).toBe('us-1;hit');
    expect(scene.origin.counts.resolve).toBe(0);
  });

  test('announced for content that was purged bring nothing back; the next visitor does', async () => {
    await using scene = await Scene.start();
    const { version } = scene.origin.upload('site/a.txt', Buffer.from(TEXT));
    await scene.pushStore(scene.origin.current.get('site/a.txt') as Manifest);
    await scene.invalidate({ key: 'site/a.txt', mode: 'purge' });
    const { read } = scene.origin.counts;
    const announced = scene.origin.uploadCoded('site/a.txt', TEXT, { contentVersion: version });
    expect(await scene.pushStore(announced, { kind: 'same' })).toEqual({ ok: true, outcome: 'metadata', bytes: 0 });
    expect(await scene.metric('sluice_edge_pending_variants')).toBe(0);
    expect(scene.origin.counts.read).toBe(read);
    expect((await ask(scene, 'site/a.txt')).headers['cache-status']).toBe('us-1;fwd=miss;fwd-status=200;stored');
    await coded(scene, 'site/a.txt');
    // By hand it is pushed again with all that it has.
    await scene.invalidate({ key: 'site/a.txt', mode: 'purge' });
    expect(await scene.pushStore(announced, { kind: 'same' })).toMatchObject({ outcome: 'stored', bytes: announced.size });
  });

  test.each([['full'], ['same']])('announced (%s) for content that is known and has not come yet bring it', async (kind) => {
    await using scene = await Scene.start();
    scene.origin.interfere = (what) => {
      if (what === 'read') throw new SluiceError('BLOB_MISSING', 'not now');
    };
    const { version } = scene.origin.upload('site/a.txt', Buffer.from(TEXT));
    await scene.stopEdge();
    await scene.startEdge();
    // Catch-up knows it, and the refill has tried.
    await eventually(async () => expect(await scene.metric('sluice_edge_transfer_failures_total')).toBe(1));
    scene.origin.interfere = () => {};
    const announced = scene.origin.uploadCoded('site/a.txt', TEXT, { contentVersion: version });
    expect(await scene.pushStore(announced, { kind })).toEqual({ ok: true, outcome: 'stored', transfer: 'full', bytes: announced.size });
    await coded(scene, 'site/a.txt');
  });

  test('announced for content that was evicted bring it back only where the controller knows that it was never here', async () => {
    await using scene = await Scene.start({ EDGE_CAPACITY_BYTES: '30000' });
    const { version } = scene.origin.upload('site/a.txt', Buffer.from(TEXT));
    await scene.pushStore(scene.origin.current.get('site/a.txt') as Manifest);
    await scene.pushStore(scene.origin.upload('site/b', randomBytes(28_000)));
    const announce = () => scene.origin.uploadCoded('site/a.txt', TEXT, { contentVersion: version });
    expect(await scene.pushStore(announce(), { kind: 'same' })).toEqual({ ok: true, outcome: 'metadata', bytes: 0 });
    expect(await scene.pushStore(announce(), { kind: 'full' })).toMatchObject({ outcome: 'stored', transfer: 'full' });
  });

  test('that a confirmation tells of are no change: it is a 304, and they follow', async () => {
    await using scene = await Scene.start();
    const { version } = scene.origin.upload('site/a.txt', Buffer.from(TEXT));
    await scene.pushStore(scene.origin.current.get('site/a.txt') as Manifest);
    await scene.invalidate({ key: 'site/a.txt' });
    scene.origin.uploadCoded('site/a.txt', TEXT, { contentVersion: version });
    expect((await ask(scene, 'site/a.txt')).headers['cache-status']).toBe('us-1;fwd=stale;fwd-status=304');
    await coded(scene, 'site/a.txt');
  });

  test('that come after a purge are not kept', async () => {
    await using scene = await Scene.start();
    const manifest = scene.origin.uploadCoded('site/a.txt', TEXT);
    const gate = Promise.withResolvers<void>();
    let reads = 0;
    scene.origin.interfere = (what) => {
      if (what === 'read') reads += 1;
      return what === 'read' && reads > 1 ? gate.promise : undefined;
    };
    await scene.pushStore(manifest);
    await eventually(() => expect(reads).toBe(3));
    await scene.invalidate({ key: 'site/a.txt', mode: 'purge' });
    gate.resolve();
    await eventually(async () => expect(await scene.metric('sluice_edge_pending_variants')).toBe(0));
    expect(await scene.metric('sluice_edge_blobs')).toBe(0);
  });

  test('keep their content from being evicted: it is used as often as they are', async () => {
    const filler = randomBytes(TEXT.length / 2);
    await using it = await codedScene({ EDGE_CAPACITY_BYTES: String(2 * TEXT.length + filler.byteLength) });
    await it.scene.pushStore(it.scene.origin.upload('site/filler.bin', filler));
    for (let visit = 0; visit < 20; visit += 1) await ask(it.scene, 'site/a.txt', { 'accept-encoding': 'br' });
    // The variant's and the content's, told by the serving side.
    await eventually(async () => expect(await it.scene.metric('sluice_edge_counted_blobs')).toBeGreaterThanOrEqual(2));
    // Needs room that only the content or the filler, of which nobody has made use, can give.
    await it.scene.pushStore(it.scene.origin.upload('site/next.bin', randomBytes(TEXT.length)));
    expect((await ask(it.scene, 'site/a.txt')).headers['cache-status']).toBe('us-1;hit');
    expect((await ask(it.scene, 'site/filler.bin')).headers['cache-status']).toContain('fwd=miss');
  });

  test('of content that was replaced are the first to go', async () => {
    await using it = await codedScene({ EDGE_CAPACITY_BYTES: String(4 * TEXT.length) });
    const next = it.scene.origin.uploadCoded('site/a.txt', `${TEXT}and more`);
    await it.scene.pushStore(next);
    await coded(it.scene, 'site/a.txt');
    expect(await it.scene.metric('sluice_edge_blobs')).toBe(8);
    const coming = randomBytes(4 * TEXT.length - next.size - (next.variants ?? []).reduce((sum, { size }) => sum + size, 0));
    await it.scene.pushStore(it.scene.origin.upload('site/next.bin', coming));
    expect(await it.scene.metric('sluice_edge_blobs')).toBe(5);
    for (const coding of CODINGS) {
      expect((await ask(it.scene, 'site/a.txt', { 'accept-encoding': coding })).headers).toMatchObject({ 'content-encoding': coding });
    }
  });

  test('of another version are never served for this one', async () => {
    await using it = await codedScene();
    const next = it.scene.origin.uploadCoded('site/a.txt', `${TEXT}and more`);
    await it.scene.pushStore(next);
    const codings = new Set<string | undefined>();
    await eventually(async () => {
      const { headers, body } = await ask(it.scene, 'site/a.txt', { 'accept-encoding': 'br' });
      const text = headers['content-encoding'] === 'br' ? brotliDecompressSync(body) : body;
      expect.soft(text.toString()).toBe(`${TEXT}and more`);
      codings.add(headers['content-encoding']);
      expect(codings).toContain('br');
    });
  });

  test('that do not verify are not kept: visitors get the content as it is', async () => {
    await using scene = await Scene.start();
    const manifest = scene.origin.uploadCoded('site/a.txt', TEXT);
    scene.origin.distort = (bytes) => (bytes.byteLength === manifest.size ? bytes : Buffer.from(bytes).fill(0, 0, 1));
    await scene.pushStore(manifest);
    await eventually(async () => expect(await scene.metric('sluice_edge_transfer_failures_total')).toBeGreaterThan(0));
    await eventually(async () => expect(await scene.metric('sluice_edge_pending_variants')).toBe(0));
    expect(await scene.metric('sluice_edge_blobs')).toBe(1);
    const got = await ask(scene, 'site/a.txt', { 'accept-encoding': 'br' });
    expect(got.body.toString()).toBe(TEXT);
    expect(got.headers).not.toHaveProperty('content-encoding');
  });

  test('come back to an edge without its disk, behind the contents', async () => {
    await using it = await codedScene();
    await it.scene.wipeEdge();
    await it.scene.startEdge();
    await eventually(async () => expect(await it.scene.metric('sluice_edge_blobs')).toBe(4));
    await coded(it.scene, 'site/a.txt');
  });

  test('for which there is no room are left out until a visitor asks for one: then they take the place of what is worth less', async () => {
    const filler = randomBytes(2 * TEXT.length);
    // More than the share that background transfers may fill.
    const capacityBytes = filler.byteLength + TEXT.length + 100;
    await using scene = await Scene.start({ EDGE_CAPACITY_BYTES: String(capacityBytes) });
    await scene.pushStore(scene.origin.upload('site/filler.bin', filler));
    await scene.pushStore(scene.origin.uploadCoded('site/a.txt', TEXT));
    expect(await scene.metric('sluice_edge_blobs')).toBe(2);
    expect((await ask(scene, 'site/a.txt', { 'accept-encoding': 'br' })).headers).not.toHaveProperty('content-encoding');
    await eventually(async () => {
      expect((await ask(scene, 'site/a.txt', { 'accept-encoding': 'br' })).headers['content-encoding']).toBe('br');
    });
    expect(await scene.metric('sluice_edge_blobs')).toBe(2);
    expect(await scene.metric('sluice_edge_evicted_bytes')).toBe(filler.byteLength);
  });

  test('that do not fit beside their content are left out: neither pushes out the other', async () => {
    const content = randomBytes(60_000).toString('base64');
    await using scene = await Scene.start({ EDGE_CAPACITY_BYTES: String(1.5 * content.length), EDGE_MEMORY_BYTES: '0' });
    await scene.pushStore(scene.origin.uploadCoded('site/a.txt', content));
    const read = scene.origin.counts.readBytes;
    for (let visit = 0; visit < 3; visit += 1) {
      expect((await ask(scene, 'site/a.txt', { 'accept-encoding': 'br' })).headers['cache-status']).toBe('us-1;hit');
      await eventually(async () => expect(await scene.metric('sluice_edge_pending_variants')).toBe(0));
    }
    expect(scene.origin.counts.readBytes).toBe(read);
  });
});
