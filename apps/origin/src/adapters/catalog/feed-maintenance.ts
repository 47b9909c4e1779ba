import type { Clock, Logger } from '@sluice/runtime';
import type { Catalog } from './catalog.ts';

const PERIOD_MS = 3_600_000;
const FIRST_MS = 60_000;

export interface FeedMaintenanceOptions {
  readonly catalog: Pick<Catalog, 'prune'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly retentionMs: number;
  readonly maxRows: number;
}

/** Every hour, forgets removals and invalidations that are too old or too many. Returns how to end that. */
export function maintainFeed({ catalog, clock, log, retentionMs, maxRows }: FeedMaintenanceOptions): () => void {
  let stopped = false;
  let cancel: () => void = () => {};
  const run = async (): Promise<void> => {
    try {
      const untilVersion = Math.max(0, clock.nowMs() - retentionMs) * 1000;
      let total = 0;
      for (let pruned = -1; pruned !== 0 && !stopped; total += pruned) pruned = await catalog.prune({ untilVersion, maxRows });
      if (total > 0) log.info({ rows: total }, 'old removals and invalidations forgotten');
    } catch (err) {
      log.error({ err }, 'old removals and invalidations could not be forgotten');
    }
    if (!stopped) cancel = clock.after(PERIOD_MS, () => void run());
  };
  cancel = clock.after(FIRST_MS, () => void run());
  return () => {
    stopped = true;
    cancel();
  };
}
