/** Ceph's RADOS gateway with a store in memory, the S3 server beside which the origin is measured; a script starts it. */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '@sluice/stack';
import { say } from '../publish.ts';
import type { Side } from './side.ts';

const run = promisify(execFile);

const SCRIPT = process.env.SLUICE_S3_SERVER ?? resolve(import.meta.dirname, '../../../shared/tools/s3-server');
const END_TIMEOUT_MS = 10_000;
const MISSING = `there is no S3 server to measure beside: ${SCRIPT} is not there, so Sluice is measured alone.
To have one, name a script in SLUICE_S3_SERVER. "start PORT" has to start an S3 server on that port of 127.0.0.1 with its files in the directory S3_SERVER_DIR, to leave the process ids
in run/*.pid there, and to print S3_ENDPOINT=…, S3_ACCESS_KEY=… and S3_SECRET_KEY=…; "stop" has to stop it. The figures of the README are beside Ceph's gateway: one ceph-mon, one ceph-osd
with "osd objectstore = memstore" and one radosgw (on Debian: apt-get install ceph-mon ceph-osd radosgw ceph-common).`;

/** Starts one with its files in `dir`. Undefined, after saying why, when there is no script that could. */
export async function startGateway(dir: string): Promise<Side | undefined> {
  if (!existsSync(SCRIPT)) {
    say(MISSING);
    return undefined;
  }
  const env = { ...process.env, S3_SERVER_DIR: dir };
  const stop = (): void => void spawnSync(SCRIPT, ['stop'], { env });
  // The script's processes are not this one's children: they would outlive it.
  process.once('exit', stop);
  const interrupted = (): never => process.exit(130);
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  const stopOnce = (): void => {
    process.off('exit', stop).off('SIGINT', interrupted).off('SIGTERM', interrupted);
    stop();
  };
  try {
    say('starting the gateway');
    const { stdout } = await run(SCRIPT, ['start', String(await twoFreePorts())], { env });
    const said = Object.fromEntries(stdout.split('\n').map((line) => line.split(/=(.*)/s).slice(0, 2)));
    const pids = await pidsIn(join(dir, 'run'));
    return {
      name: 'Ceph RGW',
      port: Number(new URL(said.S3_ENDPOINT ?? '').port),
      credentials: { accessKeyId: said.S3_ACCESS_KEY ?? '', secretAccessKey: said.S3_SECRET_KEY ?? '' },
      pids,
      async [Symbol.asyncDispose]() {
        stopOnce();
        await ended(pids);
      },
    };
  } catch (error) {
    stopOnce();
    throw error;
  }
}

async function pidsIn(dir: string): Promise<number[]> {
  const files = (await readdir(dir)).filter((name) => name.endsWith('.pid'));
  return Promise.all(files.map(async (name) => Number(await readFile(join(dir, name), 'utf8'))));
}

/** They are nobody's children here, so that nothing tells of their end. */
async function ended(pids: readonly number[]): Promise<void> {
  const until = performance.now() + END_TIMEOUT_MS;
  while (pids.some((pid) => existsSync(`/proc/${pid}`)) && performance.now() < until)
    await new Promise((resolve) => setTimeout(resolve, 50));
}

/** The first of two in a row that were free a moment ago: the script takes both. */
async function twoFreePorts(): Promise<number> {
  for (;;) {
    const port = await freePort();
    const next = createServer();
    const free = await new Promise<boolean>((done) => {
      next.once('error', () => done(false)).listen(port + 1, '127.0.0.1', () => done(true));
    });
    if (!free) continue;
    await new Promise((closed) => next.close(closed));
    return port;
  }
}
