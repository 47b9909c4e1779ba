import type { Rng } from '@sluice/runtime';

export interface BackoffLimits {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Milliseconds to wait after the `failures`-th failure in a row (1 = first): exponential, between half and the whole of it by chance. */
export function backoffMs(failures: number, { firstMs, maxMs }: BackoffLimits, rng: Rng): number {
  const fullMs = Math.min(maxMs, firstMs * 2 ** Math.min(failures - 1, 30));
  return fullMs / 2 + (rng() * fullMs) / 2;
}
