/** Puts an edge together and starts it in the order in which nothing is missed: serve what is held, register, catch up. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { BlobStore, type Operate, Scrubber } from '@sluice/blobs';
import { Bus } from '@sluice/bus';
import { type EdgeReport, edgePush, type PushCommand, type PushReply, SluiceError } from '@sluice/contracts';
import {
  answerOperations,
  brokerAccess,
  type Clock,
  ConfigError,
  every,
  followAdminAccess,
  followFile,
  httpUrl,
  Lifecycle,
  type Logger,
  type OperationsReply,
  Readiness,
  type Rng,
  systemClock,
  systemRng,
} from '@sluice/runtime';
import { lockDataDir, startCheckpointer } from '@sluice/sqlite';
import { CatalogIndex } from './adapters/catalog-index.ts';
import { followConfigFiles } from './adapters/config-files.ts';
import { DirectDownload } from './adapters/direct-download.ts';
import { CONNECTIONS_MAX } from './adapters/http-server.ts';
import { IndexStamps } from './adapters/index-stamps.ts';
import { LineWriter } from './adapters/line-writer.ts';
import { natsOrigin } from './adapters/nats-origin.ts';
import { Presence } from './adapters/presence.ts';
import { ReplicaState } from './adapters/replica-state.ts';
import { ServingThreads } from './adapters/serving-threads.ts';
import type { EdgeConfig } from './config.ts';
import { type CounterName, type EdgeMetrics, edgeMetrics } from './metrics.ts';
import { readPublicKeys } from './public-keys-file.ts';
import { BlockReads } from './services/block-reads.ts';
import { CatchUp } from './services/catch-up.ts';
import { DamagedBlobs } from './services/damaged-blobs.ts';
import { Databases } from './services/databases.ts';
import { DetachedBlobs } from './services/detached-blobs.ts';
import { DiskBudget } from './services/disk-budget.ts';
import { Fills } from './services/fills.ts';
import { awaitedOrigin } from './services/origin-port.ts';
import { OriginTrust } from './services/origin-trust.ts';
import { OriginAwayError, Puller } from './services/puller.ts';
import { Refill } from './services/refill.ts';
import { Replica } from './services/replica.ts';
import { ServingDesk } from './services/serving-desk.ts';
import type { EdgeDatabase, OperationsQuestion } from './services/serving-messages.ts';
import { SharedMemory } from './services/shared-memory.ts';
import { Transfers } from './services/transfers.ts';
import { VariantFill } from './services/variant-fill.ts';

const ORIGIN_SILENT_CODES: ReadonlySet<string> = new Set(['NO_LISTENER', 'NO_REPLY', 'BROKER_AWAY']);
/** How often what was committed is brought out of reach of a power cut too. More often costs visitors more than it saves. */
const CHECKPOINT_MS = 5_000;
/** How often how many entries of the index are compared with their checksums: a million in an hour. */
const CHECK_INDEX_MS = 500;
const CHECKED_ENTRIES = 150;
/** How often ranks that changed by use are written to disk. */
const FLUSH_RANKS_MS = 2_000;

export interface EdgeOptions {
  readonly clock?: Clock;
  readonly rng?: Rng;
  /** For tests: sees every labelled operation on the disk and with the broker. */
  readonly operate?: Operate;
}

export interface RunningEdge {
  readonly port: number;
  /** Undefined without TLS. */
  readonly tlsPort: number | undefined;
  readonly lifecycle: Lifecycle;
}

/** Starts an edge; resolves when it serves. The broker may come later. @throws when it cannot; nothing is left running */
export async function startEdge(config: EdgeConfig, log: Logger, options: EdgeOptions = {}): Promise<RunningEdge> {
  const lifecycle = new Lifecycle(log, { noticeMs: config.EDGE_STOP_NOTICE_MS });
  try {
    return await start(config, log, lifecycle, options);
  } catch (error) {
    await lifecycle.stop('could not start');
    throw error;
  }
}

async function start(config: EdgeConfig, log: Logger, lifecycle: Lifecycle, options: EdgeOptions): Promise<RunningEdge> {
  const { clock = systemClock, rng = systemRng, operate } = options;
  const readiness = new Readiness();
  const metrics = edgeMetrics();
  const withOperate = operate === undefined ? {} : { operate };

  const files = await followConfigFiles(config, clock, log);
  lifecycle.onStop('configuration files', () => files.stop());
  const publicKeys = await followPublicKeys(config.EDGE_ORIGIN_PUBLIC_KEYS_FILE, clock, log);
  lifecycle.onStop('public keys', () => publicKeys?.stop());
  const access = await followAdminAccess({
    ...{ host: config.EDGE_HOST, tokenFile: config.EDGE_ADMIN_TOKEN_FILE, variable: 'EDGE_ADMIN_TOKEN_FILE' },
    ...{ open: config.EDGE_ADMIN_OPEN === 'yes', clock, log },
  });
  lifecycle.onStop('admin access', () => access.stop());
  const lock = lockDataDir(config.EDGE_DATA_DIR, 'edge');
  lifecycle.onStop('data directory', () => lock.release());
  const blobsDir = join(config.EDGE_DATA_DIR, 'blobs');
  const databases = new Databases(log);
  metrics.databasesReplaced(() => databases.replacements);
  const blobs = await BlobStore.open({
    ...{ dir: blobsDir, durability: 'relaxed', ...withOperate },
    onDamaged: (sha256) => void damaged.look(sha256),
    onDatabaseDamaged: (err) => databases.damaged('blobs', err),
  });
  lifecycle.onStop('blobs', () => blobs.close());
  const stamps = new IndexStamps();
  const index = new CatalogIndex({
    ...{ dir: config.EDGE_DATA_DIR, region: config.EDGE_REGION, nowMs: () => clock.nowMs(), stamps },
    ...withOperate,
    onDamaged: (err) => databases.damaged('index', err),
  });
  lifecycle.onStop('index', () => index.close());
  const state = new ReplicaState();

  const checkpoint = () =>
    startCheckpointer([blobs.databasePath, index.databasePath], CHECKPOINT_MS, (err) => log.error({ err }, 'checkpoint failed'));
  let checkpointer = checkpoint();
  lifecycle.onStop('checkpointer', () => checkpointer.stop());

  const origin = awaitedOrigin();
  const budget = new DiskBudget(blobs, config.EDGE_CAPACITY_BYTES);
  budget.evictTo(config.EDGE_CAPACITY_BYTES);
  const observer = transferObserver(metrics);
  const fills = new Fills({
    ...{ blobs, origin },
    began: (fill) => serving.publish({ kind: 'fill', fill }),
    ended: (sha256) => serving.publish({ kind: 'filled', sha256 }),
  });
  const transfers = new Transfers({ blobs, budget, origin, fills, log, observer });
  const blockReads = new BlockReads({ origin, observer });
  const detached = new DetachedBlobs({ blobs, origin, observer, clock, capacityBytes: config.EDGE_CAPACITY_BYTES });
  const memory = new SharedMemory(
    config.EDGE_MEMORY_BYTES,
    (sha256) => blobs.has(sha256),
    (changes) => serving.publish({ kind: 'memory', changes }),
  );
  const variants = new VariantFill({ index, blobs, memory, budget, transfers, clock, log });
  const replica = new Replica({ index, blobs, memory, budget, transfers, variants });
  const puller = new Puller({ index, replica, fills, origin, clock });
  const refill = new Refill({ index, blobs, budget, transfers, log });
  const noteState = (): void => state.set({ caughtUpAtMs: catchUp.completedAtMs, isDoubtful: index.isDoubtful });
  const damaged = new DamagedBlobs({
    ...{ blobs, index, transfers, clock, log },
    onDropped: (foundBy) => metrics.scrubMismatches.inc({ found_by: foundBy }),
  });
  const scrubber = new Scrubber({
    ...{ store: blobs, bytesPerSecond: config.EDGE_SCRUB_BYTES_PER_SECOND, clock, rng },
    onScrubbed: (bytes) => metrics.scrubbedBytes.inc(bytes),
    onDamaged: (sha256, verdict) => damaged.replace(sha256, verdict),
    onFailed: (err) => log.error({ err }, 'scrubbing was interrupted, it begins again'),
  });
  lifecycle.onStop('scrubber', () => {
    damaged.stop();
    return scrubber.stop();
  });
  metrics.observe('scrub_age_seconds', 'Seconds since everything held was last read again; -1 before the first time.', () =>
    scrubber.passedAtMs === undefined ? -1 : (clock.nowMs() - scrubber.passedAtMs) / 1000,
  );
  const catchUp = new CatchUp({
    ...{ index, replica, origin, clock, rng, log },
    intervalMs: config.EDGE_CATCH_UP_INTERVAL_MS,
    onCompleted: (changes) => {
      noteState();
      metrics.catchUps.inc();
      metrics.caughtUpChanges.inc(changes);
      refill.start();
    },
    onFailed: () => metrics.catchUpFailures.inc(),
  });
  const trust =
    publicKeys &&
    new OriginTrust({
      ...{ index, clock, log, region: config.EDGE_REGION },
      publicKeys: () => publicKeys.current,
      hasCaughtUp: () => catchUp.completedAtMs !== undefined,
      onEarly: () => catchUp.askAgain(),
      onRefused: (reason) => metrics.signatureRefusals.inc({ reason }),
    });
  noteState();
  const beginAnew = async (database: EdgeDatabase): Promise<void> => {
    const done = database === 'index' ? index.startOver() : blobs.startOver();
    noteState();
    // It has the file open that was given up.
    const before = checkpointer;
    checkpointer = checkpoint();
    await Promise.all([done, before.stop()]);
    void catchUp.run();
  };
  databases.open({
    doubt: () => state.set({ caughtUpAtMs: catchUp.completedAtMs, isDoubtful: true }),
    startOver: beginAnew,
    replaced: (database, generation) => serving.publish({ kind: 'database-replaced', database, generation }),
  });
  if (config.EDGE_SCRUB_BYTES_PER_SECOND > 0) lifecycle.onStop('index check', checkIndex(index, clock));
  readiness.require('catch-up', () => (catchUp.completedAtMs === undefined ? 'has not caught up with the origin yet' : undefined));
  readiness.require('lifecycle', () => (lifecycle.state === 'running' ? undefined : 'is stopping'));

  const stopFlushing = every(clock, FLUSH_RANKS_MS, () => budget.flushRanks());
  lifecycle.onStop('ranks', () => {
    stopFlushing();
    budget.flushRanks();
  });

  let bus: Bus | undefined;
  lifecycle.onStop('bus', () => bus?.close());

  const operations = async ({ path, credentials }: OperationsQuestion) =>
    (await answerOperations(path, readiness, metrics.registry, access.refusalOf(credentials))) as OperationsReply;
  const threads = config.EDGE_SERVING_THREADS;
  const serving: ServingThreads = new ServingThreads({
    ...{ threads, connectionsMax: CONNECTIONS_MAX, clock, log },
    generations: () => databases.generations,
    desk: new ServingDesk({ stamps, damaged, databases, budget, memory, puller, detached, blockReads, variants, operations }),
    setup: {
      ...{ edgeId: config.EDGE_ID, host: config.EDGE_HOST, port: config.EDGE_PORT, logLevel: config.LOG_LEVEL },
      ...{ negativeTtlMs: config.EDGE_NEGATIVE_TTL_MS, indexPath: index.databasePath, blobsDir, files: files.current },
      tlsPort: config.EDGE_TLS_PORT,
      // Who does not trust the broker sends nothing on that came over it and may be anything.
      verifiedOnly: trust !== undefined,
      accessLog: config.EDGE_ACCESS_LOG === 'off' ? undefined : { format: config.EDGE_ACCESS_LOG, path: config.EDGE_ACCESS_LOG_FILE },
      ...{ trustedProxies: config.EDGE_TRUSTED_PROXIES, proxyProtocol: config.EDGE_PROXY_PROTOCOL === 'on' },
      ...{ stamps: stamps.buffer, state: state.buffer },
      ...{ trialBytes: memory.trialBytes / Math.max(1, threads), uses: memory.uses, memoryFull: memory.full },
    },
    current: () => [
      { kind: 'files', files: files.current },
      { kind: 'memory', changes: memory.current() },
      ...fills.readable.map((fill) => ({ kind: 'fill', fill }) as const),
    ],
  });
  readiness.require('serving', () => (serving.missing === 0 ? undefined : `${serving.missing} serving threads do not listen`));
  files.onChange((current) => serving.publish({ kind: 'files', files: current }));
  const logFile = await holdLogFile(config.EDGE_ACCESS_LOG_FILE);
  await serving.start().finally(() => logFile?.close());
  const reopenLog = (): void => serving.publish({ kind: 'reopen-log' });
  process.on('SIGHUP', reopenLog);
  lifecycle.onStop('signal', () => void process.off('SIGHUP', reopenLog));
  lifecycle.onStop('http', () => serving.drain());
  metrics.observeCertificates(() => files.current.certificates);
  const { port, tlsPort } = serving;
  log.info({ host: config.EDGE_HOST, port, tlsPort, region: config.EDGE_REGION, threads }, 'listening');

  scrubber.start();

  const instance = randomUUID();
  const report = (draining: boolean): EdgeReport => ({
    id: config.EDGE_ID,
    instance,
    region: config.EDGE_REGION,
    url: config.EDGE_URL ?? httpUrl(config.EDGE_HOST, port),
    catalogVersion: index.watermark,
    objects: index.objects,
    bytes: blobs.totals.bytes,
    capacityBytes: config.EDGE_CAPACITY_BYTES,
    draining,
  });
  metrics.observe('counted_blobs', 'Blobs whose use is counted.', () => budget.countedBlobs);
  metrics.observe('pending_variants', 'Variants that wait to be brought, or are being.', () => variants.pending);
  observeState(metrics, { index, blobs, memory, budget, transfers, catchUp, serving, clock });

  /** Everything that needs the broker; runs when it is there for the first time. */
  const joinNetwork = async (): Promise<void> => {
    const connected = await Bus.connect({
      ...{ servers: config.NATS_URL, access: brokerAccess(config) },
      ...{ name: `edge ${config.EDGE_ID}`, inbox: `edge.${config.EDGE_ID}`, log, operate },
    });
    if (lifecycle.state !== 'running') return connected.close();
    bus = connected;
    const direct = new DirectDownload(clock, log);
    lifecycle.onStop('direct download', () => direct.close());
    origin.provide(natsOrigin(connected, config.EDGE_REGION, direct, trust?.verify));
    const stopServing = connected.serve(edgePush(config.EDGE_ID), (command) => answerPush(replica, metrics, trust, command));
    const presence = new Presence({ bus: connected, clock, log, report });
    const announce = async (): Promise<void> => {
      await presence.announce(() => void catchUp.run());
      if (!presence.registered) void catchUp.run();
    };
    const stopFollowing = connected.onReconnect(() => void announce());
    lifecycle.onStop('catch-up', () => catchUp.stop());
    lifecycle.onStop('refill', () => refill.stop());
    lifecycle.onStop('variants', () => variants.stop());
    lifecycle.onStop('presence', async () => {
      stopFollowing();
      await presence.leave();
      stopServing();
    });
    await announce();
  };
  void joinNetwork().catch((err) => log.error({ err }, 'could not join'));

  return { port, tlsPort, lifecycle };
}

/**
 * The file of the access log, opened as the threads will open it: until they have, because the reader of a named pipe would take the end of its only writer for the end.
 * @throws {ConfigError} when the access log cannot be written there
 */
async function holdLogFile(path: string | undefined): Promise<{ close(): Promise<void> } | undefined> {
  if (path === undefined) return undefined;
  return LineWriter.hold(path).catch((error: Error) => {
    throw new ConfigError([`EDGE_ACCESS_LOG_FILE: ${error.message}`]);
  });
}

/** Goes through the index again and again, a few entries at a time, so that damage is found that nobody has met. The index itself tells of it. */
function checkIndex(index: CatalogIndex, clock: Clock): () => void {
  let at = '';
  return every(clock, CHECK_INDEX_MS, () => {
    try {
      at = index.check(at, CHECKED_ENTRIES) ?? '';
    } catch {
      at = '';
    }
  });
}

/** Undefined: this edge takes everybody's word. @throws {ConfigError} */
async function followPublicKeys(path: string | undefined, clock: Clock, log: Logger) {
  if (path === undefined) return undefined;
  const variable = 'EDGE_ORIGIN_PUBLIC_KEYS_FILE';
  const tell = (): void => log.info({ keyIds: [...file.current.keys()] }, 'only what the origin has signed is taken');
  const file = await followFile({
    path,
    variable,
    title: 'file of public keys',
    parse: readPublicKeys,
    onChange: () => tell(),
    clock,
    log,
  });
  tell();
  return file;
}

async function answerPush(
  replica: Replica,
  metrics: EdgeMetrics,
  trust: Pick<OriginTrust, 'admit'> | undefined,
  command: PushCommand,
): Promise<PushReply> {
  try {
    const reply = await replica.carryOut(trust === undefined ? command : trust.admit(command));
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
    readAhead: (bytes: number) => metrics.transferredBytes.inc({ transfer: 'ahead' }, bytes),
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
    serving,
    clock,
  }: {
    index: CatalogIndex;
    blobs: BlobStore;
    memory: SharedMemory;
    budget: DiskBudget;
    transfers: Transfers;
    catchUp: CatchUp;
    serving: ServingThreads;
    clock: Clock;
  },
): void {
  const counted = (name: CounterName): number => serving.counters.reduce((sum, counters) => sum + counters.get(name), 0);
  metrics.observeServing(counted);
  metrics.observe('objects', 'Keys with a manifest.', () => index.objects);
  metrics.observe('open_invalidations', 'Invalidations kept for versions that may still arrive.', () => index.openInvalidations);
  metrics.observe('blobs', 'Blobs held.', () => blobs.totals.count);
  metrics.observe('blob_bytes', 'Content bytes held.', () => blobs.totals.bytes);
  metrics.observe('memory_bytes', 'Content bytes held in memory above the disk.', () => memory.sizeBytes + counted('trialBytes'));
  metrics.observe('capacity_bytes', 'Most content bytes that may be held.', () => budget.capacityBytes);
  metrics.observe('evicted_bytes', 'Content bytes dropped to make room, since the start.', () => budget.evicted.bytes);
  metrics.observe('pending_transfers', 'Transfers under way or waiting.', () => transfers.pending);
  metrics.observe('catalog_version', 'Everything up to this version is known.', () => index.watermark);
  metrics.observe('catch_up_age_seconds', 'Seconds since the edge last knew everything; -1 before the first time.', () =>
    catchUp.completedAtMs === undefined ? -1 : (clock.nowMs() - catchUp.completedAtMs) / 1000,
  );
}
