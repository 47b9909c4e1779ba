/** One target on a thread, watched from here. */
import { Worker } from 'node:worker_threads';
import type { Finding, Outcome } from './attempt.ts';

export interface ThreadData {
  readonly name: string;
  readonly seed: number;
  /** Numbers of inputs: the first, and the one behind the last. */
  readonly from: number;
  readonly to: number;
  readonly ms: number;
  readonly findingsMax: number;
  /** Shared: the number of the input under way. */
  readonly at: Float64Array;
}
export type ThreadMessage =
  | { readonly finding: Finding; readonly done?: undefined }
  | { readonly done: true; readonly finding?: undefined };

export interface RunOptions {
  readonly seed: number;
  /** Ends when so much time has passed, or `to` is reached. */
  readonly ms: number;
  readonly from?: number;
  readonly to?: number;
  readonly findingsMax?: number;
  /** On one input. */
  readonly hangMs?: number;
  readonly onProgress?: ((at: number) => void) | undefined;
}

/** What a thread may take: no input needs more than a few MB. */
const MEMORY_MB = 512;
const HANG_MS = 30_000;
const LOOK_MS = 200;

/** Runs a target until its time is up, through inputs that end its thread. */
export async function runTarget(name: string, options: RunOptions): Promise<Outcome> {
  const { seed, ms, from = 0, to = 2 ** 32, findingsMax = 5 } = options;
  const until = performance.now() + ms;
  const findings: Finding[] = [];
  let next = from;
  while (next < to && findings.length < findingsMax && performance.now() < until) {
    const left = { ms: until - performance.now(), findingsMax: findingsMax - findings.length };
    const at = new Float64Array(new SharedArrayBuffer(8));
    at[0] = next;
    const ended = await runThread({ name, seed, from: next, to, ...left, at }, findings, options);
    next = at[0];
    if (ended === undefined) break;
    findings.push({ at: next, input: '', problem: ended });
    next += 1;
  }
  return { inputs: next - from, findings };
}

/** Why it ended before its time; undefined when it did not. */
function runThread(
  data: ThreadData,
  findings: Finding[],
  { hangMs = HANG_MS, onProgress }: Pick<RunOptions, 'hangMs' | 'onProgress'>,
): Promise<string | undefined> {
  const thread = new Worker(new URL('./target.worker.ts', import.meta.url), {
    workerData: data,
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB },
  });
  return new Promise((resolve) => {
    let lastAt = -1;
    let movedAtMs = performance.now();
    const end = (how: string | undefined): void => {
      clearInterval(look);
      void thread.terminate().then(() => resolve(how));
    };
    const look = setInterval(() => {
      const at = data.at[0] ?? 0;
      if (at !== lastAt) [lastAt, movedAtMs] = [at, performance.now()];
      onProgress?.(at);
      if (performance.now() - movedAtMs > hangMs) end(`hangs for ${hangMs} ms`);
    }, LOOK_MS);
    thread.on('message', (message: ThreadMessage) => {
      if (message.finding !== undefined) findings.push(message.finding);
      else end(undefined);
    });
    thread.on('error', (error: Error) => end(`ends its thread: ${error.stack ?? error.message}`));
  });
}
