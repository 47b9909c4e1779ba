import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { Operate } from '@sluice/blobs';
import { eventually } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { errorCode, originFixture } from '../../testing/origin.fixture.ts';

const noSpace = () => Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });

/** Fails every operation of one label. */
function failing(label: string, error: () => Error): Operate {
  return (name, operation) => {
    if (name === label) throw error();
    return operation();
  };
}
const LARGE = randomBytes(300_000);
const SMALL = Buffer.from('small');

describe('a failing disk', () => {
  test.each([
    ['BLOB_WRITE:CREATE', LARGE],
    ['BLOB_WRITE:WRITE', LARGE],
    ['BLOB_COMMIT:SYNC', LARGE],
    ['BLOB_COMMIT:RENAME', LARGE],
    ['BLOB_COMMIT:TRANSACTION', SMALL],
    ['BLOB_COMMIT:SYNC_LOG', SMALL],
    ['BLOB_COMMIT:SYNC_LOG', LARGE],
    ['CATALOG_COMMIT:TRANSACTION', SMALL],
    ['CATALOG_COMMIT:TRANSACTION', LARGE],
  ])('that is full at %s stores nothing, says so, and the upload works when there is space again', async (label, bytes) => {
    await using origin = await originFixture({ seams: { operate: failing(label, noSpace) } });
    const refused = await fetch(`${origin.url}/site/a`, { method: 'PUT', body: bytes });
    expect([refused.status, await errorCode(refused)]).toEqual([507, 'InsufficientStorage']);
    expect((await fetch(`${origin.url}/site/a`)).status).toBe(404);
    await eventually(async () => {
      expect(await origin.metric('sluice_origin_blobs')).toBe(0);
      expect(await readdir(join(origin.dir, 'blobs', 'incoming'))).toEqual([]);
    });
    expect(await origin.metric('sluice_origin_outbox_events')).toBe(0);
    await origin.restart();
    expect((await fetch(`${origin.url}/site/a`, { method: 'PUT', body: bytes })).status).toBe(200);
    expect(Buffer.from(await (await fetch(`${origin.url}/site/a`)).arrayBuffer()).equals(bytes)).toBe(true);
  });

  test('that fails otherwise is a failure inside, told without details', async () => {
    const broken = () => Object.assign(new Error('EIO: /var/lib/secret'), { code: 'EIO' });
    await using origin = await originFixture({ seams: { operate: failing('BLOB_COMMIT:TRANSACTION', broken) } });
    const refused = await fetch(`${origin.url}/site/a`, { method: 'PUT', body: SMALL });
    const text = await refused.text();
    expect(refused.status).toBe(500);
    expect(text).not.toContain('secret');
    expect(text).toContain(refused.headers.get('x-amz-request-id') ?? 'no id');
  });

  test('a death between the bytes and the catalog leaves only garbage, which the next start removes', async () => {
    const died = () => Object.assign(new Error('died'), { code: 'EIO' });
    // The removal fails too, as it would when nobody is left to do it.
    const operate: Operate = (label, operation) => {
      if (label === 'CATALOG_COMMIT:TRANSACTION' || label === 'BLOB_DELETE:ROW') throw died();
      return operation();
    };
    await using origin = await originFixture({ seams: { operate } });
    expect((await fetch(`${origin.url}/site/a`, { method: 'PUT', body: LARGE })).status).toBe(500);
    expect(await origin.metric('sluice_origin_blobs')).toBe(1);
    await origin.restart();
    await eventually(async () => expect(await origin.metric('sluice_origin_blobs')).toBe(0));
    expect((await fetch(`${origin.url}/site/a`)).status).toBe(404);
  });
});

test('what was answered 200 is there after a restart, with its version', async () => {
  await using origin = await originFixture();
  const stored = await fetch(`${origin.url}/site/a`, { method: 'PUT', body: LARGE });
  await origin.restart();
  const got = await fetch(`${origin.url}/site/a`);
  expect(got.headers.get('x-sluice-version')).toBe(stored.headers.get('x-sluice-version'));
  expect(Buffer.from(await got.arrayBuffer()).equals(LARGE)).toBe(true);
});

test('uploads that are under way when the end begins are finished', async () => {
  await using origin = await originFixture();
  let go: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  const body = Readable.from(
    (async function* () {
      yield Buffer.from('first half, ');
      await gate;
      yield Buffer.from('second half');
    })(),
  );
  const options = { method: 'PUT', body: Readable.toWeb(body), duplex: 'half' } as RequestInit;
  const answered = fetch(`${origin.url}/site/a`, options);
  await eventually(async () => expect(await origin.metric('sluice_origin_http_requests_total{class="2xx"}')).toBeGreaterThan(0));
  const restarted = origin.restart();
  go();
  expect((await answered).status).toBe(200);
  await restarted;
  expect(await (await fetch(`${origin.url}/site/a`)).text()).toBe('first half, second half');
});

test('a 300 MB upload takes no more memory than a small one', async () => {
  await using origin = await originFixture();
  const piece = randomBytes(1 << 20);
  const stored = await fetch(`${origin.url}/site/warm-up`, { method: 'PUT', body: piece });
  expect(stored.status).toBe(200);
  const beforeBytes = process.memoryUsage.rss();
  let highestBytes = 0;
  const pieces = (async function* () {
    for (let sent = 0; sent < 300; sent += 1) {
      highestBytes = Math.max(highestBytes, process.memoryUsage.rss());
      yield piece;
    }
  })();
  const body = Readable.toWeb(Readable.from(pieces, { objectMode: true, highWaterMark: 1 }));
  const answer = await fetch(`${origin.url}/site/large`, { method: 'PUT', body, duplex: 'half' } as RequestInit);
  expect(answer.status).toBe(200);
  expect(highestBytes - beforeBytes).toBeLessThan(100e6);
  const head = await fetch(`${origin.url}/site/large`, { method: 'HEAD' });
  expect(Number(head.headers.get('content-length'))).toBe(300 * (1 << 20));
}, 60_000);
