import type { Logger } from 'pino';

export type LifecycleState = 'running' | 'draining' | 'stopped' | 'failed';

interface Step {
  readonly name: string;
  readonly stop: () => void | Promise<void>;
}

/**
 * An app's end as a state machine: `running → draining → stopped | failed`. Steps run in the reverse of the order in which they were
 * added (what was started last is stopped first), all under one deadline. A step that fails is logged and the next one runs. With a notice, everything goes on for so long after
 * readiness was given up, so that whoever sends requests here has seen it and sends no more.
 */
export class Lifecycle {
  readonly #log: Logger;
  readonly #deadlineMs: number;
  readonly #noticeMs: number;
  readonly #steps: Step[] = [];
  #state: LifecycleState = 'running';
  #ending: Promise<LifecycleState> | undefined;
  /** Until the first one runs. */
  #isTakingSteps = true;

  /** `deadlineMs`: for all steps. `noticeMs`: from the end of readiness until the first of them. */
  constructor(log: Logger, { deadlineMs = 10_000, noticeMs = 0 }: { readonly deadlineMs?: number; readonly noticeMs?: number } = {}) {
    this.#log = log;
    this.#deadlineMs = deadlineMs;
    this.#noticeMs = noticeMs;
  }

  get state(): LifecycleState {
    return this.#state;
  }

  /** Registers how to undo a start that has just succeeded. One that succeeds after the end has begun is undone at once. */
  onStop(name: string, stop: Step['stop']): void {
    if (this.#isTakingSteps) this.#steps.push({ name, stop });
    else void this.#attempt({ name, stop });
  }

  /** Runs the steps once; later calls join the first. */
  stop(reason: string): Promise<LifecycleState> {
    this.#ending ??= this.#run(reason);
    return this.#ending;
  }

  async #run(reason: string): Promise<LifecycleState> {
    this.#state = 'draining';
    this.#log.info({ reason, noticeMs: this.#noticeMs }, 'stopping');
    if (this.#noticeMs > 0) await new Promise((resolve) => setTimeout(resolve, this.#noticeMs));
    this.#isTakingSteps = false;
    const { promise: deadline, resolve: passDeadline } = Promise.withResolvers<'late'>();
    // It keeps the process alive: one that ran out of work while a step hangs would else exit as if all were well.
    const timer = setTimeout(passDeadline, this.#deadlineMs, 'late');
    let ended: LifecycleState = 'stopped';
    for (const step of this.#steps.reverse()) {
      const outcome = await Promise.race([this.#attempt(step), deadline]);
      if (outcome !== 'done') ended = 'failed';
      if (outcome === 'late') {
        this.#log.error({ step: step.name, deadlineMs: this.#deadlineMs }, 'stop deadline passed');
        break;
      }
    }
    clearTimeout(timer);
    this.#state = ended;
    this.#log.info({ state: ended }, 'stopped');
    return ended;
  }

  async #attempt({ name, stop }: Step): Promise<'done' | 'failed'> {
    try {
      await stop();
      return 'done';
    } catch (err) {
      this.#log.error({ step: name, err }, 'stop step failed');
      return 'failed';
    }
  }

  /** SIGTERM and SIGINT stop the app and end the process: exit 0 when clean, 1 when not; a second signal exits 1 at once. */
  handleSignals(): void {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (this.#ending !== undefined) process.exit(1);
        void this.stop(signal).then((state) => process.exit(state === 'stopped' ? 0 : 1));
      });
    }
  }
}
