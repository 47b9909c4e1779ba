/** Many small uploads at a time. */
import { join } from 'node:path';
import { type BenchOptions, publish, say } from '../publish.ts';
import { settleDisk } from '../settle.ts';
import type { WrittenRequest } from './connection.ts';
import { Contents } from './contents.ts';
import { ask, type Load, load, medianOf } from './load.ts';
import { renderReport, reportOf } from './report.ts';
import { written } from './requests.ts';
import type { Side } from './side.ts';
import { startSluice } from './sluice-side.ts';
import type { Scene } from './suite.ts';

const BUCKET = 'puts';
const BYTES = 10_000;
const IN_FLIGHT = 16;
const TARGET = 2;

export async function puts(options: BenchOptions, { dir, gateway }: Scene): Promise<void> {
  const [rounds, objects, warmUp] = options.quick ? [1, 300, 100] : [5, 5_000, 5_000];
  await using sluice = await startSluice(join(dir, 'sluice'));
  const sides = gateway === undefined ? [sluice] : [sluice, gateway];
  const contents = new Contents(BYTES);
  const samples = new Map<Side, Load[]>(sides.map((side) => [side, []]));
  for (const side of sides) {
    await ask(side.port, written(side, { method: 'PUT', bucket: BUCKET }));
    await load(side, uploads(side, contents, 'warm', warmUp), IN_FLIGHT);
  }
  for (let round = 1; round <= rounds; round += 1) {
    say(`puts: round ${round} of ${rounds}`);
    for (const side of sides) {
      const requests = uploads(side, contents, `round-${round}`, objects);
      settleDisk();
      samples.get(side)?.push(await load(side, requests, IN_FLIGHT));
    }
  }
  const row = {
    ...({ name: `PUT of ${BYTES / 1000} kB, ${IN_FLIGHT} in flight`, bytes: BYTES, by: 'requestsPerSecond', target: TARGET } as const),
    sluice: medianOf(samples.get(sluice) ?? []),
    other: gateway && { name: gateway.name, load: medianOf(samples.get(gateway) ?? []) },
  };
  const report = reportOf('origin-puts', [row]);
  const how = `${objects} objects in each of ${rounds} rounds after ${warmUp} to warm up, each with bytes of its own; the sides in turn, medians of the rounds. Requests are signed beforehand (UNSIGNED-PAYLOAD).
Sluice has each object on the disk when it answers; the gateway has them in memory. CPU is that of all processes of a side, for one request: origin and broker; gateway, OSD and monitor.`;
  await publish(report, renderReport(report, how), options);
}

function uploads(side: Side, contents: Contents, name: string, count: number): WrittenRequest[] {
  return Array.from({ length: count }, (_, number) =>
    written(side, { method: 'PUT', bucket: BUCKET, key: `${name}/${number}.bin`, body: contents.next() }),
  );
}
