/** Large objects, one at a time. */
import { join } from 'node:path';
import { type BenchOptions, publish, say } from '../publish.ts';
import { settleDisk, settleMemory } from '../settle.ts';
import { Contents } from './contents.ts';
import { ask, type Check, type Load, load, medianOf, mustBe200 } from './load.ts';
import { renderReport, reportOf } from './report.ts';
import { written } from './requests.ts';
import type { Side } from './side.ts';
import { startSluice } from './sluice-side.ts';
import type { Scene } from './suite.ts';

const BUCKET = 'large';
const BYTES = 100_000_000;
const TARGET = 1;

const mustBeWhole: Check = (reply) => {
  mustBe200(reply);
  if (reply.bytes !== BYTES) throw new Error(`${reply.bytes} bytes came instead of ${BYTES}`);
};

export async function large(options: BenchOptions, { dir, gateway }: Scene): Promise<void> {
  const rounds = options.quick ? 1 : 9;
  await using sluice = await startSluice(join(dir, 'sluice'));
  const sides = gateway === undefined ? [sluice] : [sluice, gateway];
  const contents = new Contents(BYTES);
  const samples = new Map<Side, { put: Load[]; get: Load[] }>(sides.map((side) => [side, { put: [], get: [] }]));
  for (const side of sides) await ask(side.port, written(side, { method: 'PUT', bucket: BUCKET }));
  // The first one is not counted.
  for (let round = 0; round <= rounds; round += 1) {
    say(round === 0 ? 'large: warming up' : `large: round ${round} of ${rounds}`);
    for (const side of sides) {
      const place = { bucket: BUCKET, key: `${round}.bin` };
      const upload = written(side, { method: 'PUT', ...place, body: contents.again() });
      settleDisk();
      // A store in memory keeps two copies for a moment.
      await settleMemory(dir, 3 * BYTES);
      const put = await load(side, [upload], 1);
      const get = await load(side, [written(side, { method: 'GET', ...place })], 1, mustBeWhole);
      if (round === 0) continue;
      samples.get(side)?.put.push(put);
      samples.get(side)?.get.push(get);
    }
  }
  const rowOf = (kind: 'put' | 'get') => ({
    ...({ name: `${kind.toUpperCase()} of ${BYTES / 1e6} MB, one at a time`, bytes: BYTES, by: 'p50Ms', target: TARGET } as const),
    sluice: medianOf(samples.get(sluice)?.[kind] ?? []),
    other: gateway && { name: gateway.name, load: medianOf(samples.get(gateway)?.[kind] ?? []) },
  });
  const report = reportOf('origin-large', [rowOf('put'), rowOf('get')]);
  const how = `Each of ${rounds} objects is uploaded and then downloaded, after one to warm up; the sides in turn, medians. Sluice has each object on the disk when it answers; the gateway has them in memory.`;
  await publish(report, renderReport(report, how), options);
}
