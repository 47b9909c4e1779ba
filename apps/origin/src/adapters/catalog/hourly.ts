import type { Clock, Logger } from '@sluice/runtime';

const PERIOD_MS = 3_600_000;
const FIRST_MS = 60_000;

export interface HourlyOptions {
  /** Does a bounded part of the work and returns how much that was; 0: nothing is left. */
  readonly part: (nowMs: number) => Promise<number>;
  /** After each time, with the sum of its parts. */
  readonly done: (total: number) => void;
  /** What the log says when it fails; it is tried again the next time. */
  readonly failure: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Does a work part by part until nothing is left, a minute after the start and then an hour after each end. Returns how to end that. */
export function hourly({ part, done, failure, clock, log }: HourlyOptions): () => void {
  let stopped = false;
  let cancel: () => void = () => {};
  const run = async (): Promise<void> => {
    try {
      const nowMs = clock.nowMs();
      let total = 0;
      for (let last = -1; last !== 0 && !stopped; total += last) last = await part(nowMs);
      done(total);
    } catch (err) {
      log.error({ err }, failure);
    }
    if (!stopped) cancel = clock.after(PERIOD_MS, () => void run());
  };
  cancel = clock.after(FIRST_MS, () => void run());
  return () => {
    stopped = true;
    cancel();
  };
}
