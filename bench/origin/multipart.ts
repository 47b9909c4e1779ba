/** What a very large upload in parts costs the origin's memory. */
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { describeMachine, type Machine, nameMachine, residentBytes } from '../machine.ts';
import { type BenchOptions, publish, say } from '../publish.ts';
import { settleDisk } from '../settle.ts';
import { renderTable } from '../table.ts';
import { Connection } from './connection.ts';
import { Contents } from './contents.ts';
import { ask, mustBe200 } from './load.ts';
import { written } from './requests.ts';
import { type SluiceSide, startSluice } from './sluice-side.ts';
import type { Scene } from './suite.ts';

const PLACE = { bucket: 'multipart', key: 'film.bin' };
const PART_BYTES = 64 * 1024 * 1024;
const IN_FLIGHT = 4;
const SAMPLE_MS = 20;
/** From when on nothing may grow any more. */
const SETTLED_BYTES = 1e9;
/** By which a resident set differs from itself. */
const TARGET = 1.1;
/** The parts and the object that is made of them are there at the same time, and something else has to be left. */
const DISK_TIMES = 2.5;

/** Resident memory of the origin, with what was uploaded by then. */
interface Sample {
  readonly uploadedBytes: number;
  readonly rssBytes: number;
}

interface Report {
  readonly suite: string;
  readonly machine: Machine;
  readonly bytes: number;
  readonly uploadSeconds: number;
  readonly completeSeconds: number;
  readonly rssBytes: Readonly<Record<'before' | 'min' | 'max' | 'at1gb' | 'last' | 'maxUpTo1gb' | 'maxAfter1gb' | 'maxCompleting', number>>;
}

export async function multipart(options: BenchOptions, { dir }: Scene): Promise<void> {
  const bytes = options.quick ? 1.3e9 : 5e9;
  const { bavail, bsize } = await statfs(dir);
  if (bavail * bsize < DISK_TIMES * bytes) {
    say(
      `multipart is left out: ${dir} has only ${Math.round((bavail * bsize) / 1e9)} GB free, and it takes ${(DISK_TIMES * bytes) / 1e9} GB; set TMPDIR to a larger one`,
    );
    return;
  }
  await using sluice = await startSluice(join(dir, 'sluice'));
  await ask(sluice.port, written(sluice, { method: 'PUT', bucket: PLACE.bucket }));
  const report = await measure(sluice, bytes);
  await publish(report, render(report), options);
}

async function measure(sluice: SluiceSide, bytes: number): Promise<Report> {
  const samples: Sample[] = [];
  let uploadedBytes = 0;
  const sample = (): void => void samples.push({ uploadedBytes, rssBytes: residentBytes(sluice.originPid) });
  settleDisk();
  const before = residentBytes(sluice.originPid);
  const timer = setInterval(sample, SAMPLE_MS);
  try {
    const begun = performance.now();
    const begin = await ask(sluice.port, written(sluice, { method: 'POST', ...PLACE, query: { uploads: '' } }));
    const uploadId = /<UploadId>([^<]+)/.exec(begin.text)?.[1] ?? '';
    const etags = await uploadParts(sluice, uploadId, bytes, (partBytes) => {
      uploadedBytes += partBytes;
      sample();
    });
    const uploaded = performance.now();
    const during = samples.splice(0);
    say('multipart: completing the upload');
    const parts = etags.map((etag, at) => `<Part><PartNumber>${at + 1}</PartNumber><ETag>${etag}</ETag></Part>`).join('');
    const body = Buffer.from(`<CompleteMultipartUpload>${parts}</CompleteMultipartUpload>`);
    await ask(sluice.port, written(sluice, { method: 'POST', ...PLACE, query: { uploadId }, body }), (reply) => {
      mustBe200(reply);
      // It may turn into an error after its head was sent.
      if (!reply.text.includes('<CompleteMultipartUploadResult')) throw new Error(reply.text);
    });
    sample();
    const all = during.map(({ rssBytes }) => rssBytes);
    const first = during.filter((one) => one.uploadedBytes <= SETTLED_BYTES).map(({ rssBytes }) => rssBytes);
    return {
      suite: 'origin-multipart',
      machine: describeMachine(),
      bytes,
      uploadSeconds: (uploaded - begun) / 1000,
      completeSeconds: (performance.now() - uploaded) / 1000,
      rssBytes: {
        before,
        min: Math.min(...all),
        max: Math.max(...all),
        at1gb: first.at(-1) ?? Number.NaN,
        last: all.at(-1) ?? Number.NaN,
        maxUpTo1gb: Math.max(...first),
        maxAfter1gb: Math.max(...all.slice(first.length)),
        maxCompleting: Math.max(...samples.map(({ rssBytes }) => rssBytes)),
      },
    };
  } finally {
    clearInterval(timer);
  }
}

/** Returns the ETags of the parts, in their order. */
async function uploadParts(sluice: SluiceSide, uploadId: string, bytes: number, onPart: (bytes: number) => void): Promise<string[]> {
  const parts = Math.ceil(bytes / PART_BYTES);
  const etags = new Array<string>(parts);
  let next = 0;
  const sendSome = async (): Promise<void> => {
    using connection = await Connection.open(sluice.port);
    const contents = new Contents(PART_BYTES);
    while (next < parts) {
      const at = next;
      next += 1;
      const body = contents.again().subarray(0, Math.min(PART_BYTES, bytes - at * PART_BYTES));
      const query = { partNumber: String(at + 1), uploadId };
      const reply = await connection.send(written(sluice, { method: 'PUT', ...PLACE, query, body }));
      mustBe200(reply);
      etags[at] = reply.fields.get('etag') ?? '';
      onPart(body.byteLength);
      if (at % 10 === 0) say(`multipart: part ${at + 1} of ${parts}`);
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, sendSome));
  return etags;
}

function render({ machine, bytes, uploadSeconds, completeSeconds, rssBytes }: Report): string {
  const megabytes = (value: number): string => `${(value / 1e6).toFixed(0)} MB`;
  const growth = rssBytes.maxAfter1gb / rssBytes.maxUpTo1gb;
  const size = `${bytes / 1e9} GB`;
  const cells = [
    ['RSS of the origin', 'measured', 'target', 'met'],
    ['before', megabytes(rssBytes.before), '', ''],
    [`during the parts, min … max`, `${megabytes(rssBytes.min)} … ${megabytes(rssBytes.max)}`, '', ''],
    ['when 1 GB was there', megabytes(rssBytes.at1gb), '', ''],
    [`when ${size} were there`, megabytes(rssBytes.last), '', ''],
    [
      'highest after the first 1 GB, beside the highest until then',
      `${megabytes(rssBytes.maxAfter1gb)} / ${megabytes(rssBytes.maxUpTo1gb)}: ${growth.toFixed(2)}×`,
      `≤ ${TARGET}×`,
      growth <= TARGET ? 'yes' : 'NO',
    ],
    ['highest while the parts were put together', megabytes(rssBytes.maxCompleting), '', ''],
  ];
  return `One upload of ${size} in parts of ${PART_BYTES / 1024 ** 2} MiB, ${IN_FLIGHT} in flight: ${uploadSeconds.toFixed(1)} s for the parts (${(bytes / 1e6 / uploadSeconds).toFixed(0)} MB/s), ${completeSeconds.toFixed(1)} s to complete it. RSS every ${SAMPLE_MS} ms.
${nameMachine(machine)}

${renderTable(cells)}
`;
}
