/** What an index of a million manifests costs an edge: until it serves, and in memory. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Manifest } from '@sluice/contracts';
import { describeMachine, type Machine, nameMachine, residentBytes } from '../machine.ts';
import { type BenchOptions, publish, say } from '../publish.ts';
import { eachOf, percentile, timed } from '../statistics.ts';
import { renderTable } from '../table.ts';
import { Client } from './client.ts';
import { fillBlobs, fillIndex, sha256Of } from './data-directory.ts';
import { edgeAlone } from './edge-process.ts';
import { seededRandom } from './zipf.ts';

const SEED = 1;
/** One manifest in so many has its bytes on the disk, so that it can be asked for. */
const HELD_EVERY = 10;
const CONNECTIONS = 8;
const PROBE_MS = 5;
const START_TARGET_MS = 3_000;
const RSS_TARGET_BYTES = 400e6;

interface Sizes {
  readonly manifests: number;
  readonly starts: number;
  readonly requests: number;
}
const FULL: Sizes = { manifests: 1_000_000, starts: 5, requests: 100_000 };
const QUICK: Sizes = { manifests: 20_000, starts: 1, requests: 2_000 };

const KINDS = [
  { extension: 'webp', contentType: 'image/webp', codings: [] },
  { extension: 'js', contentType: 'text/javascript; charset=utf-8', codings: ['br', 'zstd', 'gzip'] },
  { extension: 'avif', contentType: 'image/avif', codings: [] },
  { extension: 'jpg', contentType: 'image/jpeg', codings: [] },
] as const;

/** The content of one that is held: small, because its index is what this is about. */
export function contentOf(number: number): Uint8Array {
  return Buffer.from(`the content of object ${number}`);
}

export function keyOf(number: number): string {
  const spread = createHash('sha1').update(String(number)).digest('hex');
  const { extension } = KINDS[number % KINDS.length] as (typeof KINDS)[number];
  return `shop/assets/${spread.slice(0, 2)}/${spread.slice(2, 4)}/${spread.slice(4, 20)}-${number}.${extension}`;
}

/** A manifest as the origin makes them for a shop's files: about 500 bytes as JSON on average. */
export function manifestOf(number: number): Manifest {
  const { contentType, codings } = KINDS[number % KINDS.length] as (typeof KINDS)[number];
  const content = contentOf(number);
  return {
    key: keyOf(number),
    version: 1_795_000_000_000_000 + number,
    sha256: sha256Of(content),
    size: content.byteLength,
    contentType,
    cacheControl: 'public, max-age=31536000, immutable',
    meta: { build: `2026-11-${number % 30}` },
    regions: [],
    tags: [`release-${number % 50}`],
    uploadedAt: '2026-11-24T19:48:29.845Z',
    variants: codings.map((coding) => ({ coding, sha256: sha256Of(Buffer.from(`${coding} of ${number}`)), size: 17 })),
  };
}

interface Started {
  /** From spawning the process. */
  readonly healthyMs: number;
  readonly servedMs: number;
}

interface Report {
  readonly suite: string;
  readonly machine: Machine;
  readonly manifests: number;
  readonly manifestBytes: number;
  readonly indexBytes: number;
  readonly requests: number;
  readonly starts: { readonly cached: readonly Started[]; readonly uncached: readonly Started[] };
  readonly rssBytes: { readonly started: number; readonly used: number; readonly empty: number };
}

export async function largeIndex(options: BenchOptions): Promise<void> {
  const sizes = options.quick ? QUICK : FULL;
  const dir = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  try {
    say(`index: writing ${sizes.manifests} manifests`);
    const dataDir = join(dir, 'edge');
    const tookMs = await timed(() => fill(dataDir, sizes.manifests));
    say(`index: written in ${(tookMs / 1000).toFixed(0)} s`);
    const starts = { cached: [] as Started[], uncached: [] as Started[] };
    await startOnce(dir, false); // compiles what is kept compiled
    for (let round = 1; round <= sizes.starts; round += 1) {
      say(`index: start ${round} of ${sizes.starts}`);
      starts.cached.push(await startOnce(dir, false));
      starts.uncached.push(await startOnce(dir, true));
    }
    const report: Report = {
      suite: 'edge-index',
      machine: describeMachine(),
      manifests: sizes.manifests,
      manifestBytes: Buffer.byteLength(JSON.stringify(Array.from({ length: 1_000 }, (_, number) => manifestOf(number)))) / 1_000,
      indexBytes: (await stat(join(dataDir, 'index.db'))).size,
      requests: sizes.requests,
      starts,
      rssBytes: { ...(await measureMemory(dir, sizes)), empty: await emptyRss(join(dir, 'empty')) },
    };
    await publish(report, render(report), options);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

export async function fill(dataDir: string, manifests: number): Promise<void> {
  // In the order of their keys, as uploads of directories come, and without which this would take ten times as long.
  const keys = Array.from({ length: manifests }, (_, number) => keyOf(number));
  const numbers = [...keys.keys()].sort((one, other) => ((keys[one] as string) < (keys[other] as string) ? -1 : 1));
  await fillIndex(
    dataDir,
    (function* () {
      for (const number of numbers) yield manifestOf(number);
    })(),
  );
  await fillBlobs(
    dataDir,
    (function* () {
      for (let number = 0; number < manifests; number += HELD_EVERY) yield contentOf(number);
    })(),
  );
}

/** `uncached`: none of the directory is in the system's memory, as after a start of the machine. */
async function startOnce(dir: string, uncached: boolean): Promise<Started> {
  const edge = await edgeAlone(dir);
  if (uncached) for (const name of ['index.db', 'blobs/blobs.db']) dropFromCache(join(edge.dataDir, name));
  using client = new Client(1);
  const startedAt = performance.now();
  const starting = edge.start({ ready: false });
  const since = async (path: string): Promise<number> => {
    while (!(await answers(client, `${edge.url}/${path}`))) await new Promise((resolve) => setTimeout(resolve, PROBE_MS));
    return performance.now() - startedAt;
  };
  const healthyMs = await since('healthz');
  const servedMs = await since(keyOf(0));
  await starting;
  await edge.stop();
  return { healthyMs, servedMs };
}

async function answers(client: Client, url: string): Promise<boolean> {
  return client.get(url).then(
    ({ status }) => status === 200,
    () => false,
  );
}

/** GNU dd tells the system that it needs the file no more (https://www.gnu.org/software/coreutils/manual/html_node/dd-invocation.html, `nocache`). */
function dropFromCache(path: string): void {
  spawnSync('sync', [path]);
  spawnSync('dd', [`if=${path}`, 'iflag=nocache', 'count=0'], { stdio: 'ignore' });
}

async function measureMemory(dir: string, { manifests, requests }: Sizes): Promise<{ started: number; used: number }> {
  const edge = await edgeAlone(dir);
  await edge.start({ ready: false });
  try {
    using client = new Client(CONNECTIONS);
    await client.get(`${edge.url}/${keyOf(0)}`);
    const started = residentBytes(edge.pid);
    const random = seededRandom(SEED);
    const keys = Array.from({ length: requests }, () => keyOf(HELD_EVERY * Math.floor((random() * manifests) / HELD_EVERY)));
    await eachOf(keys, CONNECTIONS, async (key) => {
      const { status } = await client.get(`${edge.url}/${key}`);
      if (status !== 200) throw new Error(`${key}: ${status}`);
    });
    return { started, used: residentBytes(edge.pid) };
  } finally {
    await edge.stop();
  }
}

/** What the process takes without an index. */
async function emptyRss(dir: string): Promise<number> {
  const edge = await edgeAlone(dir);
  await edge.start({ ready: false });
  using client = new Client(1);
  await client.get(`${edge.url}/healthz`);
  const rss = residentBytes(edge.pid);
  await edge.stop();
  return rss;
}

function render(report: Report): string {
  const { manifests, manifestBytes, indexBytes, requests, starts, rssBytes, machine } = report;
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
  const row = (name: string, samples: readonly Started[], pick: (each: Started) => number): string[] => {
    const times = samples.map(pick);
    const [median, worst] = [percentile(times, 0.5), Math.max(...times)];
    return [
      name,
      `${median.toFixed(0)} ms, at most ${worst.toFixed(0)}`,
      `≤ ${START_TARGET_MS} ms`,
      worst <= START_TARGET_MS ? 'yes' : 'NO',
    ];
  };
  const memory = (name: string, bytes: number): string[] => [
    name,
    megabytes(bytes),
    `≤ ${megabytes(RSS_TARGET_BYTES)}`,
    bytes <= RSS_TARGET_BYTES ? 'yes' : 'NO',
  ];
  const cells = [
    ['measured', 'edge', 'target', 'met'],
    row('from the start of the process until /healthz answers', starts.cached, ({ healthyMs }) => healthyMs),
    row('until an object is served', starts.cached, ({ servedMs }) => servedMs),
    row('the same, nothing of the index in the memory of the system', starts.uncached, ({ servedMs }) => servedMs),
    memory('RSS after the first object', rssBytes.started),
    memory(`RSS after ${requests} requests for keys at random`, rssBytes.used),
    ['RSS of an edge that is empty, for comparison', megabytes(rssBytes.empty), '', ''],
  ];
  const head = `An index of ${manifests} manifests of ${manifestBytes.toFixed(0)} bytes of JSON on average (index.db: ${megabytes(indexBytes)}); ${starts.cached.length} starts of each kind; one in ${HELD_EVERY} has its bytes on the disk, and those are asked for.`;
  return `${head}\n${nameMachine(machine)}\n\n${renderTable(cells)}\n`;
}
