/** What visitors notice while pushes arrive. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Stack } from '@sluice/stack';
import { manifestOf } from '../../apps/edge/src/domain/history.fixture.ts';
import { describeMachine, nameMachine } from '../machine.ts';
import { type BenchOptions, publish, say } from '../publish.ts';
import { percentile } from '../statistics.ts';
import { renderTable } from '../table.ts';
import { Client } from './client.ts';
import { fillBlobs, fillIndex, sha256Of } from './data-directory.ts';
import type { HitClientOptions, Latencies } from './hit-client.ts';
import type { Pushed, PusherOptions } from './pusher.ts';
import { pinTo } from './servers.ts';

const run = promisify(execFile);

const EDGE_ID = 'us-1';
/** Of broker, origin, controller, the client and who pushes. */
const OTHER_CORE = '1';
const OBJECTS = 100;
const OBJECT_BYTES = 1024;
const LOAD = { connections: 32, requestsPerSecond: 4_000 };
const PUSHES = { perSecond: 100, bytes: 10_000 };
/** The client begins in the midst of the pushes. */
const LEAD_MS = 500;
const TARGET = 1.5;

const LAYOUTS = [
  { name: 'on core 0', cores: '0' },
  { name: 'on both cores', cores: '0,1' },
] as const;

/** `elsewhere`: the same pushes to who is no edge, for what pushing costs the client on its core. */
const SITUATIONS = ['quiet', 'elsewhere', 'pushes'] as const;
type Situation = (typeof SITUATIONS)[number];

interface Sample extends Latencies {
  readonly pushed: Pushed | undefined;
}

export async function pushes(options: BenchOptions): Promise<void> {
  const [rounds, seconds] = options.quick ? [1, 1] : [7, 6];
  const dir = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  try {
    const paths = await writeDataDirectory(join(dir, `edge-${EDGE_ID}`));
    await using stack = await Stack.start({
      dataDir: dir,
      edges: [{ id: EDGE_ID, region: 'US', env: { EDGE_SERVING_THREADS: '1' } }],
    });
    for (const { pid } of [stack.broker, stack.origin, stack.controller]) pinTo(pid, OTHER_CORE);
    await warm(stack.edge(EDGE_ID).url, paths);
    const rows = [];
    for (const { name, cores } of LAYOUTS) {
      pinTo(stack.edge(EDGE_ID).pid, cores);
      const samples: Record<Situation, Sample[]> = { quiet: [], elsewhere: [], pushes: [] };
      await measure(stack, paths, 'pushes', seconds);
      for (let round = 1; round <= rounds; round += 1) {
        say(`pushes: edge ${name}, round ${round} of ${rounds}`);
        for (const situation of SITUATIONS) samples[situation].push(await measure(stack, paths, situation, seconds));
      }
      rows.push({ edge: name, ...summarize(samples) });
    }
    const report = { suite: 'edge-pushes', machine: describeMachine(), rounds, seconds, ...LOAD, ...PUSHES, rows };
    await publish(report, render(report), options);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

interface Times {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

interface Row {
  readonly edge: string;
  readonly hits: Readonly<Record<Situation, Times>>;
  readonly confirmed: Times;
}

function medianOf(samples: readonly (Times | undefined)[]): Times {
  const median = (pick: (sample: Times) => number): number =>
    percentile(
      samples.flatMap((sample) => (sample === undefined ? [] : [pick(sample)])),
      0.5,
    );
  return { p50Ms: median(({ p50Ms }) => p50Ms), p99Ms: median(({ p99Ms }) => p99Ms) };
}

function summarize(samples: Readonly<Record<Situation, readonly Sample[]>>): Omit<Row, 'edge'> {
  return {
    hits: { quiet: medianOf(samples.quiet), elsewhere: medianOf(samples.elsewhere), pushes: medianOf(samples.pushes) },
    confirmed: medianOf(samples.pushes.map(({ pushed }) => pushed)),
  };
}

async function measure(stack: Stack, paths: readonly string[], situation: Situation, seconds: number): Promise<Sample> {
  const edge = stack.edge(EDGE_ID);
  const toNobody = situation === 'elsewhere';
  const pushing =
    situation === 'quiet'
      ? undefined
      : runPinned<Pushed, PusherOptions>('pusher.ts', {
          ...{ natsUrl: stack.natsUrl, edgeId: toNobody ? 'nobody' : EDGE_ID, answers: toNobody },
          ...PUSHES,
          seconds: seconds + (2 * LEAD_MS) / 1000,
        });
  await new Promise((resolve) => setTimeout(resolve, LEAD_MS));
  const hits = await runPinned<Latencies, HitClientOptions>('hit-client.ts', {
    ...{ port: edge.port, paths, bodyBytes: OBJECT_BYTES, ...LOAD, seconds },
  });
  return { ...hits, pushed: await pushing };
}

/** Runs one of the programs beside this file on {@link OTHER_CORE}, and returns what it prints. */
async function runPinned<Result, Options extends object>(file: string, options: Options): Promise<Result> {
  const args = ['-c', OTHER_CORE, process.execPath, join(import.meta.dirname, file), JSON.stringify(options)];
  const { stdout } = await run('taskset', args);
  return JSON.parse(stdout) as Result;
}

/** Objects that are hits. Returns their paths. */
async function writeDataDirectory(dataDir: string): Promise<string[]> {
  const contents = Array.from({ length: OBJECTS }, (_, number) => Buffer.alloc(OBJECT_BYTES, `object ${number} `));
  await fillBlobs(dataDir, contents);
  const manifests = contents.map((bytes, at) => manifestOf(`bench/${at}`, at + 1, { sha256: sha256Of(bytes), size: OBJECT_BYTES }));
  await fillIndex(dataDir, manifests);
  return manifests.map(({ key }) => `/${key}`);
}

/** What is asked for again is in memory. */
async function warm(url: string, paths: readonly string[]): Promise<void> {
  using client = new Client(1);
  for (let time = 0; time < 3; time += 1) {
    for (const path of paths) {
      const { status } = await client.get(`${url}${path}`);
      if (status !== 200) throw new Error(`${path}: ${status}`);
    }
  }
}

function render(report: {
  readonly machine: ReturnType<typeof describeMachine>;
  readonly rounds: number;
  readonly seconds: number;
  readonly rows: readonly Row[];
}): string {
  const { machine, rounds, seconds, rows } = report;
  const times = ({ p50Ms, p99Ms }: Times): string => `${p50Ms.toFixed(2)} / ${p99Ms.toFixed(2)}`;
  const cells = [
    ['edge', 'quiet', 'pushes elsewhere', 'pushes to the edge', 'p99 to quiet', 'p99 to elsewhere', 'target', 'met', 'confirmed after'],
    ...rows.map(({ edge, hits, confirmed }) => {
      const ratio = hits.pushes.p99Ms / hits.quiet.p99Ms;
      const toElsewhere = hits.pushes.p99Ms / hits.elsewhere.p99Ms;
      return [
        ...[edge, times(hits.quiet), times(hits.elsewhere), times(hits.pushes), `${ratio.toFixed(2)}×`, `${toElsewhere.toFixed(2)}×`],
        ...[`≤ ${TARGET} to quiet`, ratio <= TARGET ? 'yes' : 'NO', times(confirmed)],
      ];
    }),
  ];
  return `${LOAD.requestsPerSecond} hits of 1 KiB a second over ${LOAD.connections} connections, quiet and while ${PUSHES.perSecond} objects of ${PUSHES.bytes / 1000} kB a second are pushed over the bus; p50 / p99 in ms, medians of ${rounds} rounds of ${seconds} s.
Broker, who pushes, the client, origin and controller are on core 1; "elsewhere" are the same pushes to a subject that no edge listens on, for what they cost the client there.
${nameMachine(machine)}

${renderTable(cells)}
`;
}
