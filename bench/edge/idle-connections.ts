/** What connections cost an edge on which nothing happens. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect as connectPlain, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import type { Member } from '@sluice/stack';
import { makeCertificate } from '../../apps/edge/src/certificates.fixture.ts';
import { manifestOf } from '../../apps/edge/src/domain/history.fixture.ts';
import { describeMachine, nameMachine, residentBytes } from '../machine.ts';
import { type BenchOptions, publish, say } from '../publish.ts';
import { eachOf } from '../statistics.ts';
import { renderTable } from '../table.ts';
import { fillBlobs, fillIndex, sha256Of } from './data-directory.ts';
import { edgeAlone } from './edge-process.ts';

/** As many as an edge takes. */
const CONNECTIONS = { full: 10_000, quick: 200 };
/** Connections that are being made at the same time; a listener's queue holds 511. */
const OPENING = 100;
/** Until what the requests left is collected, as far as it is by itself. Less than the 60 s after which an idle connection is closed. */
const SETTLE_MS = 5_000;
const TARGET_BYTES = 150e6;
const KEY = 'bench/1k';

interface Row {
  readonly name: string;
  readonly beforeBytes: number;
  readonly openBytes: number;
  /** Only what is in plain HTTP/1.1 has one. */
  readonly targetBytes: number | undefined;
}

export async function idleConnections(options: BenchOptions): Promise<void> {
  const count = options.quick ? CONNECTIONS.quick : CONNECTIONS.full;
  const dir = await mkdtemp(join(tmpdir(), 'sluice-bench-'));
  try {
    const content = Buffer.alloc(1024, 'x');
    await fillIndex(join(dir, 'edge'), [manifestOf(KEY, 1, { sha256: sha256Of(content), size: content.byteLength })]);
    await fillBlobs(join(dir, 'edge'), [content]);
    const { certificate, key } = await makeCertificate();
    const files = { EDGE_TLS_CERT_FILE: join(dir, 'certificate.pem'), EDGE_TLS_KEY_FILE: join(dir, 'key.pem') };
    await writeFile(files.EDGE_TLS_CERT_FILE, certificate);
    await writeFile(files.EDGE_TLS_KEY_FILE, key);
    const rows = [
      await measure('HTTP/1.1', await edgeAlone(dir), count, ({ port }) => connectPlain({ host: '127.0.0.1', port }), TARGET_BYTES),
      await measureTls(dir, files, count),
    ];
    const report = { suite: 'edge-idle', machine: describeMachine(), connections: count, rows };
    const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;
    const cells = [
      ['connections over', 'RSS before', 'RSS with them', 'on top', 'each', 'target', 'met'],
      ...rows.map(({ name, beforeBytes, openBytes, targetBytes }) => {
        const added = openBytes - beforeBytes;
        const target = targetBytes === undefined ? ['', ''] : [`≤ ${megabytes(targetBytes)} on top`, added <= targetBytes ? 'yes' : 'NO'];
        return [name, megabytes(beforeBytes), megabytes(openBytes), megabytes(added), `${(added / count / 1000).toFixed(1)} kB`, ...target];
      }),
    ];
    const head = `${count} connections to one edge, each of which has been answered one request and is kept; RSS of the edge's process ${SETTLE_MS / 1000} s later.`;
    await publish(report, `${head}\n${nameMachine(report.machine)}\n\n${renderTable(cells)}\n`, options);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function measureTls(dir: string, files: Readonly<Record<string, string>>, count: number): Promise<Row> {
  const edge = await edgeAlone(dir, { ...files, EDGE_TLS_PORT: '0' });
  const { promise: tlsPort, resolve } = Promise.withResolvers<number>();
  const open = async (): Promise<Socket> => connectTls({ host: '127.0.0.1', port: await tlsPort, rejectUnauthorized: false });
  return measure('TLS and HTTP/1.1', edge, count, open, undefined, ({ process }) => {
    // The line that the member waited for tells both ports.
    const listening = process.tail.split('\n').find((line) => line.includes('"listening"')) ?? '{}';
    resolve((JSON.parse(listening) as { tlsPort: number }).tlsPort);
  });
}

async function measure(
  name: string,
  edge: Member,
  count: number,
  open: (edge: Member) => Socket | Promise<Socket>,
  targetBytes: number | undefined,
  started: (edge: Member) => void = () => {},
): Promise<Row> {
  say(`idle: ${count} connections over ${name}`);
  await edge.start({ ready: false });
  started(edge);
  const sockets: Socket[] = [];
  try {
    for (let request = 0; request < 100; request += 1) (await askOnce(await open(edge))).destroy();
    const beforeBytes = residentBytes(edge.pid);
    await eachOf([...Array(count).keys()], OPENING, async () => {
      sockets.push(await askOnce(await open(edge)));
    });
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const openBytes = residentBytes(edge.pid);
    const closed = sockets.filter((socket) => socket.destroyed || socket.readableEnded).length;
    if (closed > 0) throw new Error(`${closed} of ${count} connections over ${name} were closed meanwhile`);
    return { name, beforeBytes, openBytes, targetBytes };
  } finally {
    for (const socket of sockets) socket.destroy();
    await edge.stop();
  }
}

/** Asks for the object and resolves to the connection when the answer is complete. @throws when it is none, or the connection ends before */
function askOnce(socket: Socket): Promise<Socket> {
  return new Promise((resolve, reject) => {
    let received = '';
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the edge has closed a connection before it answered')));
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      received += text;
      const body = received.indexOf('\r\n\r\n') + 4;
      if (body < 4 || received.length < body + 1024) return;
      if (received.startsWith('HTTP/1.1 200 ')) resolve(socket);
      else reject(new Error(received.slice(0, body)));
    });
    socket.write(`GET /${KEY} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  });
}
