import type { Clock } from '@sluice/runtime';
import { LRUCache } from 'lru-cache';

/** Most absent keys remembered; an attacker who asks for more only makes the oldest forgotten. */
export const ABSENT_KEYS_MAX = 10_000;

/** Keys of which the origin said a moment ago that there are none: answers 404 for a few seconds without asking again. */
export class AbsentKeys {
  readonly #until = new LRUCache<string, number>({ max: ABSENT_KEYS_MAX });
  readonly #clock: Clock;
  readonly #ttlMs: number;

  constructor(clock: Clock, ttlMs: number) {
    this.#clock = clock;
    this.#ttlMs = ttlMs;
  }
  get size(): number {
    return this.#until.size;
  }
  remember(key: string): void {
    this.#until.set(key, this.#clock.monotonicMs() + this.#ttlMs);
  }
  /** An upload of it has arrived. */
  forget(key: string): void {
    this.#until.delete(key);
  }
  has(key: string): boolean {
    const until = this.#until.get(key);
    if (until === undefined) return false;
    if (until > this.#clock.monotonicMs()) return true;
    this.#until.delete(key);
    return false;
  }
}
