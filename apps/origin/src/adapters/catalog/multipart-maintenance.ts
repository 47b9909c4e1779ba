import type { Clock, Logger } from '@sluice/runtime';
import { hourly } from './hourly.ts';
import type { MultipartUploads } from './multipart-uploads.ts';

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
  return hourly({
    part: (nowMs) => multipart.expire(nowMs - expiryMs),
    done: (uploads) => {
      if (uploads > 0) log.info({ uploads }, 'abandoned multipart uploads removed');
      onExpired(uploads);
    },
    failure: 'abandoned multipart uploads could not be removed',
    ...{ clock, log },
  });
}
