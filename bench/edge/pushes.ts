/** What visitors notice while pushes arrive. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

const EDGE_ID = 'us-1';
/** Of broker, origin, controller, the client and who pushes. */
const OTHER_CORE = '1';
const OBJECTS = 100;
const OBJECT_BYTES = 1024;
const LOAD = { connections: 32, requestsPerSecond: 4_000 };
const PUSHES = { perSecond: 100, bytes: 10_000 };
/** By which pushes go on longer than the client asks, and its start takes. */
const LONGER_SECONDS = 1;
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
  const [rounds, seconds] = options.quick ? [1, 2] : [9, 3];
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
/** Medians of several rounds. */
interface Rounds extends Times {
  /** Of all rounds: what else runs on the machine only adds. */
  readonly lowestP99Ms: number;
}

interface Row {
  readonly edge: string;
  readonly hits: Readonly<Record<Situation, Rounds>>;
  readonly confirmed: Rounds;
}

function roundsOf(samples: readonly (Times | undefined)[]): Rounds {
  const taken = samples.filter((sample) => sample !== undefined);
  const p99s = taken.map(({ p99Ms }) => p99Ms);
  return {
    p50Ms: percentile(
      taken.map(({ p50Ms }) => p50Ms),
      0.5,
    ),
    p99Ms: percentile(p99s, 0.5),
    lowestP99Ms: Math.min(...p99s),
  };
}

function summarize(samples: Readonly<Record<Situation, readonly Sample[]>>): Omit<Row, 'edge'> {
  return {
    hits: { quiet: roundsOf(samples.quiet), elsewhere: roundsOf(samples.elsewhere), pushes: roundsOf(samples.pushes) },
    confirmed: roundsOf(samples.pushes.map(({ pushed }) => pushed)),
  };
}

async function measure(stack: Stack, paths: readonly string[], situation: Situation, seconds: number): Promise<Sample> {
  const client: HitClientOptions = { port: stack.edge(EDGE_ID).port, paths, bodyBytes: OBJECT_BYTES, ...LOAD, seconds };
  if (situation === 'quiet') return { ...(await runPinned<Latencies>('hit-client.ts', client).result), pushed: undefined };
  const toNobody = situation === 'elsewhere';
  const pusher: PusherOptions = {
    ...{ natsUrl: stack.natsUrl, edgeId: toNobody ? 'nobody' : EDGE_ID, answers: toNobody },
    ...PUSHES,
    seconds: seconds + LONGER_SECONDS,
  };
  const pushing = runPinned<Pushed>('pusher.ts', pusher, ['nice', '-n', '19']);
  await Promise.race([pushing.begun, pushing.result]);
  const hits = await runPinned<Latencies>('hit-client.ts', client).result;
  return { ...hits, pushed: await pushing.result };
}

/** Runs one of the programs beside this file on {@link OTHER_CORE}. It says when it begins, and then what it has found. */
function runPinned<Result>(
  file: string,
  options: object,
  before: readonly string[] = [],
): { begun: Promise<void>; result: Promise<Result> } {
  const [command = 'taskset', ...args] = [...before, 'taskset', '-c', OTHER_CORE, process.execPath];
  const child = spawn(command, [...args, join(import.meta.dirname, file), JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    if (said.includes('\n')) begin();
  });
  const result = once(child, 'close').then(([code]) => {
    if (code !== 0) throw new Error(`${file} exited with ${code}`);
    return JSON.parse(said.trim().split('\n').at(-1) as string) as Result;
  });
  return { begun, result };
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
  const times = ({ p50Ms, p99Ms, lowestP99Ms }: Rounds): string => `${p50Ms.toFixed(2)} / ${p99Ms.toFixed(2)} (${lowestP99Ms.toFixed(2)})`;
  const ratio = (one: Rounds, other: Rounds): string =>
    `${(one.p99Ms / other.p99Ms).toFixed(2)}× (${(one.lowestP99Ms / other.lowestP99Ms).toFixed(2)}×)`;
  const cells = [
    ['edge', 'quiet', 'pushes elsewhere', 'pushes to the edge', 'to quiet', 'to elsewhere', 'target', 'met', 'confirmed after'],
    ...rows.map(({ edge, hits, confirmed }) => [
      ...[edge, times(hits.quiet), times(hits.elsewhere), times(hits.pushes)],
      ...[ratio(hits.pushes, hits.quiet), ratio(hits.pushes, hits.elsewhere)],
      ...[`≤ ${TARGET}× quiet`, hits.pushes.p99Ms <= TARGET * hits.quiet.p99Ms ? 'yes' : 'NO', times(confirmed)],
    ]),
  ];
  return `${LOAD.requestsPerSecond} hits of 1 KiB a second over ${LOAD.connections} connections, quiet and while ${PUSHES.perSecond} objects of ${PUSHES.bytes / 1000} kB a second are pushed over the bus; p50 / p99 in ms, medians of ${rounds} rounds of ${seconds} s (and the lowest p99 of them).
Broker, who pushes (at the lowest priority), the client, origin and controller are on core 1; "elsewhere" are the same pushes to a subject that no edge listens on, for what they cost the client there.
${nameMachine(machine)}

${renderTable(cells)}
`;
}
