/** The stack of compose.yaml on content that stands elsewhere: with deploy/compose.directory.yaml, and with deploy/compose.s3.yaml. */
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { contentOf, eventually, temporaryDirectory } from '@sluice/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectServed, get, upload } from '../cdn.ts';
import { ComposeStack } from './compose-stack.ts';
import { docker, hasEngine, IMAGE, publishedUrl, uniqueName } from './engine.ts';

const engine = await hasEngine();
const UP = ['up', '--detach', '--wait', '--wait-timeout', '120'];

async function everyEdge(stack: ComposeStack, check: (url: string) => Promise<void>): Promise<void> {
  const urls = await stack.edgeUrls();
  expect(urls).toHaveLength(3);
  for (const url of urls) await eventually(() => check(url), 30_000);
}

describe.skipIf(!engine)('docker compose on a directory', () => {
  const FILES = ['deploy/compose.directory.yaml'];
  const cleanup = new AsyncDisposableStack();
  let directory: string;
  let stack: ComposeStack;

  beforeAll(async () => {
    directory = cleanup.use(await temporaryDirectory()).path;
    // The image's user is another one than who runs the tests.
    await chmod(directory, 0o755);
    await write('from-before', contentOf(100_000, 'before'));
    stack = new ComposeStack(FILES, { SLUICE_DIRECTORY: directory });
    cleanup.defer(() => stack.down());
    await stack.compose(...UP, '--build');
  });
  afterAll(() => cleanup.disposeAsync());

  const write = async (path: string, content: Uint8Array): Promise<void> => {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), content);
  };

  test('what was there before, what is written, and what is changed is served by every edge', async () => {
    await everyEdge(stack, (url) => expectServed(url, 'site/from-before', contentOf(100_000, 'before')));
    for (const seed of ['new', 'changed']) {
      const content = contentOf(200_000, seed);
      await write('a b/app.js', content);
      await everyEdge(stack, (url) => expectServed(url, 'site/a%20b/app.js', content));
    }
  });

  test('what is removed is gone from every edge', async () => {
    await rm(join(directory, 'from-before'));
    await everyEdge(stack, async (url) => expect((await get(url, 'site/from-before')).status).toBe(404));
  });

  test('what changes while the origin is stopped is found when it is back', async () => {
    await stack.compose('stop', 'origin');
    const content = contentOf(50_000, 'meanwhile');
    await write('meanwhile', content);
    await rm(join(directory, 'a b'), { recursive: true });
    await stack.compose(...UP);
    await everyEdge(stack, (url) => expectServed(url, 'site/meanwhile', content));
    await everyEdge(stack, async (url) => expect((await get(url, 'site/a%20b/app.js')).status).toBe(404));
  });

  test('the directory cannot be written to, and an upload is told where the content is changed', async () => {
    const refused = await fetch(`${await stack.urlOf('origin', 9000)}/site/x`, { method: 'PUT', body: 'x' });
    expect([refused.status, await refused.text()]).toEqual([405, expect.stringContaining('change them there')]);
    const [container] = (await stack.containersOf('origin')) as [string];
    await expect(docker(['exec', '--user', 'root', container, 'touch', '/www/x'])).rejects.toThrow('Read-only file system');
  });

  test('without a directory, or with one that is not there, no origin is started', async () => {
    const without = new ComposeStack(FILES, { SLUICE_DIRECTORY: '' });
    await expect(without.compose('config')).rejects.toThrow('name the directory whose files are to be published');
    const mistyped = new ComposeStack(FILES, { SLUICE_DIRECTORY: join(directory, 'nowhere') });
    cleanup.defer(() => mistyped.down());
    await expect(mistyped.compose('up', '--detach', 'origin')).rejects.toThrow('does not exist');
  });
});

describe.skipIf(!engine)('docker compose on a bucket, with two origins', () => {
  const SCALE = ['--no-recreate', '--scale', 'origin=2'];
  const cleanup = new AsyncDisposableStack();
  let source: string;
  let stack: ComposeStack;

  beforeAll(async () => {
    stack = new ComposeStack(['deploy/compose.s3.yaml'], {
      ...{ SLUICE_S3_ENDPOINT: 'http://bucket:9000', SLUICE_S3_BUCKET: 'media', SLUICE_BUCKET: 'site' },
      ...{ SLUICE_S3_ACCESS_KEY_ID: 'any', SLUICE_S3_SECRET_ACCESS_KEY: 'any', SLUICE_RESCAN_SECONDS: '1' },
    });
    cleanup.defer(() => stack.down());
    await stack.compose('create', '--build', '--scale', 'origin=2');
    // The S3 service is another Sluice, an origin that knows nothing of this stack's broker.
    const service = uniqueName();
    const network = ['--network', `${stack.project}_default`, '--network-alias', 'bucket', '--publish', '127.0.0.1:0:9000'];
    const variables = ['--env', 'NATS_URL=nats://127.0.0.1:1', '--env', 'ORIGIN_ANYONE_MAY_WRITE=yes'];
    cleanup.defer(async () => void (await docker(['rm', '--force', '--volumes', service])));
    await docker(['run', '--detach', '--name', service, ...network, ...variables, IMAGE, 'node', 'apps/origin/src/main.ts']);
    source = await publishedUrl(service, 9000);
    await eventually(() => put('from-before', contentOf(100_000, 'before')), 20_000);
    await stack.compose(...UP, ...SCALE);
  });
  afterAll(() => cleanup.disposeAsync());

  const put = async (path: string, content: Uint8Array): Promise<void> => void (await upload(source, `media/${path}`, content));

  test('every edge serves the bucket, and follows it whichever of the origins is killed', async () => {
    await everyEdge(stack, (url) => expectServed(url, 'site/from-before', contentOf(100_000, 'before')));
    const origins = await stack.containersOf('origin');
    expect(origins).toHaveLength(2);
    for (const [index, origin] of origins.entries()) {
      await docker(['kill', origin]);
      const content = contentOf(200_000, `without origin ${index}`);
      await put('app.js', content);
      await everyEdge(stack, (url) => expectServed(url, 'site/app.js', content));
      await stack.compose(...UP, ...SCALE);
    }
  });

  test('a broker that has lost its disk takes nothing away and nothing back', async () => {
    const urls = await stack.edgeUrls();
    const versionAt = async (url: string): Promise<number> =>
      Number((await fetch(`${url}/site/app.js`, { method: 'HEAD' })).headers.get('x-sluice-version'));
    const before = await Promise.all(urls.map(versionAt));
    await stack.compose('rm', '--force', '--stop', 'nats');
    await docker(['volume', 'rm', `${stack.project}_nats`]);
    // Without a wait for health, which gives up at once on who has missed the broker for long.
    await stack.compose('up', '--detach', ...SCALE);
    const content = contentOf(10_000, 'after the loss');
    await put('after', content);
    await everyEdge(stack, (url) => expectServed(url, 'site/after', content));
    for (const [index, url] of urls.entries()) expect(await versionAt(url)).toBeGreaterThanOrEqual(before[index] as number);
  });
});
