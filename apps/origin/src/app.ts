/** Puts the origin's parts together, in the order in which they need each other, and takes them apart in the reverse. */
import { type Operate, operate as operatePlainly } from '@sluice/blobs';
import { type Clock, createMetrics, httpUrl, Lifecycle, type Logger, Readiness, type Rng, systemClock, systemRng } from '@sluice/runtime';
import { Md5Threads } from './adapters/blobs/md5-threads.ts';
import { followFile } from './adapters/followed-file.ts';
import { Authentication } from './adapters/http/authenticate.ts';
import { BLOBS_PATH } from './adapters/http/get-blob.ts';
import { MultipartCompletion } from './adapters/http/multipart-completion.ts';
import { type ConnectionLimits, OriginServer } from './adapters/http/origin-server.ts';
import { Uploads } from './adapters/http/put-object.ts';
import { s3Handlers } from './adapters/http/s3-handlers.ts';
import { createOriginMetrics } from './adapters/metrics.ts';
import { BrokerSide } from './broker-side.ts';
import { parseBuckets } from './buckets-config.ts';
import type { OriginConfig } from './config.ts';
import { type BucketSettings, settingsOf } from './domain/bucket-settings.ts';
import { parseKeys } from './keys-config.ts';
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

export interface RunningOrigin {
  readonly port: number;
  readonly lifecycle: Lifecycle;
  stop(): Promise<void>;
}

/**
 * Starts an origin. Resolves when HTTP is served; the broker is connected to in the background.
 * @throws {ConfigError} when the keys file or the buckets file cannot be used; when the data directory or the port cannot be used. Nothing is left running
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

async function start(config: OriginConfig, log: Logger, lifecycle: Lifecycle, seams: OriginSeams): Promise<number> {
  const { clock = systemClock, rng = systemRng, operate = operatePlainly, limits } = seams;
  const registry = createMetrics('origin');
  const metrics = createOriginMetrics(registry);
  const readiness = new Readiness();

  const follow = async <Value>(variable: 'ORIGIN_KEYS_FILE' | 'ORIGIN_BUCKETS_FILE', title: string, parse: (text: string) => Value) => {
    const path = config[variable];
    if (path === undefined) return undefined;
    const file = await followFile({ path, variable, title, parse, clock, log });
    lifecycle.onStop(title, () => file.stop());
    return file;
  };
  const keys = await follow('ORIGIN_KEYS_FILE', 'keys file', parseKeys);
  if (keys === undefined)
    log.warn({ host: config.ORIGIN_HOST }, 'there are no keys: whoever reaches this port may read and change everything');
  const authentication = new Authentication({ keys, clock });
  const buckets = await follow('ORIGIN_BUCKETS_FILE', 'buckets file', (text) => parseBuckets(text, config.ORIGIN_VERSIONS_KEPT));
  const unnamed = parseBuckets('', config.ORIGIN_VERSIONS_KEPT);
  const bucketSettings = (key: string): BucketSettings => settingsOf(buckets?.current ?? unnamed, key);

  const storage = await openStorage({ config, bucketSettings, clock, metrics, log, lifecycle, operate, onEvent: () => broker.wake() });
  watchStorage(registry, storage, clock);
  const { blobs, catalog, garbage, blocks } = storage;
  const broker = new BrokerSide({ servers: config.NATS_URL, storage, clock, rng, metrics, log });
  lifecycle.onStop('broker', () => broker.stop());

  readiness.require('catalog', () => (catalog.open ? undefined : 'the catalog is closed'));
  readiness.require('broker', () => {
    if (!broker.connected) return 'not connected to the broker';
    return broker.taking ? undefined : 'does not take events yet';
  });
  readiness.require('lifecycle', () => (lifecycle.state === 'running' ? undefined : 'the origin is stopping'));
  const { ORIGIN_HOST: host, ORIGIN_PORT: port, ORIGIN_UPLOADS_MAX: maxUploads } = config;
  const md5Threads = new Md5Threads({ clock });
  lifecycle.onStop('MD5 threads', () => md5Threads.stop());
  const uploads = new Uploads({ blobs, catalog, garbage, blocks, metrics, md5Threads, bucketSettings, maxUploads });
  const multipart = { blobs, catalog, uploads, garbage, blocks, clock, metrics, bucketSettings, partMinBytes: seams.partMinBytes };
  const completion = new MultipartCompletion(multipart);
  lifecycle.onStop('multipart completion', () => completion.stop());
  const handlers = s3Handlers({ ...multipart, completion });
  const parts = { blobs, catalog, handlers, authentication, readiness, registry, metrics, log };
  const server = await OriginServer.listen({ host, port, ...parts, limits });
  lifecycle.onStop('http', () => server.stop());
  log.info({ host, port: server.port }, 'listening');
  const blobsUrl = `${(config.ORIGIN_URL ?? httpUrl(host, server.port)).replace(/\/$/, '')}${BLOBS_PATH}`;
  broker.start(blobsUrl).catch((err: unknown) => log.error({ err }, 'the broker cannot be used'));
  return server.port;
}
