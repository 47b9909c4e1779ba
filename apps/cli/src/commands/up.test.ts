/** `sluice up` as a process of its own, as a person starts it. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { ManagedProcess } from '@sluice/stack';
import { eventually, temporaryDirectory } from '@sluice/testkit';
import { describe, expect, test } from 'vitest';

interface Part {
  readonly url: string;
  readonly pid: number;
}
interface Running {
  readonly broker: Part;
  readonly origin: Part;
  readonly controller: Part;
  readonly edges: Readonly<Record<string, Part>>;
  readonly directory?: { readonly path: string; readonly bucket: string };
}

const START_TIMEOUT_MS = 40_000;

function up(...args: string[]): ManagedProcess {
  return new ManagedProcess({
    name: 'sluice up',
    command: process.execPath,
    args: [join(import.meta.dirname, '../main.ts'), 'up', ...args],
  });
}

async function whenRunning(sluice: ManagedProcess): Promise<{ parts: Running; pids: number[] }> {
  const parts = await sluice.waitForLine(
    (line) => (line.startsWith('{"pid"') ? (JSON.parse(line) as Running) : undefined),
    START_TIMEOUT_MS,
  );
  return { parts, pids: [parts.broker, parts.origin, parts.controller, ...Object.values(parts.edges)].map(({ pid }) => pid) };
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('sluice up', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'runs everything until %s, which leaves no process',
    async (signal) => {
      await using dir = await temporaryDirectory();
      const sluice = up('--any-port', '--data-dir', dir.path, '--edges', 'us-1:US,eu-1:EU', '--json');
      const { parts, pids } = await whenRunning(sluice);
      expect(Object.keys(parts.edges)).toEqual(['us-1', 'eu-1']);
      expect((await fetch(`${parts.edges['us-1']?.url}/readyz`)).status).toBe(200);
      expect(pids.filter(alive)).toEqual(pids);
      sluice.signal(signal);
      expect(await sluice.ended).toBe('exited with 0');
      expect(pids.filter(alive)).toEqual([]);
    },
    60_000,
  );

  test('a second Ctrl-C kills at once, also what does not listen', async () => {
    await using dir = await temporaryDirectory();
    const sluice = up('--any-port', '--data-dir', dir.path, '--edges', 'us-1:US', '--json');
    const { parts, pids } = await whenRunning(sluice);
    // A stopped broker hears no SIGTERM: the orderly end would wait for it.
    process.kill(parts.broker.pid, 'SIGSTOP');
    sluice.signal('SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 500));
    sluice.signal('SIGINT');
    expect(await sluice.ended).toBe('exited with 1');
    await Promise.all(pids.map(gone));
  }, 60_000);

  test('a part that dies takes the stack down, is named, and the exit code is 1', async () => {
    await using dir = await temporaryDirectory();
    const sluice = up('--any-port', '--data-dir', dir.path, '--edges', 'us-1:US', '--json');
    const { parts, pids } = await whenRunning(sluice);
    process.kill(parts.edges['us-1']?.pid as number, 'SIGKILL');
    expect(await sluice.ended).toBe('exited with 1');
    expect(sluice.tail).toContain('edge us-1 was ended by SIGKILL; everything is being stopped');
    expect(pids.filter(alive)).toEqual([]);
  }, 60_000);

  test('publishes the files of a directory: what is written, changed and removed there every edge serves, changed and removed', async () => {
    await using dir = await temporaryDirectory();
    const www = join(dir.path, 'www');
    await mkdir(www);
    await writeFile(join(www, 'first.txt'), 'from before');
    const stack = ['--any-port', '--data-dir', join(dir.path, 'data'), '--edges', 'us-1:US,eu-1:EU', '--json'];
    const sluice = up(...stack, '--directory', www, '--bucket', 'shop');
    const { parts } = await whenRunning(sluice);
    expect(parts.directory).toEqual({ path: www, bucket: 'shop' });
    const served = async (path: string): Promise<string[]> =>
      Promise.all(
        Object.values(parts.edges).map(async ({ url }) => {
          const response = await fetch(`${url}/shop/${path}`);
          return response.ok ? await response.text() : String(response.status);
        }),
      );
    const serves = (path: string, text: string): Promise<void> =>
      eventually(async () => expect(await served(path)).toEqual([text, text]), 20_000);
    await serves('first.txt', 'from before');
    await writeFile(join(www, 'new.txt'), 'new');
    await serves('new.txt', 'new');
    await writeFile(join(www, 'new.txt'), 'changed');
    await serves('new.txt', 'changed');
    await rm(join(www, 'new.txt'));
    await serves('new.txt', '404');
    sluice.signal('SIGINT');
    expect(await sluice.ended).toBe('exited with 0');

    // Its data are of this directory: with anything else all would be taken for removed.
    const other = up(...stack);
    expect(await other.ended).toBe('exited with 1');
    expect(other.tail).toContain('"DATA_DIR_OF_ANOTHER_SOURCE"');
    expect(other.tail).toContain(
      'has the content of another source: what was uploaded, or another directory. Give this one a --data-dir of its own',
    );
  }, 90_000);

  test('a port that is taken is told with its part and what to do, for people and for programs', async () => {
    await using dir = await temporaryDirectory();
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const sluice = up('--any-port', '--data-dir', dir.path, '--edges', `us-1:US:${port}`, '--json');
    expect(await sluice.ended).toBe('exited with 1');
    expect(sluice.tail).toContain(`error: taken: port ${port} (for edge us-1). Stop what listens there`);
    expect(sluice.tail).toContain('{"error":{"code":"PORT_TAKEN"');
    server.close();
  }, 30_000);
});

/** Resolves when the kernel has ended the process. */
async function gone(pid: number): Promise<void> {
  while (alive(pid)) await new Promise((resolve) => setTimeout(resolve, 10));
}
