/** An edge alone, as a process of its own: no broker answers it, so it serves what its data directory holds. */
import { join, resolve } from 'node:path';
import { freePort, Member, RUNTIME_VARIABLES } from '@sluice/stack';

export const EDGE_ENTRY = resolve(import.meta.dirname, '../../apps/edge/src/main.ts');

/** An edge over `dir/edge`, not started yet. It has one serving thread. */
export async function edgeAlone(dir: string, env: Readonly<Record<string, string>> = {}): Promise<Member> {
  const dataDir = join(dir, 'edge');
  return new Member({
    ...{ name: 'edge', entry: EDGE_ENTRY, dataDir, logFile: join(dir, 'edge.log') },
    ...{ portVariable: 'EDGE_PORT', port: await freePort() },
    env: {
      ...RUNTIME_VARIABLES,
      ...{ NATS_URL: `nats://127.0.0.1:${await freePort()}`, EDGE_ID: 'bench', EDGE_DATA_DIR: dataDir, EDGE_SERVING_THREADS: '1' },
      ...env,
    },
  });
}
