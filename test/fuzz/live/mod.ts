/** Targets that are apps as they run, asked over real connections. */
import type { Outcome } from '../attempt.ts';
import type { RunOptions } from '../thread.ts';

export interface LiveTarget {
  readonly name: string;
  readonly law: string;
  readonly run: (options: RunOptions) => Promise<Outcome>;
}

export const LIVE_TARGETS: readonly LiveTarget[] = [];
