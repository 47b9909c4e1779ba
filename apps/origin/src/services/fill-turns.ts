/** Whose turn it is to bring bytes into the cache: so many at a time, of so many bytes together, first come, first served. */
import { SourceBusyError, SourceClosedError } from './source-errors.ts';

export interface FillTurnsLimits {
  /** Under way at the same time. */
  readonly maxFills: number;
  /** Of all under way together; one is let in whatever it has. */
  readonly maxBytes: number;
  readonly maxWaiting: number;
}

interface Waiting {
  readonly bytes: number;
  readonly enter: (leave: () => void) => void;
  readonly refuse: (error: Error) => void;
}

export class FillTurns {
  readonly #limits: FillTurnsLimits;
  readonly #waiting: Waiting[] = [];
  #fills = 0;
  #bytes = 0;
  #isStopped = false;

  constructor(limits: FillTurnsLimits) {
    this.#limits = limits;
  }

  /** What is under way, and what waits. */
  get load(): { readonly fills: number; readonly bytes: number; readonly waiting: number } {
    return { fills: this.#fills, bytes: this.#bytes, waiting: this.#waiting.length };
  }

  /** Resolves when it is this one's turn. Call the result once when it is over. @throws {SourceBusyError | SourceClosedError} */
  async take(bytes: number): Promise<() => void> {
    if (this.#isStopped) throw new SourceClosedError();
    if (this.#waiting.length === 0 && this.#fits(bytes)) return this.#enter(bytes);
    if (this.#waiting.length >= this.#limits.maxWaiting) throw new SourceBusyError(this.#limits.maxFills + this.#limits.maxWaiting);
    return new Promise((enter, refuse) => this.#waiting.push({ bytes, enter, refuse }));
  }

  #fits(bytes: number): boolean {
    return this.#fills === 0 || (this.#fills < this.#limits.maxFills && this.#bytes + bytes <= this.#limits.maxBytes);
  }

  #enter(bytes: number): () => void {
    this.#fills += 1;
    this.#bytes += bytes;
    return () => {
      this.#fills -= 1;
      this.#bytes -= bytes;
      for (let next = this.#waiting[0]; next !== undefined && this.#fits(next.bytes); next = this.#waiting[0]) {
        this.#waiting.shift();
        next.enter(this.#enter(next.bytes));
      }
    };
  }

  /** Nobody gets a turn any more. */
  stop(): void {
    this.#isStopped = true;
    for (const { refuse } of this.#waiting.splice(0)) refuse(new SourceClosedError());
  }
}
