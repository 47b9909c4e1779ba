import type { Transferable, Worker } from 'node:worker_threads';

/** Work on threads of their own, one job each at a time. They are started when they are needed; how many, the callers decide. */
export class JobThreads<Job, Result> {
  readonly #start: () => Worker;
  readonly #idle: Worker[] = [];
  readonly #busy = new Set<Worker>();
  #closed = false;

  /** `start` gives a thread that answers each message with one. */
  constructor(start: () => Worker) {
    this.#start = start;
  }

  /** Rejects when the work cannot be done or the thread dies over it; the next job gets another thread. */
  async run(job: Job, moved: readonly Transferable[] = []): Promise<Result> {
    if (this.#closed) throw new Error('no more work is taken');
    const thread = this.#idle.pop() ?? this.#add();
    this.#busy.add(thread);
    try {
      const result = await ask<Job, Result>(thread, job, moved);
      if (!this.#closed) this.#idle.push(thread);
      return result;
    } catch (error) {
      void thread.terminate();
      throw error;
    } finally {
      this.#busy.delete(thread);
    }
  }

  #add(): Worker {
    const thread = this.#start();
    thread.unref();
    // Whoever waits for it hears of it by `ask`.
    thread.on('error', () => {});
    thread.once('exit', () => {
      const at = this.#idle.indexOf(thread);
      if (at !== -1) this.#idle.splice(at, 1);
    });
    return thread;
  }

  /** Ends the threads that have nothing to do. */
  rest(): void {
    for (const thread of this.#idle.splice(0)) void thread.terminate();
  }

  /** Ends all of them; what they are at is rejected. A thread inside of one step of its work ends after it. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#idle.splice(0), ...this.#busy].map((thread) => thread.terminate()));
  }
}

function ask<Job, Result>(thread: Worker, job: Job, moved: readonly Transferable[]): Promise<Result> {
  const { promise, resolve, reject } = Promise.withResolvers<Result>();
  const onExit = (): void => reject(new Error('the thread ended'));
  thread.once('message', resolve).once('messageerror', reject).once('error', reject).once('exit', onExit);
  thread.postMessage(job, [...moved]);
  return promise.finally(() => thread.off('message', resolve).off('messageerror', reject).off('error', reject).off('exit', onExit));
}
