/** An origin whose disk flips bits. */
import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { eventually, temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { errorCode, type OriginFixture, originFixture, sha256 } from './testing/origin.fixture.ts';

const SMALL = randomBytes(5_000);
const LARGE = randomBytes(900_000);
/** Gets variants. */
const TEXT = Buffer.from(Array.from({ length: 9_000 }, (_, at) => `line ${at} of a text\n`).join(''));
const [OFF, FAST] = [{ ORIGIN_SCRUB_BYTES_PER_SECOND: 0 }, { ORIGIN_SCRUB_BYTES_PER_SECOND: 500 * 1024 * 1024 }];

async function put(origin: OriginFixture, key: string, body: Buffer, headers: Record<string, string> = {}): Promise<void> {
  const answer = await fetch(`${origin.url}/${key}`, { method: 'PUT', body: new Uint8Array(body), headers });
  expect(answer.status).toBe(200);
}

/** Flips one bit of a blob on the disk, wherever it is. */
async function flipBit(dir: string, name: string, at: number): Promise<void> {
  const db = new DatabaseSync(join(dir, 'blobs', 'blobs.db'));
  const row = db.prepare('SELECT id, bytes FROM blobs JOIN bodies ON id = body WHERE sha256 = ?').get(name) as
    | { id: number; bytes: Uint8Array }
    | undefined;
  if (row !== undefined) {
    row.bytes[at] = (row.bytes[at] as number) ^ 16;
    db.prepare('UPDATE bodies SET bytes = ? WHERE id = ?').run(row.bytes, row.id);
  } else {
    const file = await open(join(dir, 'blobs', 'files', name.slice(0, 2), name), 'r+');
    const byte = Buffer.alloc(1);
    await file.read(byte, 0, 1, at);
    byte[0] = (byte[0] as number) ^ 16;
    await file.write(byte, 0, 1, at);
    await file.close();
  }
  db.close();
}

/** The variants of a content, as the catalog has them. */
function variantsOf(dir: string, content: string): { sha256: string; size: number }[] {
  const db = new DatabaseSync(join(dir, 'catalog.db'), { readOnly: true });
  const rows = db
    .prepare('SELECT variant_sha256 AS sha256, variant_size AS size FROM variants WHERE content = ? AND variant_sha256 IS NOT NULL')
    .all(content);
  db.close();
  return rows as { sha256: string; size: number }[];
}

const ready = async (origin: OriginFixture) => (await fetch(`${origin.url}/readyz`)).json() as Promise<{ warnings?: { blobs: string } }>;

test('damaged content that nothing can repair is answered with an error and never with wrong bytes, reported until it is uploaded again, also over restarts', async () => {
  await using origin = await originFixture({ config: OFF });
  for (const [key, content] of [
    ['site/small', SMALL],
    ['site/large', LARGE],
  ] as const) {
    await put(origin, key, content);
    await flipBit(origin.dir, sha256(content), 4_000);
    const answers = [await fetch(`${origin.url}/${key}`), await fetch(`${origin.url}/-/blobs/${sha256(content)}`)];
    for (const answer of answers) {
      expect(answer.status).toBe(500);
      expect(await errorCode(answer)).toBe('InternalError');
    }
    await eventually(async () => expect((await ready(origin)).warnings?.blobs).toContain('1 blob is damaged'));
    await origin.restart();
    expect((await fetch(`${origin.url}/${key}`)).status).toBe(500);
    expect((await ready(origin)).warnings?.blobs).toContain('1 blob is damaged');
    expect(await origin.metric('sluice_origin_damaged_blobs')).toBe(1);
    await put(origin, key, content);
    expect(Buffer.from(await (await fetch(`${origin.url}/${key}`)).arrayBuffer()).equals(content)).toBe(true);
    expect((await ready(origin)).warnings).toBeUndefined();
    expect(await origin.metric('sluice_origin_damaged_blobs')).toBe(0);
  }
});

test('a body that was begun when its damage is met is cut off', async () => {
  await using origin = await originFixture({ config: OFF });
  await put(origin, 'site/large', LARGE);
  await flipBit(origin.dir, sha256(LARGE), 880_000);
  await expect(fetch(`${origin.url}/site/large`).then((answer) => answer.arrayBuffer())).rejects.toThrow();
  await eventually(async () => expect((await fetch(`${origin.url}/site/large`)).status).toBe(500));
});

test('scrubbing finds what nobody asks for: content is had from a variant, a variant is made again, and the rest is reported', async () => {
  await using origin = await originFixture({ config: FAST });
  await put(origin, 'site/text', TEXT, { 'content-type': 'text/plain' });
  await put(origin, 'site/small', SMALL);
  await eventually(() => expect(variantsOf(origin.dir, sha256(TEXT)).length).toBeGreaterThan(0), 20_000);
  const variants = variantsOf(origin.dir, sha256(TEXT));
  await eventually(async () => expect(await origin.metric('sluice_origin_blobs')).toBe(2 + variants.length));
  await origin.restart({
    beforeStart: async () => {
      await flipBit(origin.dir, sha256(TEXT), 100);
      await flipBit(origin.dir, variants[0]?.sha256 as string, 10);
      await flipBit(origin.dir, sha256(SMALL), 10);
    },
  });
  await eventually(async () => expect(await origin.metric('sluice_origin_scrub_mismatches_total{outcome="unrepairable"}')).toBe(1), 20_000);
  await eventually(async () => {
    expect(Buffer.from(await (await fetch(`${origin.url}/site/text`)).arrayBuffer()).equals(TEXT)).toBe(true);
    for (const { sha256: name } of variants) {
      const bytes = Buffer.from(await (await fetch(`${origin.url}/-/blobs/${name}`)).arrayBuffer());
      expect(sha256(bytes)).toBe(name);
    }
  }, 30_000);
  expect((await fetch(`${origin.url}/site/small`)).status).toBe(500);
  expect((await ready(origin)).warnings?.blobs).toContain('1 blob is damaged');
  expect(await origin.metric('sluice_origin_scrubbed_bytes_total')).toBeGreaterThan(0);
  await eventually(async () => expect(await origin.metric('sluice_origin_scrub_age_seconds')).toBeGreaterThanOrEqual(0), 20_000);
}, 90_000);

test('content of a source that is damaged in the cache is read there again', async () => {
  await using source = await temporaryDirectory();
  await mkdir(join(source.path, 'a'));
  for (const [name, content] of [
    ['small', SMALL],
    ['large', LARGE],
  ] as const)
    await writeFile(join(source.path, 'a', name), content);
  await using origin = await originFixture({
    config: { ...OFF, ORIGIN_SOURCE: 'directory', ORIGIN_SOURCE_DIRECTORY: source.path, ORIGIN_SOURCE_BUCKET: 'site' },
  });
  for (const [name, content] of [
    ['small', SMALL],
    ['large', LARGE],
  ] as const) {
    const get = async () => Buffer.from(await (await fetch(`${origin.url}/site/a/${name}`)).arrayBuffer());
    await eventually(async () => expect((await get()).equals(content)).toBe(true), 20_000);
    await eventually(() => flipBit(origin.dir, sha256(content), 123));
    await eventually(async () => expect((await get()).equals(content)).toBe(true));
    expect((await ready(origin)).warnings).toBeUndefined();
  }
}, 60_000);

test.each([
  [
    'catalog.db',
    'is no database',
    (path: string) => writeFile(path, 'no database, and long enough for SQLite to look at it. '.repeat(300)),
  ],
  ['catalog.db', 'was cut off', (path: string) => truncate(path, 4096)],
  ['catalog.db', 'has noise behind its first page', (path: string) => noise(path)],
  [
    'blobs/blobs.db',
    'is no database',
    (path: string) => writeFile(path, 'no database, and long enough for SQLite to look at it. '.repeat(300)),
  ],
  ['blobs/blobs.db', 'has noise behind its first page', (path: string) => noise(path, 8192)],
])('an origin whose %s %s does not start, says what to do, and leaves it as it is', async (name, _what, damage) => {
  await using origin = await originFixture({ config: OFF });
  for (let at = 0; at < 50; at += 1) await put(origin, `site/${at}`, Buffer.from(`content ${at}`));
  const path = join(origin.dir, name);
  const beforeStart = async () => {
    await damage(path);
    bytes = await readFile(path);
  };
  let bytes = Buffer.alloc(0);
  await expect(origin.restart({ beforeStart })).rejects.toThrow(/is damaged .*: restore the whole directory from a backup/);
  expect((await readFile(path)).equals(bytes)).toBe(true);
  expect((await stat(join(origin.dir, 'blobs'))).isDirectory()).toBe(true);
});

async function noise(path: string, from = 4096): Promise<void> {
  const bytes = await readFile(path);
  randomBytes(bytes.byteLength - from).copy(bytes, from);
  await writeFile(path, bytes);
}
