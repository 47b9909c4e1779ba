/** The image: what is in it, and how a container of it lives, fails and ends. */
import { contentOf, eventually } from '@sluice/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectServed, upload } from '../cdn.ts';
import { docker, hasEngine, IMAGE, publishedUrl, uniqueName } from './engine.ts';

const engine = await hasEngine();

describe.skipIf(!engine)('the image', () => {
  const containers: string[] = [];
  /** Starts a container in the background. No broker is anywhere near, and an origin has no keys. */
  const start = async (options: string[], command: string[]): Promise<string> => {
    const name = uniqueName();
    containers.push(name);
    const variables = ['--env', 'NATS_URL=nats://127.0.0.1:1', '--env', 'ORIGIN_ANYONE_MAY_WRITE=yes'];
    await docker(['run', '--detach', '--name', name, ...variables, ...options, IMAGE, ...command]);
    return name;
  };
  const run = (...command: string[]): Promise<string> => docker(['run', '--rm', IMAGE, ...command]);
  const exitCodeOf = async (name: string): Promise<number> => Number(await docker(['wait', name]));

  beforeAll(() => docker(['build', '--tag', IMAGE, '.']));
  afterAll(async () => {
    if (containers.length > 0) await docker(['rm', '--force', '--volumes', ...containers]);
  });

  test('holds sources and production dependencies, and neither tests, tools, documents nor a second Node', async () => {
    const files = (await run('find', '/app', '-name', 'node_modules', '-prune', '-o', '-type', 'f', '-print')).split('\n');
    expect(files).toContain('/app/apps/edge/src/main.ts');
    expect(files.filter((file) => /\.test\.ts$|fixture|\/(docs|bench|demo|test|\.ci|\.git|testkit\/src)\//.test(file))).toEqual([]);
    const packages = (await run('ls', '/app/node_modules')).split('\n');
    expect(packages).toContain('zod');
    for (const tool of ['vitest', 'typescript', '@biomejs', 'nx', 'fast-check', 'testcontainers', 'node'])
      expect(packages).not.toContain(tool);
    const [megabytes] = (await run('du', '-sm', '/app')).split('\t');
    expect(Number(megabytes)).toBeLessThan(80);
  });

  test('runs as the user node, which can write nothing but its data', async () => {
    expect(await run('id', '-un')).toBe('node');
    expect(await run('find', '/app', '/data', '-writable', '-not', '-type', 'l')).toBe('/data');
  });

  test('with a wrong configuration every app names it and exits 2', async () => {
    for (const app of ['origin', 'controller', 'edge']) {
      const name = await start(['--env', `${app.toUpperCase()}_PORT=x`, '--env', 'LOG_LEVEL=loud'], ['node', `apps/${app}/src/main.ts`]);
      expect(await exitCodeOf(name)).toBe(2);
    }
  });

  test('an origin without keys does not start before it is told that anyone may write', async () => {
    const name = await start(['--env', 'ORIGIN_ANYONE_MAY_WRITE='], ['node', 'apps/origin/src/main.ts']);
    expect(await exitCodeOf(name)).toBe(2);
  });

  test.each(['origin', 'controller', 'edge'])(
    '%s without a broker is alive, is not ready, and ends with 0 when it is told to',
    async (app) => {
      const name = await start(['--read-only', '--tmpfs', '/data:uid=1000'], ['node', `apps/${app}/src/main.ts`]);
      const check = (): Promise<string> => docker(['exec', name, 'node', 'deploy/health-check.ts']);
      await eventually(() => expect(check()).rejects.toMatchObject({ code: 1, stdout: expect.stringContaining('"ready":false') }), 20_000);
      await docker(['stop', '--time', '20', name]);
      expect(await exitCodeOf(name)).toBe(0);
    },
  );

  test('an origin whose disk is full says so, keeps what it had, and takes uploads again when they fit', async () => {
    const name = await start(['--tmpfs', '/data:uid=1000,size=24m', '--publish', '127.0.0.1:0:9000'], ['node', 'apps/origin/src/main.ts']);
    const origin = await publishedUrl(name, 9000);
    await eventually(async () => expect((await fetch(`${origin}/healthz`)).status).toBe(200), 20_000);
    const kept = contentOf(4_000_000, 'kept');
    await upload(origin, 'site/kept', kept);
    const refused = await fetch(`${origin}/site/too-much`, { method: 'PUT', body: contentOf(40_000_000, 'too much') });
    expect([refused.status, await refused.text()]).toEqual([507, expect.stringContaining('InsufficientStorage')]);
    expect((await fetch(`${origin}/site/too-much`)).status).toBe(404);
    await expectServed(origin, 'site/kept', kept);
    await upload(origin, 'site/more', contentOf(4_000_000, 'more'));
    await expectServed(origin, 'site/more', contentOf(4_000_000, 'more'));
  });
});
