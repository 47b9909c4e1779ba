import type { Clock, Logger } from '@sluice/runtime';
import type { Catalog } from './catalog.ts';
import type { ForgetElsewhere } from './feed-pruner.ts';
import { hourly } from './hourly.ts';

export interface FeedMaintenanceOptions {
  readonly catalog: Pick<Catalog, 'prune'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly retentionMs: number;
  readonly maxRows: number;
  /** Forgets them where other origins learn of them too. */
  readonly elsewhere?: ForgetElsewhere | undefined;
}

/** Every hour, forgets removals and invalidations that are too old or too many. Returns how to end that. */
export function maintainFeed({ catalog, clock, log, retentionMs, maxRows, elsewhere }: FeedMaintenanceOptions): () => void {
  return hourly({
    part: (nowMs) => catalog.prune({ untilVersion: Math.max(0, nowMs - retentionMs) * 1000, maxRows }, elsewhere),
    done: (rows) => {
      if (rows > 0) log.info({ rows }, 'old removals and invalidations forgotten');
    },
    failure: 'old removals and invalidations could not be forgotten',
    ...{ clock, log },
  });
}
