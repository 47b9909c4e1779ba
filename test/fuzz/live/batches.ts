/** Sends numbered inputs, many at a time, and looks after each batch whether all is well. */
import { fnv1a } from '../../../apps/edge/src/domain/fnv.ts';
import { type Finding, type Outcome, problemOf } from '../attempt.ts';
import { Random } from '../random.ts';
import type { RunOptions } from '../thread.ts';
import { LiveScene } from './scene.ts';

/** Inputs after which a whole round is made. */
const BATCH = 3_000;

export interface Sending {
  readonly name: string;
  readonly concurrency: number;
  /** Sends one input. Resolves when it was answered; the input as JSON and what is wrong, undefined when nothing is. */
  readonly send: (scene: LiveScene, random: Random) => Promise<{ readonly input: string; readonly problem: string } | undefined>;
}

export async function sendBatches(sending: Sending, options: RunOptions): Promise<Outcome> {
  await using scene = await LiveScene.start();
  // Awaited: else the scene would be gone at once.
  return await sendTo(scene, sending, options);
}

/** To a scene that is there already. */
export async function sendTo(scene: LiveScene, { name, concurrency, send }: Sending, options: RunOptions): Promise<Outcome> {
  const { seed, ms, from = 0, to = 2 ** 32, findingsMax = 5, onProgress } = options;
  const until = performance.now() + ms;
  const findings: Finding[] = [];
  const salt = fnv1a(name);
  let next = from;
  const isOver = (): boolean => next >= to || performance.now() > until || findings.length >= findingsMax;
  while (!isOver()) {
    const first = next;
    const end = Math.min(first + BATCH, to);
    const sendAll = async (): Promise<void> => {
      while (next < end && !isOver()) {
        const at = next;
        next += 1;
        const result = await send(scene, new Random(seed, at, salt)).catch((error: unknown) => ({ input: '', problem: problemOf(error) }));
        if (result !== undefined) findings.push({ at, ...result });
      }
      onProgress?.(next - from);
    };
    await Promise.all(Array.from({ length: concurrency }, sendAll));
    // Whose fault it is only the whole batch can tell: these inputs again, from its first one on.
    for (const problem of await scene.problems())
      findings.push({ at: first, input: '', problem: `after the inputs ${first} to ${next - 1}: ${problem}` });
  }
  return { inputs: next - from, findings };
}
