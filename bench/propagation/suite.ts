/** How long until content is on all edges, next to rsync in daemon mode. */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeMachine, residentBytes } from '../machine.ts';
import { type BenchOptions, publish, say } from '../publish.ts';
import { settleDisk, settleMemory } from '../settle.ts';
import { eachOf, percentile, timed } from '../statistics.ts';
import { type Row, renderReport } from './report.ts';
import { RsyncSide } from './rsync-side.ts';
import { SluiceSide } from './sluice-side.ts';

const EDGES = 10;
const SMALL_BYTES = 10_000;
const LARGE_BYTES = 100_000_000;
const UPLOADS_IN_FLIGHT = 32;
const RSS_SAMPLE_MS = 20;
/** As much as the large object takes on all edges. */
const SETTLED_BYTES = 1.2 * EDGES * LARGE_BYTES;

interface Sizes {
  readonly sequential: number;
  readonly rsyncSequential: number;
  readonly burst: number;
  readonly large: number;
  readonly invalidations: number;
  readonly warmUp: number;
}
const FULL: Sizes = { sequential: 300, rsyncSequential: 30, burst: 2_000, large: 5, invalidations: 300, warmUp: 2_000 };
const QUICK: Sizes = { sequential: 30, rsyncSequential: 3, burst: 200, large: 1, invalidations: 30, warmUp: 100 };

export async function propagation({ json, quick }: BenchOptions): Promise<void> {
  const sizes = quick ? QUICK : FULL;
  const dir = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  try {
    say(`starting a stack with ${EDGES} edges`);
    await using sluice = await SluiceSide.start(join(dir, 'sluice'), EDGES);
    await using rsync = RsyncSide.isInstalled() ? await RsyncSide.start(join(dir, 'rsync'), EDGES) : undefined;
    if (rsync === undefined) say('rsync is not installed: its column stays empty');
    const sources = join(dir, 'sources');
    await mkdir(sources);

    say(`warming up with ${sizes.warmUp} objects`);
    await eachOf([...Array(sizes.warmUp).keys()], UPLOADS_IN_FLIGHT, async (index) => {
      await sluice.confirmed(await sluice.upload(`bench/warm/${index}`, randomBytes(SMALL_BYTES)));
    });
    const rows: Row[] = [];
    const step = async (what: string, measure: () => Promise<Row>): Promise<void> => {
      say(what);
      settleDisk();
      rows.push(await measure());
    };
    await step('one small object after another', () => sequential(sluice, rsync, sources, sizes));
    await step('many small objects at a time', () => burst(sluice, rsync, sources, sizes));
    await step('invalidations', () => invalidations(sluice, sizes));
    await step('one large object', () => large(sluice, rsync, sources, sizes));

    const report = { suite: 'propagation', machine: describeMachine(), edges: EDGES, warmUpObjects: sizes.warmUp, rows };
    await publish(report, renderReport(report), { json, quick });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function sequential(sluice: SluiceSide, rsync: RsyncSide | undefined, sources: string, sizes: Sizes): Promise<Row> {
  const confirmMs: number[] = [];
  let movedBytes = 0;
  for (let index = 0; index < sizes.sequential; index++) {
    const id = await sluice.upload(`bench/one/${index}`, randomBytes(SMALL_BYTES));
    confirmMs.push(
      await timed(async () => {
        const outcome = await sluice.confirmed(id);
        movedBytes += outcome.edges.reduce((sum, { bytes }) => sum + bytes, 0);
      }),
    );
  }
  const rsyncMs: number[] = [];
  for (let index = 0; index < sizes.rsyncSequential && rsync !== undefined; index++) {
    const file = join(sources, `one-${index}`);
    await writeFile(file, randomBytes(SMALL_BYTES));
    rsyncMs.push(await timed(() => rsync.deliver(file)));
  }
  return {
    name: `10 kB, one after another (${sizes.sequential}): answered → confirmed by all`,
    unit: 'ms',
    better: 'lower',
    sluice: { p50: percentile(confirmMs, 0.5), p99: percentile(confirmMs, 0.99) },
    rsync: rsync && { p50: percentile(rsyncMs, 0.5), p99: percentile(rsyncMs, 0.99) },
    movedBytes,
    target: 'p50 ≤ 6, p99 ≤ 25',
    met: percentile(confirmMs, 0.5) <= 6 && percentile(confirmMs, 0.99) <= 25,
  };
}

async function burst(sluice: SluiceSide, rsync: RsyncSide | undefined, sources: string, sizes: Sizes): Promise<Row> {
  const contents = Array.from({ length: sizes.burst }, () => randomBytes(SMALL_BYTES));
  const confirmations: Promise<unknown>[] = [];
  const sluiceMs = await timed(async () => {
    await eachOf([...contents.keys()], UPLOADS_IN_FLIGHT, async (index) => {
      confirmations.push(sluice.confirmed(await sluice.upload(`bench/burst/${index}`, contents[index] as Buffer)));
    });
    await Promise.all(confirmations);
  });
  const batch = join(sources, 'batch');
  await mkdir(batch);
  for (const [index, bytes] of contents.entries()) await writeFile(join(batch, String(index)), bytes);
  const rsyncMs = rsync && (await timed(() => rsync.deliver(`${batch}/`)));
  const perSecond = (ms: number): number => (sizes.burst * 1000) / ms;
  return {
    name: `10 kB, ${sizes.burst} objects, ${UPLOADS_IN_FLIGHT} uploads at a time (rsync: one batch that is complete beforehand)`,
    unit: 'objects/s',
    better: 'higher',
    sluice: { p50: perSecond(sluiceMs) },
    rsync: rsyncMs === undefined ? undefined : { p50: perSecond(rsyncMs) },
    movedBytes: sizes.burst * SMALL_BYTES * EDGES,
    target: '≥ 300',
    met: perSecond(sluiceMs) >= 300,
  };
}

async function large(sluice: SluiceSide, rsync: RsyncSide | undefined, sources: string, sizes: Sizes): Promise<Row> {
  const { stack } = sluice;
  const peaks = { origin: 0, edges: 0 };
  const sample = setInterval(() => {
    peaks.origin = Math.max(peaks.origin, residentBytes(stack.origin.pid));
    for (const edge of stack.edges.values()) peaks.edges = Math.max(peaks.edges, residentBytes(edge.pid));
  }, RSS_SAMPLE_MS);
  const confirmMs: number[] = [];
  const uploadMs: number[] = [];
  const rsyncMs: number[] = [];
  let movedBytes = 0;
  for (let index = 0; index < sizes.large; index++) {
    const bytes = randomBytes(LARGE_BYTES);
    settleDisk();
    await settleMemory(sources, SETTLED_BYTES);
    const uploadedAt = performance.now();
    const id = await sluice.upload(`bench/large/${index}`, bytes);
    const answeredAt = performance.now();
    const outcome = await sluice.confirmed(id);
    uploadMs.push(answeredAt - uploadedAt);
    confirmMs.push(performance.now() - answeredAt);
    movedBytes += outcome.edges.reduce((sum, edge) => sum + edge.bytes, 0);
    const file = join(sources, `large-${index}`);
    await writeFile(file, bytes);
    settleDisk();
    await settleMemory(sources, SETTLED_BYTES);
    if (rsync !== undefined) rsyncMs.push(await timed(() => rsync.deliver(file)));
    await rm(file);
  }
  clearInterval(sample);
  const median = percentile(confirmMs, 0.5);
  const rsyncMedian = percentile(rsyncMs, 0.5);
  const memoryMb = { origin: Math.round(peaks.origin / 1e6), edges: Math.round(peaks.edges / 1e6) };
  return {
    name: `100 MB (median of ${sizes.large}): answered → confirmed by all; the upload itself took ${Math.round(percentile(uploadMs, 0.5))} ms`,
    unit: 'ms',
    better: 'lower',
    sluice: { p50: median, p99: Math.max(...confirmMs) },
    rsync: rsync && { p50: rsyncMedian, p99: Math.max(...rsyncMs) },
    movedBytes,
    target: `≤ rsync; RSS < 200 MB (origin ${memoryMb.origin} MB, largest edge ${memoryMb.edges} MB)`,
    met: (rsync === undefined || median <= rsyncMedian) && memoryMb.origin < 200 && memoryMb.edges < 200,
  };
}

async function invalidations(sluice: SluiceSide, sizes: Sizes): Promise<Row> {
  const confirmMs: number[] = [];
  for (let index = 0; index < sizes.invalidations; index++) {
    const id = await sluice.invalidate(`bench/one/${index % sizes.sequential}`);
    confirmMs.push(await timed(() => sluice.confirmed(id)));
  }
  return {
    name: `invalidation of one key (${sizes.invalidations}): answered → confirmed by all`,
    unit: 'ms',
    better: 'lower',
    sluice: { p50: percentile(confirmMs, 0.5), p99: percentile(confirmMs, 0.99) },
    rsync: undefined,
    movedBytes: 0,
    target: 'p50 ≤ 4',
    met: percentile(confirmMs, 0.5) <= 4,
  };
}
