/** What is fuzzed in this process: an input made of chance, and the law that has to hold for it. */
import type { Random } from './random.ts';

export interface Target<Input = unknown> {
  /** One word or a few with hyphens; never changed, because seeds are counted with it. */
  readonly name: string;
  /** What is sent, and what must be true, in a sentence. */
  readonly law: string;
  /** The same input for the same numbers. Text, bytes, numbers, and lists and objects of them. */
  readonly make: (random: Random) => Input;
  /** @throws when the law is broken; what it throws says how */
  readonly check: (input: Input) => void | Promise<void>;
}

/** Keeps the type of the input between `make` and `check`. */
export function target<Input>(of: Target<Input>): Target {
  return of as Target;
}

/** A law does not hold. */
export class Violation extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'Violation';
  }
}

export function law(holds: boolean, what: () => string): asserts holds {
  if (!holds) throw new Violation(what());
}

/** What `work` gives, or the error that it is allowed to end with. */
export function orRefusal<Value>(work: () => Value, refusals: readonly (new (...parameters: never[]) => Error)[]): Value | Error {
  try {
    return work();
  } catch (error) {
    if (refusals.some((kind) => error instanceof kind)) return checkedWords(error as Error);
    throw error;
  }
}

/** Longest refusal: it goes into answers, messages and log lines. */
const WORDS_MAX_CHARACTERS = 20_000;

/** The words of a refusal go to whoever sent the input: no stack, no path of this machine, no end of it. */
export function checkedWords(error: Error): Error {
  law(error.message.length <= WORDS_MAX_CHARACTERS, () => `a refusal of ${error.message.length} characters`);
  const leak = leakIn(error.message);
  law(leak === undefined, () => `a refusal tells of the inside: ${leak}`);
  return error;
}

/** A line of a stack, a path of this machine or a word of the engine in what goes out; undefined: none. */
export function leakIn(text: string): string | undefined {
  return /\n\s+at .{0,80}|node:internal.{0,60}|file:\/\/\/.{0,60}|\/node_modules\/.{0,60}|Cannot read propert.{0,60}|is not a function.{0,20}/.exec(
    text,
  )?.[0];
}

/** Input as JSON: bytes as `{"hex":"…"}`. */
export function inputToJson(input: unknown): string {
  return JSON.stringify(input, (_name, value) => (value instanceof Uint8Array ? { hex: Buffer.from(value).toString('hex') } : value));
}

/** Undoes {@link inputToJson}. */
export function inputFromJson(json: string): unknown {
  return JSON.parse(json, (_name, value) =>
    typeof value === 'object' && value !== null && Object.keys(value).join() === 'hex'
      ? new Uint8Array(Buffer.from(value.hex, 'hex'))
      : value,
  );
}
