import { type Clock, systemClock } from '@sluice/runtime';

/** Longer waits are not for a better moment, but for somebody who may be slow. */
const SHORT_MS = 2_000;

/** What waits for a better moment waits a tenth of that. */
export const hurriedClock: Clock = {
  ...systemClock,
  after: (delayMs, callback) => systemClock.after(delayMs <= SHORT_MS ? delayMs / 10 : delayMs, callback),
};
