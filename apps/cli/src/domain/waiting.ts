/** Waiting until an event has arrived everywhere. */
import type { DistributionState } from './distribution-state.ts';
import { CommandError, EXIT } from './failure.ts';

/** The controller announces outcomes on NATS only; over HTTP it is asked, at first often, then twice a second. */
const FIRST_DELAY_MS = 30;
const DELAY_MAX_MS = 500;
const DELAY_FACTOR = 1.5;

export interface WaitOptions {
  /** What the controller knows of the event; undefined while it has not heard of it. */
  ask(id: string): Promise<DistributionState | undefined>;
  /** Called with every state that was learnt. */
  onState(state: DistributionState): void;
  sleep(delayMs: number): Promise<void>;
  /** Of a clock that never goes back. */
  monotonicMs(): number;
  /** On that clock. */
  deadlineMs: number;
}

/**
 * Asks until the event is distributed or the deadline has passed; returns the last state known, if any.
 * A controller that goes away in between (a restart) is waited for.
 * @throws {CommandError} when the controller cannot be reached at the first question, or answers off the contract
 */
export async function waitForDistribution(id: string, options: WaitOptions): Promise<DistributionState | undefined> {
  let last: DistributionState | undefined;
  let reached = false;
  for (let delayMs = FIRST_DELAY_MS; ; delayMs = Math.min(delayMs * DELAY_FACTOR, DELAY_MAX_MS)) {
    try {
      last = (await options.ask(id)) ?? last;
      reached = true;
    } catch (error) {
      if (!reached || !(error instanceof CommandError) || error.exitCode !== EXIT.UNREACHABLE) throw error;
    }
    if (last !== undefined) options.onState(last);
    if (last?.status === 'distributed') return last;
    const leftMs = options.deadlineMs - options.monotonicMs();
    if (leftMs <= 0) return last;
    await options.sleep(Math.min(delayMs, leftMs));
  }
}
