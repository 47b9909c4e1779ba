/** Puts an edge together and starts it in the order in which nothing is missed: serve what is held, register, catch up. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { BlobStore, type Operate } from '@sluice/blobs';
import { Bus } from '@sluice/bus';
import { type EdgeReport, edgePush, type PushCommand, type PushReply, SluiceError } from '@sluice/contracts';
import { type Clock, ConfigError, httpUrl, Lifecycle, type Logger, Readiness, type Rng, systemClock, systemRng } from '@sluice/runtime';
import { lockDataDir, startCheckpointer } from '@sluice/sqlite';
import { AccessLog } from './adapters/access-log.ts';
import { CatalogIndex } from './adapters/catalog-index.ts';
import { DirectDownload } from './adapters/direct-download.ts';
import { startHttpServer } from './adapters/http-server.ts';
import { LineWriter } from './adapters/line-writer.ts';
import { natsOrigin } from './adapters/nats-origin.ts';
import { Peers } from './adapters/peers.ts';
import { Presence } from './adapters/presence.ts';
import { followSitesFile } from './adapters/sites-file.ts';
import { VisitorHandler } from './adapters/visitor-handler.ts';
import type { EdgeConfig } from './config.ts';
import { type EdgeMetrics, edgeMetrics, type ProxyRefusal } from './metrics.ts';
import { AbsentKeys } from './services/absent-keys.ts';
import { Answers } from './services/answers.ts';
import { CatchUp } from './services/catch-up.ts';
import { DiskBudget } from './services/disk-budget.ts';
import { MemoryTier } from './services/memory-tier.ts';
import { awaitedOrigin } from './services/origin-port.ts';
import { OriginAwayError, Puller } from './services/puller.ts';
import { Refill } from './services/refill.ts';
import { Replica } from './services/replica.ts';
import { Transfers } from './services/transfers.ts';

const ORIGIN_SILENT_CODES: ReadonlySet<string> = new Set(['NO_LISTENER', 'NO_REPLY', 'BROKER_AWAY']);
/** How often what was committed is brought out of reach of a power cut too. More often costs visitors more than it saves. */
const CHECKPOINT_MS = 5_000;
/** How often ranks that changed by use are written to disk. */
const FLUSH_RANKS_MS = 2_000;

export interface EdgeOptions {
  readonly clock?: Clock;
  readonly rng?: Rng;
  /** For tests: sees every labelled operation on disk. */
  readonly operate?: Operate;
}

export interface RunningEdge {
  readonly port: number;
  readonly lifecycle: Lifecycle;
}

/** Starts an edge; resolves when it serves. The broker may come later. */
export async function startEdge(config: EdgeConfig, log: Logger, options: EdgeOptions = {}): Promise<RunningEdge> {
  const { clock = systemClock, rng = systemRng, operate } = options;
  const lifecycle = new Lifecycle(log);
  const readiness = new Readiness();
  const metrics = edgeMetrics();
  const withOperate = operate === undefined ? {} : { operate };

  const sites = followSitesFile(config.EDGE_SITES_FILE, clock, log);
  lifecycle.onStop('sites', () => sites.stop());
  const lock = lockDataDir(config.EDGE_DATA_DIR, 'edge');
  lifecycle.onStop('data directory', () => lock.release());
  const blobs = await BlobStore.open({ dir: join(config.EDGE_DATA_DIR, 'blobs'), durability: 'relaxed', ...withOperate });
  lifecycle.onStop('blobs', () => blobs.close());
  const index = new CatalogIndex({ dir: config.EDGE_DATA_DIR, region: config.EDGE_REGION, nowMs: () => clock.nowMs(), ...withOperate });
  lifecycle.onStop('index', () => index.close());

  const checkpointer = startCheckpointer([blobs.databasePath, index.databasePath], CHECKPOINT_MS, (err) =>
    log.error({ err }, 'checkpoint failed'),
  );
  lifecycle.onStop('checkpointer', () => checkpointer.stop());

  const origin = awaitedOrigin();
  const budget = new DiskBudget(blobs, config.EDGE_CAPACITY_BYTES);
  budget.evictTo(config.EDGE_CAPACITY_BYTES);
  const absentKeys = new AbsentKeys(clock, config.EDGE_NEGATIVE_TTL_MS);
  const transfers = new Transfers({ blobs, budget, origin, log, observer: transferObserver(metrics) });
  const memory = new MemoryTier(blobs, config.EDGE_MEMORY_BYTES);
  const replica = new Replica({ index, blobs, memory, budget, transfers, absentKeys });
  const puller = new Puller({ index, replica, origin, absentKeys, clock });
  const refill = new Refill({ index, blobs, budget, transfers, log });
  const catchUp = new CatchUp({
    ...{ index, replica, origin, clock, rng, log },
    intervalMs: config.EDGE_CATCH_UP_INTERVAL_MS,
    onCompleted: (changes) => {
      metrics.catchUps.inc();
      metrics.caughtUpChanges.inc(changes);
      refill.start();
    },
    onFailed: () => metrics.catchUpFailures.inc(),
  });
  readiness.require('catch-up', () => (catchUp.completedAtMs === undefined ? 'has not caught up with the origin yet' : undefined));
  readiness.require('lifecycle', () => (lifecycle.state === 'running' ? undefined : 'is stopping'));

  const stopFlushing = every(clock, FLUSH_RANKS_MS, () => budget.flushRanks());
  lifecycle.onStop('ranks', () => {
    stopFlushing();
    budget.flushRanks();
  });

  let bus: Bus | undefined;
  lifecycle.onStop('bus', () => bus?.close());

  const caughtUpAtMs = (): number | undefined => catchUp.completedAtMs;
  const answers = new Answers({ index, blobs, memory, puller, absentKeys, clock, log, caughtUpAtMs });
  const handler = new VisitorHandler({
    ...{ index, blobs, memory, budget, answers, transfers, clock, metrics, caughtUpAtMs },
    sites: () => sites.current,
    edgeId: config.EDGE_ID,
  });
  const peers = new Peers(config.EDGE_TRUSTED_PROXIES);
  const accessLog = await openAccessLog(config, { peers, clock, metrics, lifecycle, log });
  const onRefused = (reason: ProxyRefusal): void => metrics.proxyRefusals.inc({ reason });
  const http = await startHttpServer({
    ...{ handler, readiness, log, accessLog },
    proxyProtocol: config.EDGE_PROXY_PROTOCOL === 'on' ? { peers, onRefused } : undefined,
    host: config.EDGE_HOST,
    port: config.EDGE_PORT,
    registry: metrics.registry,
  });
  lifecycle.onStop('http', () => http.stop());
  log.info({ host: config.EDGE_HOST, port: http.port, region: config.EDGE_REGION }, 'listening');

  const instance = randomUUID();
  const report = (draining: boolean): EdgeReport => ({
    id: config.EDGE_ID,
    instance,
    region: config.EDGE_REGION,
    url: config.EDGE_URL ?? httpUrl(config.EDGE_HOST, http.port),
    catalogVersion: index.watermark,
    objects: index.objects,
    bytes: blobs.totals.bytes,
    capacityBytes: config.EDGE_CAPACITY_BYTES,
    draining,
  });
  observeState(metrics, { index, blobs, memory, budget, transfers, catchUp, clock });

  /** Everything that needs the broker; runs when it is there for the first time. */
  const joinNetwork = async (): Promise<void> => {
    const connected = await Bus.connect({ servers: config.NATS_URL, name: `edge ${config.EDGE_ID}`, log });
    if (lifecycle.state !== 'running') return connected.close();
    bus = connected;
    const direct = new DirectDownload(clock, log);
    lifecycle.onStop('direct download', () => direct.close());
    origin.provide(natsOrigin(connected, config.EDGE_REGION, direct));
    const stopServing = connected.serve(edgePush(config.EDGE_ID), (command) => answerPush(replica, metrics, command));
    const presence = new Presence({ bus: connected, clock, log, report });
    const announce = async (): Promise<void> => {
      await presence.announce(() => void catchUp.run());
      if (!presence.registered) void catchUp.run();
    };
    const stopFollowing = connected.onReconnect(() => void announce());
    lifecycle.onStop('catch-up', () => catchUp.stop());
    lifecycle.onStop('refill', () => refill.stop());
    lifecycle.onStop('presence', async () => {
      stopFollowing();
      await presence.leave();
      stopServing();
    });
    await announce();
  };
  void joinNetwork().catch((err) => log.error({ err }, 'could not join'));

  return { port: http.port, lifecycle };
}

/** The access log, if one is kept; it goes on in a new file on SIGHUP. @throws {ConfigError} when its file cannot be opened */
async function openAccessLog(
  { EDGE_ACCESS_LOG: format, EDGE_ACCESS_LOG_FILE: path, EDGE_ID: edgeId }: EdgeConfig,
  { peers, clock, metrics, lifecycle, log }: { peers: Peers; clock: Clock; metrics: EdgeMetrics; lifecycle: Lifecycle; log: Logger },
): Promise<AccessLog | undefined> {
  if (format === 'off') return undefined;
  const onState = (err: unknown): void => {
    if (err === undefined) log.info({ path }, 'the access log is written again');
    else log.error({ path, err }, 'the access log cannot be written');
  };
  const onDropped = (lines: number): void => metrics.accessLogDroppedLines.inc(lines);
  const onReopenFailed = (err: unknown): void =>
    log.error({ path, err }, 'the access log could not be opened again, the old file is still written');
  const writer = await LineWriter.open({ path, clock, onDropped, onState, onReopenFailed }).catch((error: Error) => {
    throw new ConfigError([`EDGE_ACCESS_LOG_FILE: ${error.message}`]);
  });
  const reopen = (): void => writer.reopen();
  process.on('SIGHUP', reopen);
  lifecycle.onStop('access log', () => {
    process.off('SIGHUP', reopen);
    return writer.close();
  });
  return new AccessLog({ format, edgeId, peers, clock, write: (line) => writer.write(line) });
}

async function answerPush(replica: Replica, metrics: EdgeMetrics, command: PushCommand): Promise<PushReply> {
  try {
    const reply = await replica.carryOut(command);
    metrics.pushes.inc({ outcome: reply.outcome });
    return reply;
  } catch (error) {
    metrics.pushes.inc({ outcome: 'failed' });
    // The controller must not take the origin's silence for this edge's.
    if (error instanceof SluiceError && ORIGIN_SILENT_CODES.has(error.code)) throw new OriginAwayError(error);
    throw error;
  }
}

function transferObserver(metrics: EdgeMetrics) {
  return {
    transferred: ({ kind, bytes }: { kind: string; bytes: number }) => metrics.transferredBytes.inc({ transfer: kind }, bytes),
    failed: () => metrics.transferFailures.inc(),
  };
}

function observeState(
  metrics: EdgeMetrics,
  {
    index,
    blobs,
    memory,
    budget,
    transfers,
    catchUp,
    clock,
  }: {
    index: CatalogIndex;
    blobs: BlobStore;
    memory: MemoryTier;
    budget: DiskBudget;
    transfers: Transfers;
    catchUp: CatchUp;
    clock: Clock;
  },
): void {
  metrics.observe('objects', 'Keys with a manifest.', () => index.objects);
  metrics.observe('open_invalidations', 'Invalidations kept for versions that may still arrive.', () => index.openInvalidations);
  metrics.observe('blobs', 'Blobs held.', () => blobs.totals.count);
  metrics.observe('blob_bytes', 'Content bytes held.', () => blobs.totals.bytes);
  metrics.observe('memory_bytes', 'Content bytes held in memory above the disk.', () => memory.sizeBytes);
  metrics.observe('capacity_bytes', 'Most content bytes that may be held.', () => budget.capacityBytes);
  metrics.observe('evicted_bytes', 'Content bytes dropped to make room, since the start.', () => budget.evicted.bytes);
  metrics.observe('pending_transfers', 'Transfers under way or waiting.', () => transfers.pending);
  metrics.observe('catalog_version', 'Everything up to this version is known.', () => index.watermark);
  metrics.observe('catch_up_age_seconds', 'Seconds since the edge last knew everything; -1 before the first time.', () =>
    catchUp.completedAtMs === undefined ? -1 : (clock.nowMs() - catchUp.completedAtMs) / 1000,
  );
}

function every(clock: Clock, intervalMs: number, work: () => void): () => void {
  let cancel: () => void = () => {};
  const tick = (): void => {
    work();
    cancel = clock.after(intervalMs, tick);
  };
  cancel = clock.after(intervalMs, tick);
  return () => cancel();
}
