/** An edge as an HTTP server, next to nginx and Varnish on the same core with the same objects. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeMachine, firstLine } from '../machine.ts';
import { publish } from '../publish.ts';
import { percentile } from '../statistics.ts';
import { type Load, load } from './load.ts';
import { type Case, type Report, renderReport } from './report.ts';
import { isInstalled, type Server, startServers } from './servers.ts';

const SERVER_CORE = 0;
const CLIENT_CORE = 1;
const CONNECTIONS = 32;
const OBJECTS = { '1k': 1024, '100k': 100 * 1024, '10m': 10 * 1024 ** 2 } as const;

/** What is asked of each server, and how it has to compare: to nginx static, to nginx proxy_cache, to Varnish. */
const CASES: readonly (Case & { readonly object: keyof typeof OBJECTS; readonly conditional?: boolean })[] = [
  { name: '1 KiB', object: '1k', targets: { 'nginx static': 0.9, 'nginx proxy_cache': 1, Varnish: 1.25 } },
  { name: '100 KiB', object: '100k', targets: { 'nginx static': 1, 'nginx proxy_cache': 1.2, Varnish: 1 } },
  { name: '10 MiB', object: '10m', targets: { 'nginx static': 1, 'nginx proxy_cache': 1.2, Varnish: 1 } },
  { name: '304', object: '1k', conditional: true, targets: { 'nginx static': 0.9, 'nginx proxy_cache': 1, Varnish: 1.25 } },
];

export async function edge({ json, quick }: { readonly json: boolean; readonly quick: boolean }): Promise<void> {
  const say = (message: string): void => void process.stderr.write(`${message}\n`);
  if (!isInstalled('which', 'wrk')) throw new Error('wrk is not installed; on Debian: apt-get install wrk');
  for (const [command, flag] of [
    ['nginx', '-v'],
    ['varnishd', '-V'],
  ] as const)
    if (!isInstalled(command, flag)) say(`${command} is not installed: its columns stay empty`);
  const [rounds, seconds] = quick ? [1, 1] : [3, 3];
  const dir = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  try {
    const objects = new Map(Object.entries(OBJECTS).map(([name, size]) => [name, randomBytes(size)]));
    await using servers = await startServers(dir, objects, SERVER_CORE);
    const loads = new Map<Case, Map<string, Load[]>>(CASES.map((each) => [each, new Map(servers.all.map(({ name }) => [name, []]))]));
    for (let round = 1; round <= rounds; round += 1) {
      say(`round ${round} of ${rounds}`);
      for (const each of CASES) {
        for (const server of servers.all) {
          const headers = each.conditional ? { 'If-None-Match': await etagOf(server, each.object) } : {};
          const options = { connections: CONNECTIONS, seconds, core: CLIENT_CORE, headers };
          loads
            .get(each)
            ?.get(server.name)
            ?.push(await load({ url: server.urlOf(each.object), ...options }));
        }
      }
    }
    const report: Report = {
      suite: 'edge',
      machine: describeMachine(),
      versions: [firstLine('nginx', '-v'), firstLine('varnishd', '-V'), firstLine('wrk', '-v')].map((line) => line.slice(0, 60)),
      connections: CONNECTIONS,
      rounds,
      seconds,
      rows: CASES.map((each) => ({
        name: each.name,
        targets: each.targets,
        servers: Object.fromEntries([...(loads.get(each) ?? [])].map(([name, samples]) => [name, medianOf(samples)])),
      })),
    };
    await publish(report, renderReport(report), { json, quick });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function etagOf(server: Server, object: string): Promise<string> {
  const response = await fetch(server.urlOf(object), { method: 'HEAD' });
  return response.headers.get('etag') ?? '';
}

function medianOf(samples: readonly Load[]): Load {
  const median = (pick: (sample: Load) => number): number => percentile(samples.map(pick), 0.5);
  return {
    requestsPerSecond: median((sample) => sample.requestsPerSecond),
    megabytesPerSecond: median((sample) => sample.megabytesPerSecond),
    p50Ms: median((sample) => sample.p50Ms),
    p99Ms: median((sample) => sample.p99Ms),
  };
}
