/** Puts the origin's parts together, in the order in which they need each other, and takes them apart in the reverse. */
import { type Operate, operate as operatePlainly } from '@sluice/blobs';
import {
  brokerAccess,
  type Clock,
  ConfigError,
  createMetrics,
  followAdminAccess,
  followFile,
  httpUrl,
  Lifecycle,
  type Logger,
  Readiness,
  type Rng,
  systemClock,
  systemRng,
} from '@sluice/runtime';
import { Md5Threads } from './adapters/blobs/md5-threads.ts';
import { Authentication } from './adapters/http/authenticate.ts';
import { BLOBS_PATH } from './adapters/http/get-blob.ts';
import { MultipartCompletion } from './adapters/http/multipart-completion.ts';
import { type ConnectionLimits, OriginServer } from './adapters/http/origin-server.ts';
import { Uploads } from './adapters/http/put-object.ts';
import { readOnlyHandlers } from './adapters/http/read-only.ts';
import { s3Handlers } from './adapters/http/s3-handlers.ts';
import { createOriginMetrics } from './adapters/metrics.ts';
import { openSource } from './adapters/source/open-source.ts';
import { BrokerSide } from './broker-side.ts';
import { parseBuckets } from './buckets-config.ts';
import type { OriginConfig } from './config.ts';
import { type BucketSettings, settingsOf } from './domain/bucket-settings.ts';
import { isBelowDomain } from './domain/virtual-host.ts';
import { parseKeys } from './keys-config.ts';
import { readSigningKey } from './signing-key-file.ts';
import { sourceSettings } from './source-config.ts';
import { parseSourceRules } from './source-rules-config.ts';
import { SourceSide } from './source-side.ts';
import { openStorage, watchStorage } from './storage.ts';

/** What a test replaces. */
export interface OriginSeams {
  readonly clock?: Clock;
  readonly rng?: Rng;
  readonly operate?: Operate;
  readonly limits?: Partial<ConnectionLimits>;
  /** Least bytes of a part of a multipart upload but the last. */
  readonly partMinBytes?: number;
}

type FileVariable = 'ORIGIN_KEYS_FILE' | 'ORIGIN_BUCKETS_FILE' | 'ORIGIN_SOURCE_RULES_FILE' | 'ORIGIN_SIGNING_KEY_FILE';

export interface RunningOrigin {
  readonly port: number;
  readonly lifecycle: Lifecycle;
  stop(): Promise<void>;
}

/**
 * Starts an origin. Resolves when HTTP is served; the broker is connected to in the background.
 * @throws {ConfigError} when the keys file or the buckets file cannot be used, or the origin's own name is one of a bucket; when the data directory or the port cannot be used. Nothing is left running
 */
export async function startOrigin(config: OriginConfig, log: Logger, seams: OriginSeams = {}): Promise<RunningOrigin> {
  const lifecycle = new Lifecycle(log);
  try {
    const port = await start(config, log, lifecycle, seams);
    return { port, lifecycle, stop: async () => void (await lifecycle.stop('asked to')) };
  } catch (error) {
    await lifecycle.stop('could not start');
    throw error;
  }
}

/** Edges ask for `/-/blobs/…` at the origin's own name: were that a bucket's, they would be told that there is no such key. @throws {ConfigError} */
function checkOwnName({ ORIGIN_URL, ORIGIN_HOST, ORIGIN_PORT, ORIGIN_S3_DOMAIN }: OriginConfig): void {
  const { host } = new URL(ORIGIN_URL ?? httpUrl(ORIGIN_HOST, ORIGIN_PORT));
  if (!isBelowDomain(host, ORIGIN_S3_DOMAIN)) return;
  throw new ConfigError([
    `ORIGIN_URL: ${host} is below a domain of ORIGIN_S3_DOMAIN, so requests for it are about a bucket; name the origin to the edges by another host, such as the domain itself`,
  ]);
}

async function start(config: OriginConfig, log: Logger, lifecycle: Lifecycle, seams: OriginSeams): Promise<number> {
  checkOwnName(config);
  const { clock = systemClock, rng = systemRng, operate = operatePlainly, limits } = seams;
  const registry = createMetrics('origin');
  const metrics = createOriginMetrics(registry);
  const readiness = new Readiness();

  const follow = async <Value>(variable: FileVariable, title: string, parse: (text: string) => Value, onChange?: () => void) => {
    const path = config[variable];
    if (path === undefined) return undefined;
    const file = await followFile({ path, variable, title, parse, clock, log, ...(onChange && { onChange }) });
    lifecycle.onStop(title, () => file.stop());
    return file;
  };
  const keys = await follow('ORIGIN_KEYS_FILE', 'keys file', parseKeys);
  if (keys === undefined)
    log.warn({ host: config.ORIGIN_HOST }, 'there are no keys: whoever reaches this port may read and change everything');
  const authentication = new Authentication({ keys, clock });
  const access = await followAdminAccess({
    ...{ host: config.ORIGIN_HOST, tokenFile: config.ORIGIN_ADMIN_TOKEN_FILE, variable: 'ORIGIN_ADMIN_TOKEN_FILE', clock, log },
    // Who may change everything may also see how it goes.
    open: config.ORIGIN_ADMIN_OPEN === 'yes' || config.ORIGIN_ANYONE_MAY_WRITE === 'yes',
  });
  lifecycle.onStop('admin access', () => access.stop());
  const buckets = await follow('ORIGIN_BUCKETS_FILE', 'buckets file', (text) => parseBuckets(text, config.ORIGIN_VERSIONS_KEPT));
  const unnamed = parseBuckets('', config.ORIGIN_VERSIONS_KEPT);
  const bucketSettings = (key: string): BucketSettings => settingsOf(buckets?.current ?? unnamed, key);

  const signing = await follow('ORIGIN_SIGNING_KEY_FILE', 'signing key', readSigningKey, () => tellSigningKey());
  const tellSigningKey = (): void => log.info({ keyId: signing?.current.keyId }, 'what this origin says is signed');
  if (signing !== undefined) tellSigningKey();

  const settings = sourceSettings(config);
  let sourceSide: SourceSide | undefined;
  if (settings.kind === 's3' && signing !== undefined) {
    log.warn(
      {},
      'the log that origins of one bucket share is not signed: who writes into it changes what this origin signs, so let nobody else write to it',
    );
  }
  if (settings.kind !== 'store') {
    const file = await follow('ORIGIN_SOURCE_RULES_FILE', 'source rules file', parseSourceRules, () => sourceSide?.hintAll());
    const withoutFile = parseSourceRules('');
    const opened = await openSource(settings, { rules: () => file?.current ?? withoutFile, clock, metrics, log });
    lifecycle.onStop('source', () => opened.close());
    sourceSide = new SourceSide({ config, settings, source: opened.source, bucketSettings, clock, rng, metrics, log });
  }
  const storage = await openStorage({
    sourceSide,
    config,
    bucketSettings,
    clock,
    rng,
    metrics,
    log,
    lifecycle,
    operate,
    onEvent: () => broker.wake(),
  });
  watchStorage(registry, storage, clock);
  const { store, blobs, catalog, garbage, blocks } = storage;
  const broker = new BrokerSide({
    ...{
      servers: config.NATS_URL,
      access: brokerAccess(config),
      streamReplicas: config.NATS_STREAM_REPLICAS,
      storage,
      sourceSide,
      clock,
      rng,
      metrics,
      log,
      operate,
    },
    signingKey: () => signing?.current,
    takesPurges: config.ORIGIN_BROKER_PURGE === 'yes',
  });
  lifecycle.onStop('broker', () => broker.stop());
  lifecycle.onStop('source', async () => sourceSide?.stop());
  // Before the source is closed: what still came then could not be answered any more, and another origin can.
  lifecycle.onStop('requests', () => broker.leave());
  sourceSide?.start();

  readiness.require('catalog', () => (catalog.open ? undefined : 'the catalog is closed'));
  readiness.require('broker', () => {
    if (!broker.connected) return 'not connected to the broker';
    return broker.taking ? undefined : 'does not take events yet';
  });
  readiness.require('source', () => sourceSide?.unready);
  readiness.note('blobs', () => storage.damaged.problem);
  readiness.require('lifecycle', () => (lifecycle.state === 'running' ? undefined : 'the origin is stopping'));
  const { ORIGIN_HOST: host, ORIGIN_PORT: port, ORIGIN_UPLOADS_MAX: maxUploads } = config;
  const md5Threads = new Md5Threads({ clock });
  lifecycle.onStop('MD5 threads', () => md5Threads.stop());
  const uploads = new Uploads({ blobs: store, catalog, garbage, blocks, metrics, md5Threads, bucketSettings, maxUploads });
  const multipart = { blobs, catalog, uploads, garbage, blocks, clock, metrics, bucketSettings, partMinBytes: seams.partMinBytes };
  const completion = new MultipartCompletion(multipart);
  lifecycle.onStop('multipart completion', () => completion.stop());
  const handlers = s3Handlers({ ...multipart, completion });
  const readOnly = settings.kind === 'store' ? undefined : settings.kind;
  const parts = {
    readOnly,
    blobs,
    catalog,
    handlers: readOnly === undefined ? handlers : readOnlyHandlers(handlers, readOnly),
    authentication,
    refusalOf: access.refusalOf,
    domains: config.ORIGIN_S3_DOMAIN,
    readiness,
    registry,
    metrics,
    log,
  };
  const server = await OriginServer.listen({ host, port, ...parts, limits });
  lifecycle.onStop('http', () => server.stop());
  log.info({ host, port: server.port }, 'listening');
  const blobsUrl = `${(config.ORIGIN_URL ?? httpUrl(host, server.port)).replace(/\/$/, '')}${BLOBS_PATH}`;
  broker.start(blobsUrl).catch((err: unknown) => log.error({ err }, 'the broker cannot be used'));
  return server.port;
}
