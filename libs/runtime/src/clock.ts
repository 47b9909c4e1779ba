/** Time as an argument: rules and loops take a Clock, only `main.ts` passes the real one. */
export interface Clock {
  /** Milliseconds since the epoch. May jump; use for instants that people read. */
  nowMs(): number;
  /** Milliseconds of a clock that never goes back. Use for durations, leases and deadlines. */
  monotonicMs(): number;
  /** Calls `callback` after `delayMs`; the returned function cancels it. Never keeps the process alive. */
  after(delayMs: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Does `work` again and again, first after `intervalMs`; the returned function ends that. */
export function every(clock: Clock, intervalMs: number, work: () => void): () => void {
  let cancel: () => void = () => {};
  const tick = (): void => {
    work();
    cancel = clock.after(intervalMs, tick);
  };
  cancel = clock.after(intervalMs, tick);
  return () => cancel();
}

/** A number in [0, 1), for jitter. */
export type Rng = () => number;
export const systemRng: Rng = Math.random;
