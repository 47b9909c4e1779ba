/** An edge as an HTTP server, next to nginx and Varnish on the same core with the same objects. */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { manifestOf } from '../../apps/edge/src/domain/history.fixture.ts';
import { describeMachine, nameMachine } from '../machine.ts';
import { type BenchOptions, publish, say } from '../publish.ts';
import { fillBlobs, fillIndex, sha256Of } from './data-directory.ts';
import { type Load, load, medianOf } from './load.ts';
import { type Case, type Row, renderRows } from './report.ts';
import { type Server, serverVersions, startServers } from './servers.ts';

const SERVER_CORE = 0;
const CLIENT_CORE = 1;
const CONNECTIONS = 32;
/** For content, of the edge and of Varnish. */
const MEMORY_BYTES = 256 * 1024 ** 2;
const OBJECTS = { '1k': 1024, '100k': 100 * 1024, '10m': 10 * 1024 ** 2 } as const;

/** What is asked of each server, and how it has to compare: to nginx static, to nginx proxy_cache, to Varnish. */
const CASES: readonly (Case & { readonly object: keyof typeof OBJECTS; readonly conditional?: boolean })[] = [
  { name: '1 KiB', object: '1k', targets: { 'nginx static': 0.9, 'nginx proxy_cache': 1, Varnish: 1.25 } },
  { name: '100 KiB', object: '100k', targets: { 'nginx static': 1, 'nginx proxy_cache': 1.2, Varnish: 1 } },
  { name: '10 MiB', object: '10m', targets: { 'nginx static': 1, 'nginx proxy_cache': 1.2, Varnish: 1 } },
  { name: '304', object: '1k', conditional: true, targets: { 'nginx static': 0.9, 'nginx proxy_cache': 1, Varnish: 1.25 } },
];

export async function hits(options: BenchOptions): Promise<void> {
  const [rounds, seconds] = options.quick ? [1, 1] : [3, 3];
  const dir = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  try {
    const objects = new Map(Object.entries(OBJECTS).map(([name, size]) => [name, randomBytes(size)]));
    const files = await writeFiles(join(dir, 'files'), objects);
    const prepareEdge = (dataDir: string): Promise<void> => writeDataDirectory(dataDir, objects);
    await using servers = await startServers(dir, { files, prepareEdge, core: SERVER_CORE, memoryBytes: MEMORY_BYTES });
    for (const server of servers.all) for (const object of objects.keys()) await warm(server.urlOf(object));
    const loads = new Map<Case, Map<string, Load[]>>(CASES.map((each) => [each, new Map(servers.all.map(({ name }) => [name, []]))]));
    for (let round = 1; round <= rounds; round += 1) {
      say(`hits: round ${round} of ${rounds}`);
      for (const each of CASES) {
        for (const server of servers.all) {
          const headers = each.conditional ? { 'If-None-Match': await etagOf(server, each.object) } : {};
          const measured = await load({ url: server.urlOf(each.object), connections: CONNECTIONS, seconds, core: CLIENT_CORE, headers });
          loads.get(each)?.get(server.name)?.push(measured);
        }
      }
    }
    const rows: Row[] = CASES.map((each) => ({
      name: each.name,
      targets: each.targets,
      servers: Object.fromEntries([...(loads.get(each) ?? [])].map(([name, samples]) => [name, medianOf(samples)])),
    }));
    const report = {
      suite: 'edge',
      machine: describeMachine(),
      versions: serverVersions(),
      connections: CONNECTIONS,
      rounds,
      seconds,
      rows,
    };
    const head = `One core for each server in turn, wrk on the other with ${CONNECTIONS} connections; medians of ${rounds} rounds of ${seconds} s.`;
    await publish(report, `${head}\n${nameMachine(report.machine)}, ${report.versions.join(', ')}\n\n${renderRows(rows)}\n`, options);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function writeFiles(dir: string, objects: ReadonlyMap<string, Uint8Array>): Promise<string> {
  await mkdir(join(dir, 'bench'), { recursive: true });
  for (const [name, bytes] of objects) await writeFile(join(dir, 'bench', name), bytes);
  return dir;
}

async function writeDataDirectory(dataDir: string, objects: ReadonlyMap<string, Uint8Array>): Promise<void> {
  await fillBlobs(dataDir, objects.values());
  await fillIndex(
    dataDir,
    [...objects].map(([name, bytes], at) =>
      manifestOf(`bench/${name}`, at + 1, { sha256: sha256Of(bytes), size: bytes.byteLength, contentType: 'application/octet-stream' }),
    ),
  );
}

/** Until it is in whatever memory the server has. */
async function warm(url: string): Promise<void> {
  for (let attempt = 1; attempt <= 5; attempt += 1) {
    const response = await fetch(url);
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`${url}: ${response.status}`);
  }
}

async function etagOf(server: Server, object: string): Promise<string> {
  const response = await fetch(server.urlOf(object), { method: 'HEAD' });
  return response.headers.get('etag') ?? '';
}
