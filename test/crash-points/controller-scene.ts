/** What happens around a controller, and what must come of it, wherever one died. */
import { Streams } from '@sluice/bus';
import { CONTENT_DISTRIBUTED, CONTENT_REJECTED, STREAMS } from '@sluice/contracts';
import { createLogger } from '@sluice/runtime';
import { eventually, silentLog, testBroker } from '@sluice/testkit';
import { expect } from 'vitest';
import { type Controller, startController } from '../../apps/controller/src/app.ts';
import { aManifest, FakeEdge, FakeOrigin } from '../../apps/controller/src/stage.fixture.ts';
import { controllerConfig } from './controller-config.ts';
import type { Operate } from './crash-points.ts';

const EDGES = ['us-1', 'us-2'];
/** An event that another controller takes over is delivered again, distributed, and tried again. */
const OUTCOME_MS = 15_000;

/** The labels that a controller must pass on the way from an event to its outcome. */
export const CONTROLLER_LABELS: readonly string[] = [
  ...['NATS_REPLY:controller.register', 'STREAM_DELIVER:controller', 'NATS_REQUEST:origin.fetch', 'NATS_REQUEST:edge.push'],
  ...['STREAM_PUBLISH:content.distributed', 'STREAM_PUBLISH:content.rejected', 'STREAM_ACK:controller'],
];

/** A broker, an origin and two edges, all played; the controllers are real. */
export async function openStage() {
  const broker = await testBroker();
  const observer = await broker.connect('observer');
  const origin = new FakeOrigin(await broker.connect('origin'));
  await origin.start();
  const edges = await Promise.all(EDGES.map(async (id) => new FakeEdge(await broker.connect(id), id, 'US')));
  return {
    ...{ natsUrl: broker.url, origin, edges, observer },
    async [Symbol.asyncDispose]() {
      for (const edge of edges) edge.stop();
      await broker[Symbol.asyncDispose]();
    },
  };
}
export type Stage = Awaited<ReturnType<typeof openStage>>;

export function openController(natsUrl: string, operate?: Operate): Promise<Controller> {
  return startController(controllerConfig(natsUrl), createLogger('controller', 'silent'), operate && { operate });
}

/** What was announced: the ids that must have one outcome each, and the version that each edge must have been sent. */
export interface Announced {
  readonly events: string[];
  readonly rejected: string;
}

/** An event of each kind, with edges that came before. */
export async function announceAll({ origin, edges }: Stage): Promise<Announced> {
  await Promise.all(edges.map((edge) => edge.join()));
  const events = [
    await origin.upload(aManifest({ version: 10 })),
    await origin.remove('site/old.js', 20),
    await origin.invalidate(30, 'site/'),
  ];
  await origin.publishRaw('content.uploaded', JSON.stringify({ id: 'not-usable', key: 'site/never.js', version: 40 }));
  return { events, rejected: 'not-usable' };
}

/** Every event has its outcome, once; every edge has every command; nothing waits. */
export async function checkOutcomes({ observer, edges }: Stage, { events, rejected }: Announced): Promise<void> {
  const streams = new Streams(observer, silentLog);
  await eventually(async () => {
    const reply = await observer.connection.request('$JS.API.CONSUMER.INFO.CONTENT.controller', '', { timeout: 2_000 });
    const { num_ack_pending: given, num_pending: waiting } = reply.json<{ num_ack_pending: number; num_pending: number }>();
    expect({ given, waiting }).toEqual({ given: 0, waiting: 0 });
  }, OUTCOME_MS);
  const distributed = await streams.recent(STREAMS.OUTCOMES, CONTENT_DISTRIBUTED, 100);
  expect(distributed.map(({ id }) => id).sort()).toEqual([...events].sort());
  const refused = await streams.recent(STREAMS.OUTCOMES, CONTENT_REJECTED, 100);
  expect(refused.map(({ id }) => id)).toEqual([rejected]);
  for (const { edges: outcomes } of distributed) {
    expect(outcomes.map(({ edge, error }) => ({ edge, error })).sort((one, other) => (one.edge < other.edge ? -1 : 1))).toEqual(
      EDGES.map((edge) => ({ edge, error: undefined })),
    );
  }
  for (const { commands } of edges) expect(new Set(commands.map(({ eventId }) => eventId))).toEqual(new Set(events));
}
