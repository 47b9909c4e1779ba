/** Visitors who never stop asking every edge, and remember what they have seen. */
import type { Member } from '@sluice/stack';

/** What a key was, one after the other; undefined: it is not there. */
export type States = (Buffer | undefined)[];

/** Above it the whole is asked for now and then only. */
const LARGE_BYTES = 1_000_000;
const RANGE_BYTES = 50_000;
const CODINGS = ['identity', 'gzip', 'br', 'zstd'];
const PROBLEMS_MAX = 20;
const REQUEST_TIMEOUT_MS = 30_000;

interface Seen {
  /** Index into the states: none before it may come any more. */
  state: number;
  version: number;
}

export class Readers {
  readonly problems: string[] = [];
  /** Requests answered, by edge. */
  readonly answered = new Map<string, number>();
  readonly #states: ReadonlyMap<string, States>;
  readonly #loops: Promise<void>[] = [];
  #stopped = false;

  constructor(states: ReadonlyMap<string, States>) {
    this.#states = states;
  }

  /** Begins to ask an edge for every key, over and over. What is at the edge already is expected. */
  read(edge: Member): void {
    this.answered.set(edge.name, 0);
    this.#loops.push(this.#loop(edge));
  }

  async #loop(edge: Member): Promise<void> {
    const seen = new Map<string, Seen>();
    for (let turn = 0; !this.#stopped; turn += 1) {
      for (const [key, states] of this.#states) {
        const before = seen.get(key) ?? { state: 0, version: 0 };
        try {
          seen.set(key, await this.#ask(edge, key, states, before, turn));
          this.answered.set(edge.name, (this.answered.get(edge.name) ?? 0) + 1);
        } catch (error) {
          if (this.problems.length < PROBLEMS_MAX)
            this.problems.push(`${new Date().toISOString()} ${edge.name} ${key}: ${reasonOf(error)}`);
        }
        // The machine has others to serve.
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
  }

  async #ask(edge: Member, key: string, states: States, before: Seen, turn: number): Promise<Seen> {
    const size = Math.max(0, ...states.map((state) => state?.byteLength ?? 0));
    const wantsRange = size > LARGE_BYTES ? turn % 20 !== 0 : turn % 2 === 1;
    const first = wantsRange ? (turn * 7_919) % Math.max(1, size - RANGE_BYTES) : 0;
    const headers: Record<string, string> = wantsRange
      ? { range: `bytes=${first}-${first + RANGE_BYTES - 1}`, 'accept-encoding': 'identity' }
      : { 'accept-encoding': CODINGS[turn % CODINGS.length] as string };
    const response = await fetch(`${edge.url}/${key}`, { headers, signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
    const body = Buffer.from(await response.arrayBuffer());
    const version = Number(response.headers.get('x-sluice-version') ?? before.version);
    if (version < before.version) throw new Error(`version ${version} after ${before.version}`);
    const is = matcher(response, body);
    const state = states.findIndex((candidate, index) => index >= before.state && is(candidate));
    if (state >= 0) return { state, version };
    const older = states.findLastIndex(is);
    const what = `${response.status}, ${body.byteLength} bytes (${response.headers.get('cache-status')})`;
    throw new Error(older < 0 ? `neither of its contents: ${what}` : `content ${older} after ${before.state}: ${what}`);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }
}

function matcher(response: Response, body: Buffer): (state: Buffer | undefined) => boolean {
  switch (response.status) {
    case 200:
      return (state) => state?.equals(body) === true;
    case 206: {
      const [, first, last, total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(response.headers.get('content-range') ?? '') ?? [];
      const [from, to] = [Number(first), Number(last) + 1];
      return (state) => state?.byteLength === Number(total) && state.subarray(from, to).equals(body);
    }
    case 416: // beyond the end of a content that is shorter than the longest
      return (state) => state !== undefined && state.byteLength < LARGE_BYTES;
    case 404:
      return (state) => state === undefined;
    default:
      throw new Error(`${response.status}: ${response.headers.get('cache-status')} ${body.toString().slice(0, 200).trim()}`);
  }
}

function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
}
