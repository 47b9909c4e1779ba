/** Starts an S3 server that nobody here wrote, Ceph's RADOS gateway, for all tests of a vitest project, and stops it after them. */
import { execFile } from 'node:child_process';
import { access, constants, readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { tie } from '@sluice/stack';
import { temporaryDirectory } from '@sluice/testkit';
import type { TestProject } from 'vitest/node';

/** How the server is reached. */
export interface S3Account {
  readonly endpoint: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

declare module 'vitest' {
  interface ProvidedContext {
    /** The server, or why there is none. */
    readonly s3Server: S3Account | string;
  }
}

const run = promisify(execFile);
const REPOSITORY = resolve(import.meta.dirname, '../../../..');
/** `<script> start <port>` prints how it is reached, and uses the next port too; `<script> stop` ends it. Both work in `S3_SERVER_DIR`. */
const SCRIPT = process.env.SLUICE_S3_SERVER ?? resolve(REPOSITORY, '../shared/tools/s3-server');
/** On a bare machine it installs packages first. */
const START_TIMEOUT_MS = 400_000;
const END_TIMEOUT_MS = 10_000;

/** Where there is no server the tests are told why, and decide. */
export default async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  try {
    await access(SCRIPT, constants.X_OK);
    const { account, stop } = await start();
    project.provide('s3Server', account);
    return stop;
  } catch (error) {
    project.provide('s3Server', `there is no S3 server: ${lastLine(error)}; name a script that starts one in SLUICE_S3_SERVER`);
    return undefined;
  }
}

async function start(): Promise<{ readonly account: S3Account; stop(): Promise<void> }> {
  const cleanup = new AsyncDisposableStack();
  const dir = join(cleanup.use(await temporaryDirectory()).path, 'server');
  const env = { ...process.env, S3_SERVER_DIR: dir };
  const ended: (() => Promise<void>)[] = [];
  cleanup.defer(async () => {
    await run(SCRIPT, ['stop'], { env });
    await Promise.all(ended.map((end) => end()));
  });
  try {
    const { stdout } = await run(SCRIPT, ['start', String(await freePortPair())], { env, timeout: START_TIMEOUT_MS });
    for (const pid of await pidsIn(join(dir, 'run'))) {
      const untie = tie(pid);
      ended.push(async () => {
        await hasEnded(pid);
        untie();
      });
    }
    const valueIn = (name: string): string => new RegExp(`^${name}=(.+)$`, 'm').exec(stdout)?.[1] ?? '';
    const account = {
      endpoint: valueIn('S3_ENDPOINT'),
      accessKeyId: valueIn('S3_ACCESS_KEY'),
      secretAccessKey: valueIn('S3_SECRET_KEY'),
    };
    if (Object.values(account).includes('')) throw new Error(`${SCRIPT} did not say how its server is reached`);
    return { account, stop: () => cleanup.disposeAsync() };
  } catch (error) {
    await cleanup.disposeAsync();
    throw error;
  }
}

/** The server's processes were asked to end, and are no children of this one: they can only be looked at. One that does not end is killed. */
async function hasEnded(pid: number): Promise<void> {
  try {
    for (const deadline = Date.now() + END_TIMEOUT_MS; Date.now() < deadline; await sleep(50)) process.kill(pid, 0);
    process.kill(pid, 'SIGKILL');
  } catch {
    // It is gone.
  }
}

async function pidsIn(dir: string): Promise<number[]> {
  const files = (await readdir(dir)).filter((name) => name.endsWith('.pid'));
  return Promise.all(files.map(async (name) => Number(await readFile(join(dir, name), 'utf8'))));
}

/** A loopback port that was free a moment ago, and so was the next one. */
async function freePortPair(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const port = await listenBriefly(0);
    const next = await listenBriefly(port + 1).catch(() => undefined);
    if (next !== undefined) return port;
  }
  throw new Error('no two free ports beside each other');
}

function listenBriefly(port: number): Promise<number> {
  return new Promise((resolved, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const address = server.address() as { port: number };
      server.close(() => resolved(address.port));
    });
  });
}

function lastLine(error: unknown): string {
  return (error as Error).message.trim().split('\n').at(-1) ?? '';
}
