import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readConfig } from '@sluice/runtime';
import { ManagedProcess } from '@sluice/stack';
import { temporaryDirectory } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { edgeVariables } from '../config.ts';
import { claimCredentials } from './credentials-slot.ts';

async function slots(dir: string, ...ids: string[]) {
  for (const id of ids) await mkdir(join(dir, id));
  return readConfig(edgeVariables, { EDGE_CREDENTIALS_DIR: dir }, []);
}

/** An edge takes one and keeps it until its process ends. */
async function edgeProcess(dir: string): Promise<{ id: string; process: ManagedProcess }> {
  const child = new ManagedProcess({
    name: 'edge',
    command: process.execPath,
    args: [join(import.meta.dirname, '../main.ts')],
    env: {
      EDGE_CREDENTIALS_DIR: dir,
      EDGE_DATA_DIR: `${dir}-data-${Math.random()}`,
      EDGE_PORT: '0',
      NATS_URL: 'nats://127.0.0.1:1',
      EDGE_SERVING_THREADS: '0',
    },
  });
  const id = await child.waitForLine(
    (line) => (line.includes('"listening"') ? (JSON.parse(line) as { edge: string }).edge : undefined),
    20_000,
  );
  return { id, process: child };
}

test('each edge takes the first credentials that are free, those of one that was killed too, and is told when there are none', async () => {
  await using dir = await temporaryDirectory();
  const path = join(dir.path, 'slots');
  await mkdir(path);
  await writeFile(join(path, 'README'), 'no slot');
  const config = await slots(path, 'us-10', 'us-2', 'us-1', '.lost');
  const first = await edgeProcess(path);
  expect(first.id).toBe('us-1');
  expect(claimCredentials(config)).toMatchObject({
    EDGE_ID: 'us-2',
    NATS_NKEY_FILE: join(path, 'us-2/nats.nk'),
    NATS_CA_FILE: join(path, 'us-2/ca.pem'),
  });
  expect(claimCredentials(config).EDGE_ID).toBe('us-10');
  expect(() => claimCredentials(config)).toThrow(`the credentials of all 3 edges in ${path} are in use: make more`);
  await first.process.kill();
  expect(claimCredentials(config).EDGE_ID).toBe('us-1');
}, 30_000);

test('a directory that is empty or not there is told, and beside EDGE_ID or a key of its own it is refused', async () => {
  await using dir = await temporaryDirectory();
  expect(() => claimCredentials(readConfig(edgeVariables, { EDGE_CREDENTIALS_DIR: dir.path }, []))).toThrow('has credentials of no edge');
  expect(() => claimCredentials(readConfig(edgeVariables, { EDGE_CREDENTIALS_DIR: '/nowhere' }, []))).toThrow('/nowhere cannot be read');
  expect(() => readConfig(edgeVariables, { EDGE_CREDENTIALS_DIR: dir.path, NATS_CA_FILE: '/dev/null' }, [])).toThrow(
    'EDGE_CREDENTIALS_DIR: has a key',
  );
});

test('without it nothing is claimed', () => {
  const config = readConfig(edgeVariables, { EDGE_ID: 'eu-1' }, []);
  expect(claimCredentials(config)).toBe(config);
});
