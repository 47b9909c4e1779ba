import type { Clock } from '@sluice/runtime';
import type { Uses } from './serving-messages.ts';

/** How often the replica is told. */
const TELL_MS = 1_000;
/** Blobs counted apart; beyond it the replica is told earlier. */
export const COUNTED_MAX = 10_000;

/** Counts what a serving thread sends, for the replica, which decides what is worth its place on the disk. */
export class UsedBlobs {
  readonly #clock: Clock;
  readonly #tell: (uses: Uses) => void;
  #counts = new Map<string, { sizeBytes: number; uses: number }>();

  constructor(clock: Clock, tell: (uses: Uses) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  count(sha256: string, sizeBytes: number): void {
    const known = this.#counts.get(sha256);
    if (known !== undefined) {
      known.uses += 1;
      return;
    }
    if (this.#counts.size === 0) this.#clock.after(TELL_MS, () => this.flush());
    this.#counts.set(sha256, { sizeBytes, uses: 1 });
    if (this.#counts.size >= COUNTED_MAX) this.flush();
  }

  flush(): void {
    if (this.#counts.size === 0) return;
    this.#tell([...this.#counts].map(([sha256, { sizeBytes, uses }]) => [sha256, sizeBytes, uses] as const));
    this.#counts = new Map();
  }
}
