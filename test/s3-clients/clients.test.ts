/** What people do with the S3 clients they have, and that the edges serve exactly what it comes to. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Stack } from '@sluice/stack';
import { eventually, temporaryDirectory } from '@sluice/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { aws } from './aws.ts';
import { commandOf, type S3Client } from './client.ts';
import { rclone } from './rclone.ts';
import { s3cmd } from './s3cmd.ts';
import { sdk } from './sdk.ts';
import { largeContent, makeTree, readTree, type Tree, writeInto } from './tree.ts';

const KEY = { accessKeyId: 'SLUICETESTKEY0000001', secretAccessKey: 'a-secret-of-the-tests-with-odd-signs/+=' };
const BUCKET = 'site';
const DESCRIBED = { contentType: 'text/x-poem; charset=utf-8', cacheControl: 'max-age=77', meta: { color: 'dark blue' } };

describe.each([aws, s3cmd, rclone, sdk].map((kind) => [kind.name, kind] as const))('%s', (_, kind) => {
  const cleanup = new AsyncDisposableStack();
  let stack: Stack;
  let client: S3Client;
  let dir: string;
  const inDir = (name: string): string => join(dir, name);
  const command = commandOf(kind);

  beforeAll(async () => {
    if (command === undefined) return;
    dir = cleanup.use(await temporaryDirectory()).path;
    await makeTree(inDir('tree'));
    const keysFile = inDir('keys.yaml');
    const everything = ['read', 'write', 'delete', 'list', 'invalidate'];
    await writeFile(keysFile, JSON.stringify({ keys: [{ ...KEY, rights: { '*': everything } }] }));
    stack = cleanup.use(
      await Stack.start({
        dataDir: inDir('stack'),
        edges: [
          { id: 'us-1', region: 'US' },
          { id: 'in-1', region: 'IN' },
        ],
        env: { origin: { ORIGIN_KEYS_FILE: keysFile } },
      }),
    );
    client = await kind.create({ endpoint: stack.origin.url, ...KEY, dir }, command);
  });
  afterAll(() => cleanup.disposeAsync());

  /** Every edge serves each file of the tree with its bytes, and nothing of what is gone. */
  async function expectEverywhere(tree: Tree, gone: readonly string[] = []): Promise<void> {
    for (const edge of stack.edges.values()) {
      const urlOf = (path: string): string => `${edge.url}/${BUCKET}/${path.split('/').map(encodeURIComponent).join('/')}`;
      for (const [path, content] of tree) {
        await eventually(async () => {
          const response = await fetch(urlOf(path));
          const body = Buffer.from(await response.arrayBuffer());
          expect([path, response.status, body.equals(content)]).toEqual([path, 200, true]);
        });
      }
      for (const path of gone) await eventually(async () => expect((await fetch(urlOf(path))).status).toBe(404));
    }
  }

  const it = test.skipIf(command === undefined);

  it('sync of a tree: every edge has every file', async () => {
    await client.makeBucket(BUCKET);
    await client.sync(inDir('tree'), BUCKET);
    await expectEverywhere(await readTree(inDir('tree')));
  });

  it('sync again after a change, an addition and a deletion: the edges follow', async () => {
    await writeInto(inDir('tree'), 'plus+plus+.txt', Buffer.from('changed, and longer than it was before\n'));
    await writeInto(inDir('tree'), 'new/file.txt', Buffer.from('new\n'));
    await rm(inDir('tree/package.json'));
    await rm(inDir('tree/100%25%.txt'));
    await client.sync(inDir('tree'), BUCKET);
    await expectEverywhere(await readTree(inDir('tree')), ['package.json', '100%25%.txt']);
  });

  it('100 MB in parts: the edges have the bytes', async () => {
    const content = largeContent(kind.name);
    await writeFile(inDir('large.bin'), content);
    await client.put(inDir('large.bin'), BUCKET, 'large.bin', { ...DESCRIBED, contentType: 'application/x-large' });
    await expectEverywhere(new Map([['large.bin', content]]));
    await writeInto(inDir('tree'), 'large.bin', content);
  });

  it('download: every byte comes back', async () => {
    await mkdir(inDir('down'));
    await client.download(BUCKET, inDir('down'));
    const [expected, downloaded] = [await readTree(inDir('tree')), await readTree(inDir('down'))];
    expect([...downloaded.keys()].sort()).toEqual([...expected.keys()].sort());
    for (const [path, content] of expected) expect([path, downloaded.get(path)?.equals(content)]).toEqual([path, true]);
  });

  it('content type, caching and metadata are kept, and reach visitors', async () => {
    await writeFile(inDir('poem.txt'), 'a poem\n');
    await client.put(inDir('poem.txt'), BUCKET, 'poem', DESCRIBED);
    const { cacheControl, ...told } = await client.describe(BUCKET, 'poem');
    expect(told).toMatchObject({ contentType: DESCRIBED.contentType, meta: DESCRIBED.meta });
    // One of the clients does not tell it; that it is kept is seen at the edge.
    if (cacheControl !== undefined) expect(cacheControl).toBe(DESCRIBED.cacheControl);
    const { url: edge } = stack.edge('us-1');
    await eventually(async () => {
      const { headers } = await fetch(`${edge}/${BUCKET}/poem`);
      expect([headers.get('content-type'), headers.get('cache-control'), headers.get('x-amz-meta-color')]).toEqual([
        DESCRIBED.contentType,
        DESCRIBED.cacheControl,
        DESCRIBED.meta.color,
      ]);
    });
  });

  it('a presigned link reads one object, without a key', async () => {
    const url = await client.presign(BUCKET, 'poem');
    expect(await (await fetch(url)).text()).toBe('a poem\n');
    expect((await fetch(url.replace('poem', 'README.md'))).status).toBe(403);
    expect((await fetch(`${stack.origin.url}/${BUCKET}/poem`)).status).toBe(403);
  });

  it('removal of one object: no edge has it any more', async () => {
    await client.remove(BUCKET, 'poem');
    await expectEverywhere(new Map(), ['poem']);
  });
});
