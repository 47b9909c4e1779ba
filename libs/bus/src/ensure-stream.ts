import type { JetStreamManager, StreamConfig } from '@nats-io/jetstream';
import { errorCodeOf, TooFewServersError } from './errors.ts';

/** https://github.com/nats-io/nats-server/blob/main/server/errors.json */
const STREAM_NOT_FOUND = 10059;
/** `JSClusterNoPeersErrF`, `JSInsufficientResourcesErr`, `JSStreamReplicasNotSupportedErr`. */
const TOO_FEW_SERVERS: ReadonlySet<number> = new Set([10005, 10023, 10074]);

/**
 * Creates a stream where it is missing, and brings its limits up to date. One with fewer than `replicas` is brought up to them, and its consumers with it; one with more keeps them:
 * those, and the storage, are the operator's. @throws {TooFewServersError} when the cluster has not got as many servers now
 */
export async function ensureStream(
  manager: JetStreamManager,
  { name, ...limits }: Partial<StreamConfig> & { readonly name: string },
  replicas: number,
): Promise<void> {
  try {
    const found = await manager.streams.info(name).catch((error: unknown) => {
      if (errorCodeOf(error) === STREAM_NOT_FOUND) return undefined;
      throw error;
    });
    const { retention: _, ...changeable } = limits;
    if (found === undefined) await manager.streams.add({ name, ...limits, num_replicas: replicas });
    else if (found.config.num_replicas < replicas) await manager.streams.update(name, { ...changeable, num_replicas: replicas });
    else if (differs(found.config, changeable)) await manager.streams.update(name, changeable);
  } catch (error) {
    if (TOO_FEW_SERVERS.has(errorCodeOf(error) ?? 0)) throw new TooFewServersError(name, replicas, error);
    throw error;
  }
}

/** In a cluster an update is a vote of its servers, also where it changes nothing. */
function differs(found: object, limits: object): boolean {
  const known = new Map(Object.entries(found));
  return Object.entries(limits).some(([field, value]) => JSON.stringify(known.get(field)) !== JSON.stringify(value));
}
