/** An edge whose databases are damaged on the disk: while it is away, and while it runs. */
import { randomBytes } from 'node:crypto';
import { open, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { eventually } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';
import { Scene } from './scene.fixture.ts';

const PAGE = 4096;
const KEYS = Array.from({ length: 60 }, (_, at) => `site/page-${String(at).padStart(3, '0')}`);
const FROM_DISK = { EDGE_MEMORY_BYTES: '0' };

const WAYS: readonly (readonly [way: string, damage: (path: string) => Promise<void>])[] = [
  ['is no database', (path) => writeFile(path, 'no database, and long enough for SQLite to look at it. '.repeat(300))],
  ['is empty but for its first page', (path) => truncate(path, PAGE)],
  ['was cut off in the middle', async (path) => truncate(path, Math.floor((await readFile(path)).byteLength / 2 / PAGE) * PAGE)],
  ['has noise in all of its pages but the first', (path) => overwrite(path, PAGE)],
];

async function overwrite(path: string, from: number): Promise<void> {
  const bytes = await readFile(path);
  randomBytes(bytes.byteLength - from).copy(bytes, from);
  await writeFile(path, bytes);
}

async function filled(variables: Record<string, string> = {}): Promise<Scene> {
  const scene = await Scene.start({ ...FROM_DISK, ...variables });
  for (const key of KEYS) await scene.pushStore(scene.origin.upload(key, Buffer.from(`first ${key}`), { tags: ['all'] }));
  return scene;
}

/** All of the log is in the file, so that damage to the file is damage to what is read. */
function checkpoint(path: string): void {
  const db = new DatabaseSync(path);
  db.exec('PRAGMA busy_timeout = 5000; PRAGMA wal_checkpoint(TRUNCATE)');
  db.close();
}

describe.each(['index.db', 'blobs/blobs.db'])('%s', (name) => {
  test.each(WAYS)('one that %s is begun anew at the start, and everything is there again', async (_way, damage) => {
    await using scene = await filled();
    scene.origin.upload(KEYS[0] as string, Buffer.from('second'));
    await scene.stopEdge();
    checkpoint(join(scene.dir, name));
    await damage(join(scene.dir, name));
    await scene.startEdge();
    await eventually(async () => expect(await scene.metric('sluice_edge_blobs')).toBeGreaterThanOrEqual(KEYS.length));
    for (const key of KEYS) {
      const answer = await scene.get(key);
      expect([answer.status, answer.body.toString()]).toEqual([200, key === KEYS[0] ? 'second' : `first ${key}`]);
      expect(answer.cache).toContain('hit');
    }
    expect(await scene.metric('sluice_edge_databases_replaced_total')).toBe(1);
    expect(scene.failures.map(([, message]) => message)).toContain(
      'a database is damaged: it is given up, and what was in it is brought from the origin again',
    );
  });

  for (const threads of ['0', '2']) {
    test(`${threads} threads: one that becomes noise while the edge runs is begun anew, and nobody is served anything wrong`, async () => {
      await using scene = await filled({ EDGE_SERVING_THREADS: threads });
      checkpoint(join(scene.dir, name));
      await overwrite(join(scene.dir, name), PAGE);
      // Nothing of it is left in the memory of a connection once it has been written by another one.
      touch(join(scene.dir, name));
      await eventually(async () => {
        for (const key of KEYS) {
          const { status, body } = await scene.get(key);
          if (status === 200) expect(body.toString()).toBe(`first ${key}`);
          else expect(status).toBe(502);
        }
        expect(await scene.metric('sluice_edge_databases_replaced_total')).toBeGreaterThan(0);
        expect(await scene.metric('sluice_edge_objects')).toBe(KEYS.length);
      }, 20_000);
      await eventually(async () => {
        for (const key of KEYS) expect((await scene.get(key)).cache).toContain('hit');
      }, 20_000);
      await scene.pushStore(scene.origin.upload('site/new', Buffer.from('new')));
      expect((await scene.get('site/new')).body.toString()).toBe('new');
    }, 60_000);
  }
});

/** Makes every connection forget the pages that it has in memory: the counter of changes in the header is another one. */
function touch(path: string): void {
  const db = new DatabaseSync(path);
  try {
    db.exec('PRAGMA busy_timeout = 5000; PRAGMA user_version = 7');
  } catch {
    // As damaged as it is to be.
  }
  db.close();
}

test('a flipped bit in an entry of the index is noticed although SQLite does not, and nothing of that entry is served', async () => {
  await using scene = await filled();
  const path = join(scene.dir, 'index.db');
  await scene.stopEdge();
  checkpoint(path);
  const bytes = await readFile(path);
  const manifest = scene.origin.current.get(KEYS[7] as string);
  const text = `"uploadedAt":"${manifest?.uploadedAt}"`;
  const file = await open(path, 'r+');
  let flipped = 0;
  // Wherever a page may still have it.
  for (let at = bytes.indexOf(text); at !== -1; at = bytes.indexOf(text, at + 1)) {
    await file.write(Buffer.of((bytes[at + text.length - 6] as number) ^ 1), 0, 1, at + text.length - 6);
    flipped += 1;
  }
  await file.close();
  expect(flipped).toBeGreaterThan(0);
  await scene.startEdge();
  await eventually(async () => {
    const answer = await scene.get(KEYS[7] as string);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('last-modified')).toBe(new Date(manifest?.uploadedAt as string).toUTCString());
    expect(answer.cache).toContain('hit');
  });
  await eventually(async () => expect(await scene.metric('sluice_edge_databases_replaced_total')).toBe(1));
});

test('until an index that was begun anew has caught up, the origin is asked before anything is served, and an old version that comes late is not', async () => {
  await using scene = await filled();
  const path = join(scene.dir, 'index.db');
  const old = scene.origin.current.get(KEYS[0] as string);
  await scene.pushStore(scene.origin.upload(KEYS[0] as string, Buffer.from('second')));
  await scene.stopEdge();
  await writeFile(path, 'no database, and long enough for SQLite to look at it. '.repeat(300));
  let letThrough = (): void => {};
  const held = new Promise<void>((resolve) => {
    letThrough = resolve;
  });
  scene.origin.interfere = (what) => (what === 'changes' ? held : undefined);
  const starting = scene.startEdge();
  await eventually(() => expect(scene.edge?.port).toBeGreaterThan(0));
  await eventually(() => scene.pushStore(old as NonNullable<typeof old>));
  expect((await scene.get(KEYS[0] as string)).body.toString()).toBe('second');
  letThrough();
  await starting;
  expect((await scene.get(KEYS[0] as string)).body.toString()).toBe('second');
});
