/** Pages of a listing, out of many keys and out of very many. */
import { join } from 'node:path';
import { seededRandom } from '../edge/zipf.ts';
import { type BenchOptions, publish, say } from '../publish.ts';
import { settleDisk } from '../settle.ts';
import { fillCatalog, keysOf } from './catalog-filling.ts';
import { Connection, type WrittenRequest } from './connection.ts';
import { ask, type Check, type Load, load, medianOf, mustBe200 } from './load.ts';
import { type Row, ratioOf, renderReport, reportOf } from './report.ts';
import { written } from './requests.ts';
import type { Side } from './side.ts';
import { originDataIn, type SluiceSide, startSluice } from './sluice-side.ts';
import type { Scene } from './suite.ts';

const BUCKET = 'listing';
const SEED = 1;
const FILLS_IN_FLIGHT = 16;
const TARGET = 5;
/** Of a page: the gateway's have fewer keys than there are at times, which S3 allows. */
const LEAST_SHARE = 0.5;
/** Of the page out of ten times as many keys: what two measurements of the same differ by here. */
const SAME = 0.9;

interface Sizes {
  readonly many: number;
  readonly veryMany: number;
  /** Keys of a page. */
  readonly page: number;
  readonly pages: number;
  readonly rounds: number;
  /** How long the other server may take to be filled. */
  readonly fillMs: number;
}
const FULL: Sizes = { many: 100_000, veryMany: 1_000_000, page: 1_000, pages: 100, rounds: 5, fillMs: 120_000 };
const QUICK: Sizes = { many: 3_000, veryMany: 10_000, page: 1_000, pages: 10, rounds: 1, fillMs: 10_000 };

export async function listing(options: BenchOptions, { dir, gateway }: Scene): Promise<void> {
  const sizes = options.quick ? QUICK : FULL;
  const keys = keysOf(sizes.many);
  const filled = gateway === undefined ? 0 : await fillByUploads(gateway, keys, sizes.fillMs);
  await using few = await startFilled(join(dir, 'many'), keys);
  const moreKeys = keysOf(sizes.veryMany);
  await using more = await startFilled(join(dir, 'very-many'), moreKeys);
  const lists: [Side, readonly string[]][] = [
    [few, keys],
    [more, moreKeys],
  ];
  if (gateway !== undefined) lists.push([gateway, keys.slice(0, filled)]);
  const samples = new Map<Side, Load[]>(lists.map(([side]) => [side, []]));
  const came = new Map<Side, number[]>(lists.map(([side]) => [side, []]));
  const random = seededRandom(SEED);
  settleDisk();
  // The first round is not counted.
  for (let round = 0; round <= sizes.rounds; round += 1) {
    say(round === 0 ? 'listing: warming up' : `listing: round ${round} of ${sizes.rounds}`);
    for (const [side, held] of lists) {
      const result = await load(side, pagesAt(side, held, sizes, random), 1, mustBePage(sizes.page, came.get(side) ?? []));
      if (round > 0) samples.get(side)?.push(result);
    }
  }
  const of = (side: Side): Load => medianOf(samples.get(side) ?? []);
  const rowOf = (name: string, side: Side, other: Row['other'], target: number): Row => ({
    name,
    by: 'p50Ms',
    sluice: of(side),
    other,
    target,
  });
  const page = `${sizes.page} keys out of`;
  const rows = [
    rowOf(`${page} ${sizes.many}`, few, gateway && { name: `${gateway.name} (of ${filled})`, load: of(gateway) }, TARGET),
    rowOf(`${page} ${sizes.veryMany}`, more, { name: `Sluice (of ${sizes.many})`, load: of(few) }, SAME),
  ];
  const fewest = (side: Side): number => Math.min(...(came.get(side) ?? []));
  const report = { ...reportOf('origin-listing', rows), filled, ratios: rows.map(ratioOf) };
  const short =
    gateway === undefined
      ? ''
      : `, the gateway by ${filled} uploads of nothing. Its pages had ${fewest(gateway)} keys at least, Sluice's ${fewest(few)}`;
  const how = `${sizes.pages} pages of ListObjectsV2 in each of ${sizes.rounds} rounds after one to warm up, one at a time, each after a key at random; medians of the rounds.
Sluice's catalog was filled through its own code without uploads${short}.`;
  await publish(report, renderReport(report, how), options);
}

async function startFilled(dir: string, keys: readonly string[]): Promise<SluiceSide> {
  say(`listing: filling a catalog with ${keys.length} keys`);
  await fillCatalog(originDataIn(dir), BUCKET, keys);
  return startSluice(dir);
}

/** Uploads objects of nothing for at most so long. Returns how many, which are the first ones. */
async function fillByUploads(side: Side, keys: readonly string[], maxMs: number): Promise<number> {
  say(`listing: uploading ${keys.length} objects to ${side.name}, for at most ${maxMs / 1000} s`);
  await ask(side.port, written(side, { method: 'PUT', bucket: BUCKET }));
  const until = performance.now() + maxMs;
  let uploaded = 0;
  const fill = async (): Promise<void> => {
    using connection = await Connection.open(side.port);
    while (performance.now() < until && uploaded < keys.length) {
      const key = keys[uploaded] as string;
      uploaded += 1;
      mustBe200(await connection.send(written(side, { method: 'PUT', bucket: BUCKET, key, body: Buffer.alloc(0) })));
    }
  };
  await Promise.all(Array.from({ length: FILLS_IN_FLIGHT }, fill));
  return uploaded;
}

function pagesAt(side: Side, keys: readonly string[], { page, pages }: Sizes, random: () => number): WrittenRequest[] {
  return Array.from({ length: pages }, () => {
    const after = keys[Math.floor(random() * (keys.length - page))] as string;
    return written(side, {
      method: 'GET',
      bucket: BUCKET,
      query: { 'list-type': '2', 'max-keys': String(page), 'start-after': after },
    });
  });
}

/** Notes how many keys came. */
function mustBePage(page: number, came: number[]): Check {
  return (reply) => {
    mustBe200(reply);
    const keys = reply.text.split('<Contents>').length - 1;
    if (keys < LEAST_SHARE * page) throw new Error(`${keys} keys came instead of ${page}: ${reply.text.slice(0, 500)}`);
    came.push(keys);
  };
}
