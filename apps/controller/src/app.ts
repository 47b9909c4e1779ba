/** The controller put together: configuration in, a running controller out. */
import { Bus, type Operate, Streams } from '@sluice/bus';
import { isDeltaCandidate } from '@sluice/delta';
import {
  brokerAccess,
  type Clock,
  createMetrics,
  followAdminAccess,
  httpUrl,
  Lifecycle,
  type Logger,
  Readiness,
  type Registry,
  type Rng,
  systemClock,
  systemRng,
} from '@sluice/runtime';
import { ContentIntake } from './adapters/content-intake.ts';
import { EdgePresence } from './adapters/edge-presence.ts';
import { OriginClient } from './adapters/origin-client.ts';
import { OutcomeJournal } from './adapters/outcome-journal.ts';
import { createStatusApi, serveStatusApi } from './adapters/status-api.ts';
import { createStatusView } from './adapters/status-view.ts';
import type { ControllerConfig } from './config.ts';
import { Confirmations } from './domain/confirmations.ts';
import { LeaseTable } from './domain/lease-table.ts';
import { type ControllerMetrics, createControllerMetrics, registerGauges } from './metrics.ts';
import { Distributor } from './services/distributor.ts';
import { Pusher } from './services/pusher.ts';

/** Pairs of edge and key that confirmations are remembered for; about 200 bytes each. */
const CONFIRMATIONS_MAX = 100_000;

export interface Controller {
  /** Where the status API is. */
  readonly url: string;
  readonly port: number;
  readonly lifecycle: Lifecycle;
  /** Resolves when it distributes events: the broker is there and the edges have been heard. Rejects when that cannot be. */
  readonly working: Promise<void>;
}

/** What a test replaces. */
export interface ControllerSeams {
  /** Sees every labelled exchange with the broker. */
  readonly operate?: Operate;
}

/** What exists before the broker is there. */
interface Core {
  readonly config: ControllerConfig;
  readonly log: Logger;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly lifecycle: Lifecycle;
  readonly metrics: ControllerMetrics;
  readonly table: LeaseTable;
  readonly journal: OutcomeJournal;
}

/** What needs the broker. */
interface Parts {
  readonly bus: Bus;
  readonly pusher: Pusher;
  readonly intake: ContentIntake;
}

/**
 * Starts a controller. It answers HTTP when this resolves, and says in `/readyz` what it waits for.
 * @throws {ConfigError} when the file of admin tokens cannot be used
 * @throws when the status API cannot listen
 */
export async function startController(config: ControllerConfig, log: Logger, seams: ControllerSeams = {}): Promise<Controller> {
  const registry = createMetrics('controller');
  const core: Core = {
    config,
    log,
    clock: systemClock,
    rng: systemRng,
    lifecycle: new Lifecycle(log, { deadlineMs: config.CONTROLLER_DRAIN_MS + 5_000 }),
    metrics: createControllerMetrics(registry),
    table: new LeaseTable({ leaseMs: config.CONTROLLER_LEASE_MS, maxEdges: config.CONTROLLER_EDGES_MAX }),
    journal: new OutcomeJournal(),
  };
  let parts: Parts | undefined;
  const port = await startHttp(core, registry, () => parts);
  const working = startParts(core, seams, (started) => {
    parts = started;
  });
  return { url: httpUrl(config.CONTROLLER_HOST, port), port, lifecycle: core.lifecycle, working };
}

async function startHttp(core: Core, registry: Registry, parts: () => Parts | undefined): Promise<number> {
  const { config, log, clock, lifecycle, table, journal } = core;
  const view = createStatusView({ clock, table, journal, pusher: () => parts()?.pusher, intake: () => parts()?.intake });
  registerGauges(registry, {
    edgesByRegion: () => view.edgesByRegion(),
    queueLengths: () => parts()?.pusher.queueLengths() ?? [],
    eventsInWork: () => parts()?.intake.size ?? 0,
  });
  const readiness = new Readiness();
  readiness.require('broker', () => (parts()?.bus.connected === true ? undefined : 'not connected'));
  readiness.require('events', () => (parts()?.intake.consuming === true ? undefined : 'not consuming yet: listening to the edges first'));
  const access = await followAdminAccess({
    ...{ host: config.CONTROLLER_HOST, tokenFile: config.CONTROLLER_ADMIN_TOKEN_FILE, variable: 'CONTROLLER_ADMIN_TOKEN_FILE' },
    ...{ open: config.CONTROLLER_ADMIN_OPEN === 'yes', clock, log },
  });
  lifecycle.onStop('admin access', () => access.stop());
  const api = createStatusApi(view, readiness, registry, access.refusalOf);
  const server = await serveStatusApi(api, { host: config.CONTROLLER_HOST, port: config.CONTROLLER_PORT });
  lifecycle.onStop('status api', () => server.stop());
  log.info({ host: config.CONTROLLER_HOST, port: server.port }, 'listening');
  return server.port;
}

async function startParts(core: Core, { operate }: ControllerSeams, publish: (parts: Parts) => void): Promise<void> {
  const { config, log, clock, rng, lifecycle, metrics, table, journal } = core;
  const bus = await Bus.connect({
    ...{ servers: config.NATS_URL, access: brokerAccess(config) },
    ...{ name: 'sluice controller', inbox: 'controller', log, operate },
  });
  if (lifecycle.state !== 'running') return bus.close();
  lifecycle.onStop('broker connection', () => bus.close());
  const streams = new Streams(bus, log, { replicas: config.NATS_STREAM_REPLICAS });
  const pusher = new Pusher(
    {
      concurrency: config.CONTROLLER_EDGE_CONCURRENCY,
      queueMax: config.CONTROLLER_EDGE_QUEUE_MAX,
      queueWaitMs: config.CONTROLLER_QUEUE_WAIT_MS,
      pushTimeoutMs: config.CONTROLLER_PUSH_TIMEOUT_MS,
    },
    { bus, metrics, clock, rng },
  );
  const presence = new EdgePresence(
    { heartbeatMs: config.CONTROLLER_HEARTBEAT_MS, leaseMs: config.CONTROLLER_LEASE_MS },
    { bus, table, pusher, metrics, log, clock },
  );
  const distributor = new Distributor(
    { maxRounds: config.CONTROLLER_ROUNDS_MAX },
    {
      presence,
      origin: new OriginClient(bus),
      pusher,
      confirmations: new Confirmations(CONFIRMATIONS_MAX),
      isDeltaCandidate,
      metrics,
      log,
      clock,
    },
  );
  const intake = new ContentIntake(
    { maxPending: config.CONTROLLER_EVENTS_MAX, ackWaitMs: config.CONTROLLER_ACK_WAIT_MS },
    { streams, distributor, journal, metrics, log, clock, rng },
  );
  lifecycle.onStop('edge channels', () => pusher.closeAll('the controller is stopping'));
  presence.start();
  lifecycle.onStop('edge presence', () => presence.stop());
  lifecycle.onStop('outcome journal', journal.follow(bus));
  publish({ bus, pusher, intake });
  await Promise.all([presence.settled(), journal.recall(streams, log)]);
  if (lifecycle.state !== 'running') return;
  intake.start();
  bus.onReconnect(() => intake.doubtAll());
  lifecycle.onStop('content intake', () => intake.stop(config.CONTROLLER_DRAIN_MS));
  log.info({ edges: table.size }, 'distributing');
}
