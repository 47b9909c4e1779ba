/** Runs one target on a thread of its own, so that an input on which it hangs, or for which it takes all memory, ends the thread and no more. */
import { parentPort, workerData } from 'node:worker_threads';
import { attempt, type Finding, inputOf } from './attempt.ts';
import { SELF_TESTS } from './self-test.ts';
import { inputToJson } from './target.ts';
import { TARGETS } from './targets/mod.ts';
import type { ThreadData, ThreadMessage } from './thread.ts';

/** Longer than this, three times, is no hiccup of the machine. */
const SLOW_MS = 1_000;

const { name, seed, from, to, ms, findingsMax, at: place } = workerData as ThreadData;
const found = [...TARGETS, ...SELF_TESTS].find((target) => target.name === name);
if (found === undefined) throw new Error(`there is no target ${name}`);
const target = found;
const until = performance.now() + ms;

function tell(message: ThreadMessage): void {
  parentPort?.postMessage(message);
}

async function tried(at: number): Promise<{ readonly finding: Finding | undefined; readonly ms: number }> {
  const begun = performance.now();
  const finding = await attempt(target, seed, at);
  return { finding, ms: performance.now() - begun };
}

let findings = 0;
let at = from;
while (at < to && findings < findingsMax && performance.now() < until) {
  place[0] = at;
  const first = await tried(at);
  let { finding } = first;
  if (finding === undefined && first.ms > SLOW_MS && (await tried(at)).ms > SLOW_MS && (await tried(at)).ms > SLOW_MS) {
    finding = { at, problem: `takes more than ${SLOW_MS} ms`, input: inputToJson(inputOf(target, seed, at)) };
  }
  if (finding !== undefined) {
    findings += 1;
    tell({ finding });
  }
  at += 1;
}
place[0] = at;
tell({ done: true });
