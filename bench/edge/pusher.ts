/** Pushes objects to an edge at a fixed rate over the bus, as a controller does; a process of its own, so that it can be given a core. Prints how long the confirmations took. */
import { randomBytes } from 'node:crypto';
import { Bus } from '@sluice/bus';
import { edgePush, type PushReply } from '@sluice/contracts';
import { manifestOf } from '../../apps/edge/src/domain/history.fixture.ts';
import { percentile } from '../statistics.ts';
import { sha256Of } from './data-directory.ts';

export interface PusherOptions {
  readonly natsUrl: string;
  readonly edgeId: string;
  /** Answers in the place of the edge: what pushing costs without one. */
  readonly answers: boolean;
  readonly bytes: number;
  readonly perSecond: number;
  readonly seconds: number;
}

export interface Pushed {
  readonly pushes: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const TIMEOUT_MS = 10_000;

/** `begin` is called when all is prepared. */
export async function push({ natsUrl, edgeId, answers, bytes, perSecond, seconds }: PusherOptions, begin = () => {}): Promise<Pushed> {
  const bus = await Bus.connect({ servers: [natsUrl], name: 'bench', log: { info() {}, warn() {}, error() {} } });
  const subject = edgePush(edgeId);
  if (answers) {
    const reply: PushReply = { ok: true, outcome: 'stored', transfer: 'full', bytes };
    bus.connection.subscribe(subject.subject, { callback: (_error, message) => void message.respond(JSON.stringify(reply)) });
  }
  const total = Math.round(perSecond * seconds);
  const run = Date.now();
  // What costs the core most is done before it is shared with the client.
  const commands = Array.from({ length: total }, (_, number) => {
    const content = randomBytes(bytes);
    const fields = { sha256: sha256Of(content), size: bytes, uploadedAt: new Date().toISOString() };
    const manifest = manifestOf(`bench/pushed/${run}-${number}`, run * 1000 + number, fields);
    const transfer = { kind: 'full', content: content.toString('base64') };
    return Buffer.from(JSON.stringify({ op: 'store', eventId: `bench-${run}-${number}`, manifest, transfer }));
  });
  const tookMs: number[] = [];
  const replies: Promise<void>[] = [];
  begin();
  const startedAtMs = performance.now();
  for (const [number, command] of commands.entries()) {
    const waitMs = startedAtMs + (number * 1000) / perSecond - performance.now();
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    const sentAtMs = performance.now();
    replies.push(
      bus.connection.request(subject.subject, command, { timeout: TIMEOUT_MS }).then((answer) => {
        const reply = answer.json<PushReply>();
        if (!reply.ok || reply.outcome !== 'stored') throw new Error(`a push was answered ${JSON.stringify(reply)}`);
        tookMs.push(performance.now() - sentAtMs);
      }),
    );
  }
  await Promise.all(replies);
  await bus.close();
  return { pushes: tookMs.length, p50Ms: percentile(tookMs, 0.5), p99Ms: percentile(tookMs, 0.99) };
}

if (import.meta.main) console.log(JSON.stringify(await push(JSON.parse(process.argv[2] ?? ''), () => console.log('begun'))));
