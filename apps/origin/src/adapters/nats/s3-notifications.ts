import type { Bus, Unsubscribe } from '@sluice/bus';
import type { Clock, Logger } from '@sluice/runtime';
import { type NotificationScope, readS3Notification } from '../../domain/s3-notification.ts';
import type { SourceHint } from '../../services/source-port.ts';
import type { OriginMetrics } from '../metrics.ts';

/** How often the log tells of messages that cannot be read. */
const WARNING_EVERY_MS = 60_000;

export interface S3NotificationsOptions {
  readonly bus: Pick<Bus, 'listen'>;
  /** Where the service, or a bridge from it, sends its notifications. May have wildcards. */
  readonly subject: string;
  /** Of several origins that share it, one gets each message. */
  readonly queue: string;
  readonly scope: NotificationScope;
  readonly onHint: (hint: SourceHint) => void;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly metrics: Pick<OriginMetrics, 'sourceNotifications'>;
  readonly log: Pick<Logger, 'warn'>;
}

/** Hints from an S3 service's notifications. They come at most once: what is lost is found by the next rescan. Call the result to end it. */
export function takeS3Notifications(options: S3NotificationsOptions): Unsubscribe {
  const { bus, subject, queue, scope, onHint, clock, metrics, log } = options;
  let warnedAtMs = Number.NEGATIVE_INFINITY;
  let untold = 0;
  const warn = (reason: string, on: string): void => {
    untold += 1;
    if (clock.monotonicMs() - warnedAtMs < WARNING_EVERY_MS) return;
    log.warn({ subject: on, reason, messages: untold }, 'notification of the source ignored');
    warnedAtMs = clock.monotonicMs();
    untold = 0;
  };
  return bus.listen(
    subject,
    (data, on) => {
      const read = readS3Notification(data, scope);
      if (read.kind === 'invalid') {
        metrics.sourceNotifications.inc({ outcome: 'invalid' });
        return warn(read.reason, on);
      }
      metrics.sourceNotifications.inc({ outcome: read.keys.length === 0 ? 'ignored' : 'taken' });
      for (const key of read.keys) onHint({ key });
    },
    { queue },
  );
}
