import type { Catalog } from '../catalog/catalog.ts';
import type { OriginMetrics } from '../metrics.ts';
import type { Exchange } from './exchange.ts';

export interface DeleteOptions {
  readonly catalog: Catalog;
  readonly metrics: OriginMetrics;
}

/** Answers a DELETE of `key`. One that is not there is as good as removed. */
export async function deleteObject(exchange: Exchange, key: string, { catalog, metrics }: DeleteOptions): Promise<void> {
  const removed = await catalog.remove(key);
  if (removed === undefined) return exchange.answer({ status: 204 });
  metrics.removals.inc();
  const headers = [
    ['x-sluice-event-id', removed.eventId],
    ['x-sluice-version', String(removed.version)],
  ] as const;
  exchange.answer({ status: 204, headers });
}
