import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import { type Bus, Streams } from '@sluice/bus';
import {
  blockDigest,
  CONTENT_INVALIDATED,
  CONTENT_REJECTED,
  CONTENT_UPLOADED,
  decodeBlockDigests,
  ORIGIN_CHANGES,
  ORIGIN_FETCH,
  STREAMS,
} from '@sluice/contracts';
import { applyPatch } from '@sluice/delta';
import { eventually, silentLog, testBroker } from '@sluice/testkit';
import { expect, test } from 'vitest';
import type { OriginConfig } from './config.ts';
import { type OriginFixture, originFixture, sha256 } from './testing/origin.fixture.ts';

const timeoutMs = 5_000;

/** An origin, its broker, and a client of both. */
async function brokerFixture(config: Partial<OriginConfig> = {}) {
  const environment = await testBroker();
  const origin = await originFixture({ natsUrl: environment.url, config });
  const bus = await environment.connect();
  await ready(origin);
  return {
    ...{ environment, origin, bus, streams: new Streams(bus, silentLog) },
    put: (path: string, body: string | Buffer<ArrayBuffer>, headers: Record<string, string> = {}) =>
      fetch(`${origin.url}/${path}`, { method: 'PUT', body, headers }),
    resolve: (key: string, have: string[] = []) => bus.request(ORIGIN_FETCH, { op: 'resolve', key, have }, { timeoutMs }),
    read: (name: string, offset: number, length: number) =>
      bus.requestBytes(ORIGIN_FETCH, { op: 'read', sha256: name, offset, length }, { timeoutMs }),
    async [Symbol.asyncDispose]() {
      await origin[Symbol.asyncDispose]();
      await environment[Symbol.asyncDispose]();
    },
  };
}

async function ready(origin: OriginFixture): Promise<void> {
  await eventually(async () => expect((await fetch(`${origin.url}/readyz`)).status).toBe(200));
}

async function byHand(bus: Bus, subject: string, payload: string): Promise<void> {
  bus.connection.publish(subject, payload);
  await bus.flush();
}

test('an upload is announced with its manifest, a removal and an invalidation with their version', async () => {
  await using fixture = await brokerFixture();
  const { streams } = fixture;
  const stored = await fixture.put('site/a', 'hello', { 'x-amz-meta-regions': 'US' });
  const id = stored.headers.get('x-sluice-event-id') as string;
  const [uploaded] = await eventually(async () => {
    const events = await streams.recent(STREAMS.CONTENT, CONTENT_UPLOADED, 10);
    expect(events).toHaveLength(1);
    return events;
  });
  const version = Number(stored.headers.get('x-sluice-version'));
  expect(uploaded).toMatchObject({ id, key: 'site/a', version, manifest: { sha256: sha256('hello'), size: 5, regions: ['US'] } });
  await eventually(async () => expect(await fixture.origin.metric('sluice_origin_outbox_events')).toBe(0));
  expect(await fixture.resolve('site/a')).toMatchObject({ found: true, manifest: uploaded?.manifest, asOf: version });
  expect(Buffer.from(await fixture.read(sha256('hello'), 1, 3)).toString()).toBe('ell');
  const removed = await fetch(`${fixture.origin.url}/site/a`, { method: 'DELETE' });
  const removal = Number(removed.headers.get('x-sluice-version'));
  expect(await fixture.resolve('site/a')).toEqual({ ok: true, found: false, removed: { version: removal }, asOf: removal });
  expect(await fixture.resolve('site/never')).toEqual({ ok: true, found: false, asOf: removal });
});

test('the feed tells each region its part', async () => {
  await using fixture = await brokerFixture();
  await fixture.put('site/us', 'a', { 'x-amz-meta-regions': 'US' });
  await fixture.put('site/all', 'b');
  const ask = (region: string, since = 0, catalogId?: string) =>
    fixture.bus.request(ORIGIN_CHANGES, { region, since, ...(catalogId === undefined ? {} : { catalogId }) }, { timeoutMs });
  const us = await ask('US');
  expect(us.changes.map((change) => change.op === 'store' && change.manifest.key)).toEqual(['site/us', 'site/all']);
  expect(us).toMatchObject({ reset: false, done: true });
  expect((await ask('EU')).changes).toHaveLength(1);
  expect(await ask('US', us.next, us.catalogId)).toMatchObject({ changes: [], done: true, next: us.next });
});

test('a patch is offered to who holds the version before, made once, and gives the new bytes', async () => {
  await using fixture = await brokerFixture();
  const before = randomBytes(100_000);
  const after = Buffer.concat([before.subarray(0, 50_000), Buffer.from('changed'), before.subarray(50_000)]);
  await fixture.put('site/a', before);
  await fixture.put('site/a', after);
  expect(await fixture.resolve('site/a')).not.toHaveProperty('patch');
  const replies = await Promise.all(Array.from({ length: 10 }, () => fixture.resolve('site/a', [sha256(before)])));
  const [first] = replies;
  if (first?.found !== true || first.patch === undefined) throw new Error('no patch was offered');
  expect(replies.every((reply) => reply.found && reply.patch?.sha256 === first.patch?.sha256)).toBe(true);
  expect(first.patch).toMatchObject({ base: sha256(before), size: expect.any(Number) });
  expect(first.patch.size).toBeLessThan(1_000);
  const patch = await fixture.read(first.patch.sha256, 0, first.patch.size);
  expect((await applyPatch(before, patch, after.length)).equals(after)).toBe(true);
  expect(await fixture.origin.metric('sluice_origin_patches_total{outcome="worthwhile"}')).toBe(1);
  // Both versions and the patch go when the key moves on twice.
  await fixture.put('site/a', 'small 1');
  await fixture.put('site/a', 'small 2');
  await eventually(async () => expect(await fixture.origin.metric('sluice_origin_blobs')).toBe(2));
});

test('a patch that would save nothing is tried once and not offered', async () => {
  await using fixture = await brokerFixture();
  const before = randomBytes(50_000);
  await fixture.put('site/a', before);
  await fixture.put('site/a', randomBytes(50_000));
  for (let round = 0; round < 3; round += 1) expect(await fixture.resolve('site/a', [sha256(before)])).not.toHaveProperty('patch');
  expect(await fixture.origin.metric('sluice_origin_patches_total{outcome="not_worthwhile"}')).toBe(1);
});

test('reads of what is not there, and of more than a message holds, are refused with their code', async () => {
  await using fixture = await brokerFixture();
  await fixture.put('site/a', 'hello');
  await expect(fixture.read('f'.repeat(64), 0, 1)).rejects.toMatchObject({ code: 'BLOB_MISSING' });
  await expect(fixture.read(sha256('hello'), 0, 2 * 1024 * 1024)).rejects.toMatchObject({ code: 'INVALID_MESSAGE' });
  await expect(fixture.read(sha256('hello'), 6, 1)).rejects.toMatchObject({ code: 'INVALID_MESSAGE' });
  expect(await fixture.read(sha256('hello'), 3, 100)).toHaveLength(2);
});

test('messages by hand are answered with announcements of the origin, or rejected with the reason, and block nobody', async () => {
  await using fixture = await brokerFixture();
  const { bus, streams, origin } = fixture;
  const stored = await fixture.put('site/a', 'hello');
  const version = Number(stored.headers.get('x-sluice-version'));
  const bad = [
    ['content.uploaded', 'not json at all'],
    ['content.uploaded', '{"key":"site/unknown","id":"mine"}'],
    ['content.invalidated', '{"key":"site/unknown"}'],
    ['content.invalidated', '{"prefix":"a/","tag":"b"}'],
    ['content.removed', '{"key":"site/a"}'],
  ] as const;
  for (const [subject, payload] of bad) await byHand(bus, subject, payload);
  await byHand(bus, 'content.uploaded', '{"key":"site/a","id":"again"}');
  await byHand(bus, 'content.uploaded', '{"key":"site/forged","version":1}');
  await byHand(bus, 'content.invalidated', '{"prefix":"site/","mode":"purge"}');

  const rejected = await eventually(async () => {
    const events = await streams.recent(STREAMS.OUTCOMES, CONTENT_REJECTED, 100);
    expect(events).toHaveLength(bad.length);
    return events;
  });
  expect(rejected.map(({ subject, payload, by }) => [subject, payload, by]).sort()).toEqual(bad.map((pair) => [...pair, 'origin']).sort());
  expect(rejected.find(({ id }) => id === 'mine')?.reason).toContain('site/unknown');
  expect(rejected.find(({ payload }) => payload === 'not json at all')?.reason).toContain('not JSON');

  const announced = await eventually(async () => {
    const events = await streams.recent(STREAMS.CONTENT, CONTENT_UPLOADED, 100);
    const found = events.find(({ cause }) => cause === 'again');
    expect(found).toBeDefined();
    return found;
  });
  expect(announced).toMatchObject({
    id: expect.stringMatching(/^announce-/),
    key: 'site/a',
    version,
    manifest: { sha256: sha256('hello') },
  });
  const invalidated = await eventually(async () => {
    const events = await streams.recent(STREAMS.CONTENT, CONTENT_INVALIDATED, 100);
    const found = events.find((event) => event.version !== undefined);
    expect(found).toBeDefined();
    return found;
  });
  expect(invalidated).toMatchObject({ prefix: 'site/', mode: 'purge', cause: expect.stringMatching(/^content-/) });
  expect(invalidated?.version).toBeGreaterThan(version);
  expect(await origin.metric('sluice_origin_content_requests_total{outcome="announced"}')).toBe(2);
  // What the origin answered, it does not answer again.
  await origin.restart();
  await ready(origin);
  await byHand(bus, 'content.uploaded', '{"key":"site/a","id":"last"}');
  await eventually(async () => {
    const events = await streams.recent(STREAMS.CONTENT, CONTENT_UPLOADED, 100);
    expect(events.filter(({ cause }) => cause !== undefined).map(({ cause }) => cause)).toEqual(['again', 'last']);
  });
});

test('an upload succeeds while the broker is away, and its event comes when the broker does, also to one that lost its store', async () => {
  await using fixture = await brokerFixture();
  const { environment, origin, streams, bus } = fixture;
  await environment.broker.kill();
  await eventually(async () => expect((await fetch(`${origin.url}/readyz`)).status).toBe(503));
  const ids = await Promise.all([1, 2, 3].map(async (index) => (await fixture.put(`site/${index}`, 'x')).headers.get('x-sluice-event-id')));
  expect(await origin.metric('sluice_origin_outbox_events')).toBe(3);
  await rm(environment.broker.storeDir, { recursive: true, force: true });
  const reconnected = new Promise<void>((resolve) => bus.onReconnect(resolve));
  await environment.broker.start();
  await reconnected;
  await eventually(async () => {
    const events = await streams.recent(STREAMS.CONTENT, CONTENT_UPLOADED, 10);
    expect(events.map(({ id }) => id).sort()).toEqual([...ids].sort());
  });
  await ready(origin);
  await eventually(async () => expect(await origin.metric('sluice_origin_outbox_events')).toBe(0));
}, 30_000);

test('an event that was not announced before a restart is announced after it', async () => {
  await using environment = await testBroker();
  await environment.broker.stop();
  await using origin = await originFixture({ natsUrl: environment.url });
  await fetch(`${origin.url}/site/a`, { method: 'PUT', body: 'x' });
  await origin.restart();
  await environment.broker.start();
  const streams = new Streams(await environment.connect(), silentLog);
  await eventually(async () => expect(await streams.recent(STREAMS.CONTENT, CONTENT_UPLOADED, 10)).toHaveLength(1));
}, 30_000);

test('small content comes along with a resolve when it is asked for and nobody is likely to hold it', async () => {
  await using fixture = await brokerFixture();
  const ask = (key: string, more: object = {}) =>
    fixture.bus.request(ORIGIN_FETCH, { op: 'resolve', key, inlineMaxBytes: 100, ...more }, { timeoutMs });
  const hello = Buffer.from('hello').toString('base64');
  await fixture.put('site/a', 'hello');
  expect(await ask('site/a')).toMatchObject({ found: true, content: hello });
  expect(await ask('site/a', { inlineMaxBytes: 0 })).not.toHaveProperty('content');
  expect(await ask('site/a', { inlineMaxBytes: 4 })).not.toHaveProperty('content');
  expect(await ask('site/a', { have: [sha256('hello')] })).not.toHaveProperty('content');
  await fixture.put('site/a', 'hello');
  expect(await ask('site/a')).not.toHaveProperty('content');
  await fixture.put('site/b', 'shared');
  await fixture.put('site/c', 'shared');
  expect(await ask('site/c')).not.toHaveProperty('content');
});

test('variants are announced after the upload, are in the feed once, and are read like any other bytes', async () => {
  await using fixture = await brokerFixture();
  const text = 'a line of text that compresses well\n'.repeat(100);
  const stored = await fixture.put('site/a.txt', text);
  const version = Number(stored.headers.get('x-sluice-version'));
  const events = await eventually(async () => {
    const recent = await fixture.streams.recent(STREAMS.CONTENT, CONTENT_UPLOADED, 10);
    expect(recent).toHaveLength(2);
    return recent.sort((a, b) => (a.version ?? 0) - (b.version ?? 0));
  });
  expect(events[0]).toMatchObject({ id: stored.headers.get('x-sluice-event-id'), version });
  expect(events[0]?.manifest).not.toHaveProperty('variants');
  const announced = events[1]?.manifest;
  expect(announced).toEqual({ ...events[0]?.manifest, version: events[1]?.version, contentVersion: version, variants: expect.anything() });
  expect(events[1]).not.toHaveProperty('cause');

  const { changes } = await fixture.bus.request(ORIGIN_CHANGES, { region: 'US', since: 0 }, { timeoutMs });
  expect(changes).toEqual([{ op: 'store', manifest: announced }]);
  const resolved = await fixture.bus.request(ORIGIN_FETCH, { op: 'resolve', key: 'site/a.txt', inlineMaxBytes: 16_384 }, { timeoutMs });
  expect(resolved).toMatchObject({ manifest: announced });
  expect(resolved).not.toHaveProperty('content');
  const gzip = announced?.variants?.find(({ coding }) => coding === 'gzip');
  expect(gunzipSync(await fixture.read(gzip?.sha256 ?? '', 0, gzip?.size ?? 0)).toString()).toBe(text);

  // For who uploaded it, it is still that upload.
  const held = await fetch(`${fixture.origin.url}/site/a.txt`);
  expect(held.headers.get('x-sluice-version')).toBe(String(version));
  expect(held.headers.get('last-modified')).toBe(new Date(announced?.uploadedAt ?? 0).toUTCString());
  expect(held.headers.get('etag')).toBe(stored.headers.get('etag'));
  expect(await held.text()).toBe(text);
});

test('the digests of the blocks of a large upload are there soon after it, and go with it; a small one has none', async () => {
  await using fixture = await brokerFixture({ ORIGIN_VERSIONS_KEPT: 1 });
  const { bus, origin } = fixture;
  const content = randomBytes(10_000_001);
  const ask = (name: string) => bus.requestBytes(ORIGIN_FETCH, { op: 'blocks', sha256: name }, { timeoutMs });
  await fixture.put('site/film', content);
  await fixture.put('site/page', 'hello');
  await eventually(async () => expect(await origin.metric('sluice_origin_block_digests_total{outcome="made"}')).toBe(1));
  const blocks = decodeBlockDigests(await ask(sha256(content)), content.byteLength);
  expect(Buffer.from(blockDigest(blocks, 19)).toString('hex')).toBe(sha256(content.subarray(19 * blocks.blockBytes)));
  expect(await origin.metric('sluice_origin_fetches_total{outcome="blocks_ok"}')).toBe(1);
  await expect(ask(sha256('hello'))).rejects.toMatchObject({ code: 'NO_BLOCKS', retryable: false });
  await fetch(`${origin.url}/site/film`, { method: 'DELETE' });
  await eventually(async () => expect(await origin.metric('sluice_origin_blobs')).toBe(1));
  await expect(ask(sha256(content))).rejects.toMatchObject({ code: 'BLOB_MISSING' });
});
