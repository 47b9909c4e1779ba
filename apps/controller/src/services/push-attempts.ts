/** One command to one edge, tried until it is carried out, given up or cut off. */
import { isConfirmed, type PushCommand, type PushReply, SluiceError } from '@sluice/contracts';
import type { Clock, Rng } from '@sluice/runtime';
import pRetry from 'p-retry';
import type { PushResult } from '../domain/distribution.ts';
import { ATTEMPTS_MAX, backoffMs, type EdgeHealth, judge } from '../domain/retry-policy.ts';

/** Sends a command once. Rejects with a SluiceError, or with the signal's reason. */
export type SendOnce = (command: PushCommand, signal: AbortSignal) => Promise<Extract<PushReply, { ok: true }>>;

export interface AttemptDeps {
  readonly send: SendOnce;
  readonly health: EdgeHealth;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly onRetry: () => void;
}

/** Never rejects: what went wrong is in the result. */
export async function pushWithRetries(command: PushCommand, signal: AbortSignal, deps: AttemptDeps): Promise<PushResult> {
  let attempts = 0;
  try {
    const reply = await pRetry(
      async (attempt) => {
        attempts = attempt;
        if (attempt > 1) deps.onRetry();
        return sendAndNote(command, signal, deps);
      },
      {
        retries: ATTEMPTS_MAX - 1,
        // The wait is in shouldRetry: p-retry's own has no full jitter and takes no clock.
        minTimeout: 0,
        signal,
        shouldRetry: async ({ error, attemptNumber }) => {
          if (deps.health.silent || judge(failureOf(error), attemptNumber) !== 'retry') return false;
          await pause(backoffMs(attemptNumber, deps.rng), signal, deps.clock);
          return true;
        },
      },
    );
    return { outcome: reply.outcome, ...(reply.transfer === undefined ? {} : { transfer: reply.transfer }), bytes: reply.bytes, attempts };
  } catch (error) {
    if (signal.aborted) return unreachable(attempts, 'the lease of the edge ended');
    const outcome = judge(failureOf(error), ATTEMPTS_MAX) === 'unreachable' ? 'unreachable' : 'failed';
    return { outcome, bytes: 0, attempts, error: failureOf(error).message };
  }
}

async function sendAndNote(command: PushCommand, signal: AbortSignal, { send, health }: AttemptDeps) {
  try {
    const reply = await send(command, signal);
    health.noteAnswer();
    return reply;
  } catch (error) {
    if (failureOf(error).code === 'NO_REPLY') health.noteSilence();
    else if (error instanceof SluiceError && error.code !== 'BROKER_AWAY') health.noteAnswer();
    throw error;
  }
}

/** The result for an edge that nothing can be sent to. */
export function unreachable(attempts: number, error: string): PushResult {
  return { outcome: 'unreachable', bytes: 0, attempts, error };
}

/** Whether a result means that the edge has carried the command out. */
export function isCarriedOut(result: PushResult): boolean {
  return isConfirmed(result.outcome);
}

function failureOf(error: unknown): { code: string; message: string; retryable: boolean } {
  if (error instanceof SluiceError) return error;
  return { code: 'INTERNAL', message: 'the push failed inside the controller; its log says why', retryable: false };
}

function pause(delayMs: number, signal: AbortSignal, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      cancel();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = clock.after(delayMs, done);
    signal.addEventListener('abort', done, { once: true });
  });
}
