/** Sluice's origin as a process of its own, with a broker, and with nothing set that a stack of `npm start` does not set. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Credentials } from '@sluice/sigv4';
import { Broker, freePort, Member, ORIGIN_VARIABLES } from '@sluice/stack';
import type { Side } from './side.ts';

const ENTRY = resolve(import.meta.dirname, '../../apps/origin/src/main.ts');

/** May do everything: with keys the origin checks signatures, as the gateway does. */
export const CREDENTIALS: Credentials = { accessKeyId: 'BENCH', secretAccessKey: 'a-secret-of-the-bench-and-of-nobody-else' };
const KEYS = `
keys:
  - accessKeyId: ${CREDENTIALS.accessKeyId}
    secretAccessKey: ${CREDENTIALS.secretAccessKey}
    rights: { "*": [read, write, delete, list, invalidate] }
`;

/** Where {@link startSluice} has the origin's data: what is there before is what it starts with. */
export function originDataIn(dir: string): string {
  return join(dir, 'origin');
}

export interface SluiceSide extends Side {
  readonly originPid: number;
}

/** Starts both in `dir`. */
export async function startSluice(dir: string, name = 'Sluice'): Promise<SluiceSide> {
  const dataDir = originDataIn(dir);
  await mkdir(dataDir, { recursive: true });
  const keysFile = join(dir, 'keys.yaml');
  await writeFile(keysFile, KEYS);
  const broker = await Broker.start({ dataDir: join(dir, 'broker') });
  const origin = new Member({
    ...{ name: 'origin', entry: ENTRY, dataDir, logFile: join(dir, 'origin.log') },
    ...{ portVariable: 'ORIGIN_PORT', port: await freePort() },
    env: { ...ORIGIN_VARIABLES, NATS_URL: broker.url, ORIGIN_HOST: '127.0.0.1', ORIGIN_DATA_DIR: dataDir, ORIGIN_KEYS_FILE: keysFile },
  });
  try {
    await origin.start();
  } catch (error) {
    await broker.stop();
    throw error;
  }
  return {
    ...{ name, port: origin.port, credentials: CREDENTIALS, originPid: origin.pid, pids: [origin.pid, broker.pid] },
    async [Symbol.asyncDispose]() {
      await origin.stop();
      await broker.stop();
    },
  };
}
