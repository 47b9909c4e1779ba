import { getPriority, setPriority } from 'node:os';

/** On the scale of nice(1), where each step is worth a tenth of a core against another thread that wants the same one (https://man7.org/linux/man-pages/man7/sched.7.html). */
const STEPS_BELOW = 5;
const LOWEST_PRIORITY = 19;

/**
 * Lets the threads that this one has started come before it where there are not cores enough for all: a push can wait for a millisecond, a visitor notices it. With a
 * quarter of a core at the least it still keeps up with the pushes of a busy network.
 *
 * On Linux a priority is a thread's own, and inherited by the threads it starts from then on: one that serves and has to be started again is equal to this one. Elsewhere
 * nothing changes.
 */
export function comeAfterOtherThreads(): void {
  if (process.platform !== 'linux') return;
  try {
    setPriority(0, Math.min(LOWEST_PRIORITY, getPriority(0) + STEPS_BELOW));
  } catch {
    // Where that is forbidden, all threads are equal.
  }
}
