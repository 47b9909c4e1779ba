import type { Clock, Logger } from '@sluice/runtime';
import type { Catalog } from './catalog.ts';
import { hourly } from './hourly.ts';

export interface FeedMaintenanceOptions {
  readonly catalog: Pick<Catalog, 'prune'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly retentionMs: number;
  readonly maxRows: number;
}

/** Every hour, forgets removals and invalidations that are too old or too many. Returns how to end that. */
export function maintainFeed({ catalog, clock, log, retentionMs, maxRows }: FeedMaintenanceOptions): () => void {
  return hourly({
    part: (nowMs) => catalog.prune({ untilVersion: Math.max(0, nowMs - retentionMs) * 1000, maxRows }),
    done: (rows) => {
      if (rows > 0) log.info({ rows }, 'old removals and invalidations forgotten');
    },
    failure: 'old removals and invalidations could not be forgotten',
    ...{ clock, log },
  });
}
