/** What a command touches of its process; tests pass their own. */
import type { Writable } from 'node:stream';

export type OutputStream = Writable & { readonly isTTY?: boolean; readonly columns?: number };

export interface Io {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  nowMs(): number;
  /** Of a clock that never goes back. */
  monotonicMs(): number;
  sleep(delayMs: number): Promise<void>;
  /** Calls `listener` for each SIGINT, SIGTERM or SIGHUP instead of ending the process; the returned function undoes that. */
  onInterrupt(listener: () => void): () => void;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export const processIo: Io = {
  stdout: process.stdout,
  stderr: process.stderr,
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (delayMs) => new Promise((resolve) => setTimeout(resolve, delayMs)),
  onInterrupt(listener) {
    for (const signal of SIGNALS) process.on(signal, listener);
    return () => {
      for (const signal of SIGNALS) process.off(signal, listener);
    };
  },
};
