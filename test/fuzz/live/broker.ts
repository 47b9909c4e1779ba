/** Every subject that an app serves or listens to, by raw bytes over a real connection. */
import { Bus } from '@sluice/bus';
import {
  CONTENT_DISTRIBUTED,
  CONTENT_INVALIDATED,
  CONTENT_REJECTED,
  CONTENT_REMOVED,
  CONTENT_UPLOADED,
  controllerRegister,
  decode,
  edgeHeartbeat,
  edgePush,
  ORIGIN_CHANGES,
  ORIGIN_FETCH,
  REPLY_KIND_HEADER,
  type RequestSubject,
} from '@sluice/contracts';
import { silentLog } from '@sluice/testkit';
import { SUBJECTS } from '../../../libs/contracts/fixtures/examples.ts';
import type { Outcome } from '../attempt.ts';
import type { Random } from '../random.ts';
import { examplesOf, hostileMessage } from '../targets/messages.ts';
import type { RunOptions } from '../thread.ts';
import { type Sending, sendTo } from './batches.ts';
import { EDGE_ID, LiveScene } from './scene.ts';

const REQUESTS: readonly RequestSubject[] = [controllerRegister(EDGE_ID), ORIGIN_FETCH, ORIGIN_CHANGES, edgePush(EDGE_ID)];
/** As the subject is called in the examples. */
const EXAMPLES_OF = new Map<string, readonly number[]>(
  [...REQUESTS.map(({ subject }) => subject), `edge.${EDGE_ID}.heartbeat`].map((subject) => [
    subject,
    examplesOf(subject.replace(EDGE_ID, 'us-1')),
  ]),
);
const EVENTS = [CONTENT_UPLOADED, CONTENT_INVALIDATED, CONTENT_REMOVED, CONTENT_DISTRIBUTED, CONTENT_REJECTED, edgeHeartbeat(EDGE_ID)];
/** A push may wait for bytes that the origin does not have; nothing else waits for anything. */
const REPLY_MS = 40_000;
const QUICK_MS = 10_000;

export async function fuzzBroker(options: RunOptions): Promise<Outcome> {
  await using scene = await LiveScene.start();
  const bus = await Bus.connect({ servers: [scene.stack.natsUrl], name: 'fuzz', log: silentLog });
  try {
    return await sendTo(scene, { name: 'broker', concurrency: 32, send: (_scene, random) => send(bus, random) }, options);
  } finally {
    await bus.close();
  }
}

const send = async (bus: Bus, random: Random): ReturnType<Sending['send']> => {
  if (random.oneIn(2)) {
    const { subject } = random.pick(EVENTS);
    bus.connection.publish(subject, hostileMessage(random, EXAMPLES_OF.get(subject) ?? examplesOf(subject)));
    // The broker has it: else thousands would wait in this process.
    await bus.connection.flush();
    return undefined;
  }
  const to = random.pick(REQUESTS);
  const bytes = hostileMessage(random, EXAMPLES_OF.get(to.subject) ?? []);
  const begun = performance.now();
  const problem = await problemOfReply(bus, to, bytes);
  const took = performance.now() - begun;
  const slow =
    took > (to.subject === edgePush(EDGE_ID).subject ? REPLY_MS : QUICK_MS) ? `the reply took ${Math.round(took)} ms` : undefined;
  const wrong = problem ?? slow;
  return wrong === undefined
    ? undefined
    : { input: JSON.stringify({ subject: to.subject, hex: Buffer.from(bytes).toString('hex') }), problem: `${to.subject}: ${wrong}` };
};

async function problemOfReply(bus: Bus, to: RequestSubject, bytes: Uint8Array): Promise<string | undefined> {
  const reply = await bus.connection.request(to.subject, bytes, { timeout: REPLY_MS }).catch((error: Error) => error);
  if (reply instanceof Error) return `no reply: ${reply.message}`;
  if (reply.headers?.get(REPLY_KIND_HEADER) === 'bytes') return undefined;
  try {
    const answer = decode(to.subject, to.reply, reply.data) as { ok: boolean; error?: { code: string } };
    return answer.error?.code === 'INTERNAL' ? `an inside failure: ${Buffer.from(reply.data)}` : undefined;
  } catch (error) {
    return `a reply that is none: ${(error as Error).message}: ${Buffer.from(reply.data.subarray(0, 500))}`;
  }
}

/** Subjects of the contract that this target sends to, as the files of examples call them; for the test that none is left out. */
export const COVERED = Object.entries(SUBJECTS).flatMap(([file, { subject }]) =>
  [...REQUESTS, ...EVENTS].some((known) => known.subject.replace(EDGE_ID, 'us-1') === subject) ? [file] : [],
);
