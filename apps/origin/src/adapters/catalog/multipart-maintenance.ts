import type { Clock, Logger } from '@sluice/runtime';
import type { MultipartUploads } from './multipart-uploads.ts';

const PERIOD_MS = 3_600_000;
const FIRST_MS = 60_000;

export interface MultipartMaintenanceOptions {
  readonly multipart: Pick<MultipartUploads, 'expire'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** An upload of which nothing has come for so long is abandoned. */
  readonly expiryMs: number;
  readonly onExpired: (uploads: number) => void;
}

/** Every hour, aborts the uploads that were abandoned. Returns how to end that. */
export function expireUploads({ multipart, clock, log, expiryMs, onExpired }: MultipartMaintenanceOptions): () => void {
  let stopped = false;
  let cancel: () => void = () => {};
  const run = async (): Promise<void> => {
    try {
      const untilMs = clock.nowMs() - expiryMs;
      let total = 0;
      for (let expired = -1; expired !== 0 && !stopped; total += Math.max(0, expired)) expired = await multipart.expire(untilMs);
      if (total > 0) log.info({ uploads: total }, 'abandoned multipart uploads removed');
      onExpired(total);
    } catch (err) {
      log.error({ err }, 'abandoned multipart uploads could not be removed');
    }
    if (!stopped) cancel = clock.after(PERIOD_MS, () => void run());
  };
  cancel = clock.after(FIRST_MS, () => void run());
  return () => {
    stopped = true;
    cancel();
  };
}
