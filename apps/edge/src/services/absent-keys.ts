import type { Clock } from '@sluice/runtime';
import { LRUCache } from 'lru-cache';
import type { Stamp } from '../adapters/index-stamps.ts';

/** Most absent keys remembered; an attacker who asks for more only makes the oldest forgotten. */
export const ABSENT_KEYS_MAX = 10_000;

interface Absence {
  /** Monotonic milliseconds. */
  readonly untilMs: number;
  /** Of the index, before the origin was asked. */
  readonly stamp: Stamp;
}

/** Keys of which the origin said a moment ago that there are none: answers 404 for a few seconds without asking again, or until the index hears of them. */
export class AbsentKeys {
  readonly #absences = new LRUCache<string, Absence>({ max: ABSENT_KEYS_MAX });
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #holds: (stamp: Stamp) => boolean;

  constructor(clock: Clock, ttlMs: number, holds: (stamp: Stamp) => boolean) {
    this.#clock = clock;
    this.#ttlMs = ttlMs;
    this.#holds = holds;
  }
  get size(): number {
    return this.#absences.size;
  }
  /** `stamp`: undefined when the key was being changed as the origin was asked; then nothing is remembered. */
  remember(key: string, stamp: Stamp | undefined): void {
    if (stamp !== undefined) this.#absences.set(key, { untilMs: this.#clock.monotonicMs() + this.#ttlMs, stamp });
  }
  has(key: string): boolean {
    const absence = this.#absences.get(key);
    if (absence === undefined) return false;
    if (absence.untilMs > this.#clock.monotonicMs() && this.#holds(absence.stamp)) return true;
    this.#absences.delete(key);
    return false;
  }
}
