/** What is to be looked at again, told once it has been left alone for a while. */
import type { Clock } from '@sluice/runtime';

export interface HintCollectorOptions {
  readonly clock: Clock;
  readonly settleMs: number;
  /** Most that are kept apart; beyond it, everything is to be looked at again. */
  readonly max: number;
  /** Whether a path is still being written. */
  readonly isSettling: (path: string) => Promise<boolean>;
  readonly emit: (about: HintSubject) => void;
}

export type HintSubject = { readonly path: string } | { readonly under: string } | { readonly all: true };

/** Paths become the keys and prefixes of hints. */
export class HintCollector {
  readonly #options: HintCollectorOptions;
  /** When each is due, on the monotonic clock, oldest first. */
  readonly #due = new Map<string, { readonly about: HintSubject; readonly dueMs: number }>();
  #all = false;
  #timer: (() => void) | undefined;
  #stopped = false;

  constructor(options: HintCollectorOptions) {
    this.#options = options;
  }

  /** Bounded by `max`. */
  get size(): number {
    return this.#due.size;
  }

  /** Puts off what is noted already: it goes on changing. */
  note(about: HintSubject): void {
    if (this.#stopped) return;
    if ('all' in about) this.#overflow();
    const name = JSON.stringify(about);
    this.#due.delete(name);
    if (!this.#all && this.#due.size >= this.#options.max) this.#overflow();
    if (!this.#all) this.#due.set(name, { about, dueMs: this.#options.clock.monotonicMs() + this.#options.settleMs });
    this.#timer ??= this.#options.clock.after(this.#options.settleMs, () => void this.#flush());
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.();
    this.#due.clear();
  }

  #overflow(): void {
    this.#all = true;
    this.#due.clear();
  }

  async #flush(): Promise<void> {
    const { clock, emit, isSettling } = this.#options;
    if (this.#all) {
      this.#all = false;
      emit({ all: true });
    }
    const nowMs = clock.monotonicMs();
    const ready = [...this.#due].filter(([, { dueMs }]) => dueMs <= nowMs);
    for (const [name] of ready) this.#due.delete(name);
    for (const [, { about }] of ready) {
      if (this.#stopped) return;
      const settling = 'path' in about && (await isSettling(about.path));
      if (this.#stopped) return;
      if (settling) this.note(about);
      else emit(about);
    }
    this.#timer = undefined;
    const [next] = this.#due.values();
    if (next !== undefined) this.#timer = clock.after(Math.max(0, next.dueMs - clock.monotonicMs()), () => void this.#flush());
    else if (this.#all) this.#timer = clock.after(this.#options.settleMs, () => void this.#flush());
  }
}
