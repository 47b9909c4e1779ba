/** Many small objects, of which only the ones that are asked for most fit into the memory of a server. */
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { manifestOf } from '../../apps/edge/src/domain/history.fixture.ts';
import { memoryOf } from '../../apps/edge/src/services/memory-tier.fixture.ts';
import { describeMachine, type Machine, nameMachine } from '../machine.ts';
import { type BenchOptions, publish, say } from '../publish.ts';
import { eachOf } from '../statistics.ts';
import { Client } from './client.ts';
import { fillBlobs, fillIndex, sha256Of } from './data-directory.ts';
import { type Load, load, medianOf } from './load.ts';
import { type Row, renderRows } from './report.ts';
import { type Server, serverVersions, startServers } from './servers.ts';
import { seededRandom, zipfRanks } from './zipf.ts';

const SERVER_CORE = 0;
const CLIENT_CORE = 1;
const CONNECTIONS = 32;
const SEED = 1;
const EXPONENT = 0.9;
const OBJECT_BYTES = 1024;
/** Of the edge's memory tier and of Varnish: for about a tenth of the objects. */
const MEMORY_BYTES = 16 * 1024 ** 2;
const WARMING_CONNECTIONS = 32;

interface Sizes {
  readonly objects: number;
  /** Requests in the list that all servers are asked; it begins again at its end. */
  readonly requests: number;
  readonly rounds: number;
  readonly seconds: number;
}
const FULL: Sizes = { objects: 100_000, requests: 1_000_000, rounds: 5, seconds: 4 };
const QUICK: Sizes = { objects: 2_000, requests: 20_000, rounds: 1, seconds: 1 };

const TARGETS = { 'nginx static': 0.9, 'nginx proxy_cache': 1 };

/** Objects in directories of a hundred, as a site has them. */
export function nameOf(number: number): string {
  return `${String(Math.floor(number / 100)).padStart(4, '0')}/${number}.bin`;
}

function contentOf(number: number): Uint8Array {
  return Buffer.alloc(OBJECT_BYTES, `object ${number} `);
}

export async function distinctObjects(options: BenchOptions): Promise<void> {
  const sizes = options.quick ? QUICK : FULL;
  const { objects, requests, rounds, seconds } = sizes;
  const dir = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  try {
    say(`zipf: writing ${objects} objects`);
    const files = await writeFiles(join(dir, 'files'), objects);
    const prepareEdge = (dataDir: string): Promise<void> => writeDataDirectory(dataDir, objects);
    await using servers = await startServers(dir, { files, prepareEdge, core: SERVER_CORE, memoryBytes: MEMORY_BYTES });
    const ranks = drawRanks(objects, requests);
    const script = join(dir, 'requests.lua');
    await writeScript(script, join(dir, 'requests.txt'), objects, ranks);
    for (const server of servers.all) {
      say(`zipf: asking ${server.name} for every object once`);
      await askForAll(server, objects);
    }
    const loads = new Map<string, Load[]>(servers.all.map(({ name }) => [name, []]));
    // The first round fills the memories with what is asked for most.
    for (let round = 0; round <= rounds; round += 1) {
      say(round === 0 ? 'zipf: warming up' : `zipf: round ${round} of ${rounds}`);
      for (const server of servers.all) {
        const first = Math.floor((round * requests) / (rounds + 1));
        const measured = await load({
          url: server.urlOf(''),
          ...{ connections: CONNECTIONS, seconds, core: CLIENT_CORE },
          script: { path: script, args: [String(first)] },
        });
        if (round > 0) loads.get(server.name)?.push(measured);
      }
    }
    const report = {
      suite: 'edge-zipf',
      machine: describeMachine(),
      versions: serverVersions(),
      ...{ connections: CONNECTIONS, rounds, seconds, objects, requests, exponent: EXPONENT, seed: SEED, memoryBytes: MEMORY_BYTES },
      /** Share of the requests that the edge's memory tier answers, by a replay of the same list. */
      memoryHitShare: replay(ranks),
      rows: [
        {
          name: `1 KiB of ${objects}`,
          targets: TARGETS,
          servers: Object.fromEntries([...loads].map(([name, samples]) => [name, medianOf(samples)])),
        },
      ],
    };
    await publish(report, render(report), options);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

interface Report {
  readonly suite: string;
  readonly machine: Machine;
  readonly versions: readonly string[];
  readonly connections: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly objects: number;
  readonly requests: number;
  readonly memoryHitShare: number;
  readonly rows: readonly Row[];
}

function render(report: Report): string {
  const { objects, requests, memoryHitShare, connections, rounds, seconds, machine } = report;
  const disk = (100 * (1 - memoryHitShare)).toFixed(0);
  return `${objects} objects of 1 KiB, asked for by one seeded list of ${requests} requests (Zipf ${EXPONENT}), the same for each server and begun further on in each round.
One core for each server in turn, wrk on the other with ${connections} connections; medians of ${rounds} rounds of ${seconds} s after one to warm up.
${nameMachine(machine)}, ${report.versions.join(', ')}

${renderRows(report.rows)}

Sluice and Varnish have ${MEMORY_BYTES / 1024 ** 2} MiB for content: ${disk} % of the requests go to the edge's disk tier (by a replay of the list), and what Varnish has not it asks of nginx on the same core, for
it has no disk tier. nginx has no such setting: it reads files, with 10,000 of them kept open. All files and databases are in the memory of the system.
`;
}

export function drawRanks(objects: number, requests: number): Uint32Array {
  const next = zipfRanks(objects, EXPONENT, seededRandom(SEED));
  return Uint32Array.from({ length: requests }, next);
}

/** The memory tier alone, with the same list. */
function replay(ranks: Uint32Array): number {
  const memory = memoryOf(1, MEMORY_BYTES, () => OBJECT_BYTES);
  let [hits, counted] = [0, 0];
  for (const [at, rank] of ranks.entries()) {
    const hit = memory.ask(String(rank));
    if (at < ranks.length / 2) continue;
    counted += 1;
    if (hit) hits += 1;
  }
  return hits / counted;
}

/** Ranks are spread over the names, so that what is popular is not side by side. */
export function numberOf(rank: number, objects: number): number {
  // A step that shares no factor with 100,000 or 2,000.
  return (rank * 61_803) % objects;
}

async function writeFiles(dir: string, objects: number): Promise<string> {
  for (let first = 0; first < objects; first += 100) await mkdir(join(dir, 'bench', nameOf(first), '..'), { recursive: true });
  await eachOf([...Array(objects).keys()], 16, (number) => writeFile(join(dir, 'bench', nameOf(number)), contentOf(number)));
  return dir;
}

async function writeDataDirectory(dataDir: string, objects: number): Promise<void> {
  const numbers = [...Array(objects).keys()];
  await fillBlobs(
    dataDir,
    numbers.values().map((number) => contentOf(number)),
  );
  await fillIndex(
    dataDir,
    numbers.values().map((number) => {
      const sha256 = sha256Of(contentOf(number));
      return manifestOf(`bench/${nameOf(number)}`, number + 1, { sha256, size: OBJECT_BYTES, contentType: 'application/octet-stream' });
    }),
  );
}

/** For wrk (https://github.com/wg/wrk/blob/master/SCRIPTING): requests are made once for each object, so that asking costs the client the same for all servers. */
async function writeScript(script: string, list: string, objects: number, ranks: Uint32Array): Promise<void> {
  const stream = createWriteStream(list);
  for (let at = 0; at < ranks.length; at += 10_000) {
    const lines = Array.from(ranks.subarray(at, at + 10_000), (rank) => nameOf(numberOf(rank, objects)));
    if (!stream.write(`${lines.join('\n')}\n`)) await new Promise((resolve) => stream.once('drain', resolve));
  }
  await new Promise<void>((resolve) => stream.end(resolve));
  await writeFile(
    script,
    `local requests, at = {}, 0
function init(args)
  local made = {}
  for name in io.lines(${JSON.stringify(list)}) do
    made[name] = made[name] or wrk.format("GET", wrk.path .. name)
    requests[#requests + 1] = made[name]
  end
  at = tonumber(args[1])
end
function request()
  at = at % #requests + 1
  return requests[at]
end
`,
  );
}

async function askForAll(server: Server, objects: number): Promise<void> {
  using client = new Client(WARMING_CONNECTIONS);
  await eachOf([...Array(objects).keys()], WARMING_CONNECTIONS, async (number) => {
    const { status, bytes } = await client.get(server.urlOf(nameOf(number)));
    if (status !== 200 || bytes !== OBJECT_BYTES) throw new Error(`${server.urlOf(nameOf(number))}: ${status}, ${bytes} bytes`);
  });
}
