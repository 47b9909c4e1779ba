import type { Clock } from '@sluice/runtime';
import { LRUCache } from 'lru-cache';
import type { Content } from '../domain/content-coding.ts';

/** Told of a variant, how long it is not told again. */
const REST_MS = 1_000;
/** Variants remembered as told. */
const TOLD_MAX = 1_000;

/** Tells the replica which variants visitors would have got, each now and then, however many ask. */
export function missingVariants(tell: (variant: Content) => void, clock: Clock): (variant: Content) => void {
  const toldAtMs = new LRUCache<string, number>({ max: TOLD_MAX });
  return (variant) => {
    const nowMs = clock.monotonicMs();
    if (nowMs - (toldAtMs.get(variant.sha256) ?? Number.NEGATIVE_INFINITY) < REST_MS) return;
    toldAtMs.set(variant.sha256, nowMs);
    tell(variant);
  };
}
