/** One input, tried. */
import { fnv1a } from '../../apps/edge/src/domain/fnv.ts';
import { Random } from './random.ts';
import { inputToJson, type Target, Violation } from './target.ts';

/** A law that does not hold for the input number `at` of a seed. */
export interface Finding {
  readonly at: number;
  /** As JSON, bytes in hexadecimal; empty when the thread ended before it could be told. */
  readonly input: string;
  readonly problem: string;
}

/** What a run came to. */
export interface Outcome {
  readonly inputs: number;
  readonly findings: readonly Finding[];
}

export function inputOf(target: Target, seed: number, at: number): unknown {
  return target.make(new Random(seed, at, fnv1a(target.name)));
}

/** The finding that an input is; undefined when the law holds. */
export async function attempt(target: Target, seed: number, at: number): Promise<Finding | undefined> {
  let input: unknown;
  try {
    input = inputOf(target, seed, at);
    const checked = target.check(input);
    if (checked !== undefined) await checked;
    return undefined;
  } catch (error) {
    return { at, input: inputToJson(input) ?? '', problem: problemOf(error) };
  }
}

/** A broken law in its words, any other failure with its place. */
export function problemOf(error: unknown): string {
  if (error instanceof Violation) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
