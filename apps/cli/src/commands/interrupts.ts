import type { Io } from '../adapters/io.ts';

/**
 * Signals closer together than this are one: Ctrl-C under `npm start` reaches this process from the terminal and again from npm.
 */
const SAME_KEYPRESS_MS = 300;

/** The first Ctrl-C ends in order, a second one at once. */
export class Interrupts {
  /** Resolves at the first. */
  readonly interrupted: Promise<void>;
  readonly #stopListening: () => void;

  constructor(io: Pick<Io, 'onInterrupt' | 'monotonicMs'>, actions: { first(): void; again(): void }) {
    let firstMs: number | undefined;
    let resolveFirst: () => void = () => {};
    this.interrupted = new Promise((resolve) => {
      resolveFirst = resolve;
    });
    this.#stopListening = io.onInterrupt(() => {
      if (firstMs === undefined) {
        firstMs = io.monotonicMs();
        actions.first();
        resolveFirst();
      } else if (io.monotonicMs() - firstMs > SAME_KEYPRESS_MS) actions.again();
    });
  }

  /** Gives the signals back to the process. */
  stop(): void {
    this.#stopListening();
  }
}
