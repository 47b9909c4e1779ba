/** How often the memory tier has what is asked for, beside LRU, on a Zipf trace that scans run through. */
import { LRUCache } from 'lru-cache';
import { ITEM_OVERHEAD_BYTES } from '../../apps/edge/src/domain/s3-fifo.ts';
import { memoryOf } from '../../apps/edge/src/services/memory-tier.fixture.ts';
import { describeMachine } from '../machine.ts';
import { type BenchOptions, publish, say } from '../publish.ts';
import { renderTable } from '../table.ts';
import { seededRandom, zipfRanks } from './zipf.ts';

const SEED = 1;
const EXPONENT = 0.9;
const OBJECT_BYTES = 1024;
const THREADS = [1, 4];
/** Shares of all objects that fit into the memory. */
const SIZES = [0.01, 0.05, 0.1, 0.25];

export interface Trace {
  readonly objects: number;
  readonly requests: number;
  /** One request in so many is of a scan: of objects that nobody else asks for, each once. 0: no scans. */
  readonly scanEvery: number;
}
const FULL: Trace = { objects: 100_000, requests: 2_000_000, scanEvery: 5 };
const QUICK: Trace = { objects: 10_000, requests: 200_000, scanEvery: 5 };

export interface HitRatios {
  /** Shares of the requests that are of no scan, after the first half, in which the memory fills. */
  readonly lru: number;
  /** By the number of threads. */
  readonly tier: Readonly<Record<number, number>>;
}

/** Replays one trace for LRU and for the real memory tier; the threads take turns with the requests, as connections that are spread evenly make them. */
export function replay({ objects, requests, scanEvery }: Trace, share: number, threads: readonly number[]): HitRatios {
  const maxBytes = Math.round(objects * share) * (OBJECT_BYTES + ITEM_OVERHEAD_BYTES);
  const lru = new LRUCache<string, true>({ maxSize: maxBytes, sizeCalculation: () => OBJECT_BYTES + ITEM_OVERHEAD_BYTES });
  const askLru = (name: string): boolean => {
    const hit = lru.get(name) !== undefined;
    if (!hit) lru.set(name, true);
    return hit;
  };
  const ratioOf = (ask: (name: string, request: number) => boolean): number => {
    const nextRank = zipfRanks(objects, EXPONENT, seededRandom(SEED));
    let [hits, counted] = [0, 0];
    for (let request = 0; request < requests; request += 1) {
      const ofScan = scanEvery > 0 && request % scanEvery === 0;
      const hit = ask(ofScan ? `scan-${request}` : String(nextRank()), request);
      if (ofScan || request < requests / 2) continue;
      counted += 1;
      if (hit) hits += 1;
    }
    return hits / counted;
  };
  const tierOf = (count: number): number => {
    const memory = memoryOf(count, maxBytes, () => OBJECT_BYTES);
    return ratioOf((name, request) => memory.ask(name, request % count));
  };
  return { lru: ratioOf(askLru), tier: Object.fromEntries(threads.map((count) => [count, tierOf(count)])) };
}

export async function hitRatios(options: BenchOptions): Promise<void> {
  const trace = options.quick ? QUICK : FULL;
  const rows = [trace, { ...trace, scanEvery: 0 }].flatMap((each) =>
    SIZES.map((share) => {
      say(`hit ratios: memory for ${share * 100} % of the objects, ${each.scanEvery > 0 ? 'with' : 'without'} scans`);
      return { scans: each.scanEvery > 0, share, ...replay(each, share, THREADS) };
    }),
  );
  const percent = (ratio: number): string => `${(100 * ratio).toFixed(1)} %`;
  const cells = [
    ['memory for', 'scans', 'LRU', ...THREADS.map((count) => `Sluice, ${count} ${count === 1 ? 'thread' : 'threads'}`)],
    ...rows.map(({ scans, share, lru, tier }) => [
      `${share * 100} % of the objects`,
      scans ? `1 request in ${trace.scanEvery}` : 'none',
      percent(lru),
      ...THREADS.map((count) => percent(tier[count] as number)),
    ]),
  ];
  const head = `Hit ratios of ${trace.requests} requests for ${trace.objects} objects of 1 KiB, Zipf ${EXPONENT}; requests of scans are not counted, nor is the first half, in which the memory fills.`;
  await publish({ suite: 'edge-ratios', machine: describeMachine(), trace, rows }, `${head}\n\n${renderTable(cells)}\n`, options);
}
