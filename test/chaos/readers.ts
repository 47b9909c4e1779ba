/** Visitors of one edge who never stop asking: for whole bodies, ranges, codings, and whether what they have is still right. */
import { Agent } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { brotliDecompress, gunzip, zstdDecompress } from 'node:zlib';
import type { Floor } from './checker/answer-judge.ts';
import type { Observation } from './checker/observation.ts';
import { exchange } from './exchange.ts';
import type { Random } from './random.ts';

/** Longer than any answer takes that comes at all: an edge gives up asking before. */
const GIVEN_UP_AFTER_MS = 20_000;
/** After a failure, so that an edge that is down is not asked thousands of times. */
const AFTER_FAILURE_MS = 100;
/** Of a large object mostly a part is asked for. */
const LARGE_BYTES = 1_000_000;
const RANGE_BYTES = 65_536;

const DECODERS: Readonly<Record<string, (body: Buffer) => Promise<Buffer>>> = {
  br: promisify(brotliDecompress),
  gzip: promisify(gunzip),
  zstd: promisify(zstdDecompress),
};

/** A request that has no answer to judge. */
export interface Failure {
  readonly edge: string;
  readonly key: string;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  /** Undefined: the connection ended, or nothing came in time. */
  readonly status: number | undefined;
  readonly what: string;
}

export interface ReadersOptions {
  /** Of the edge. */
  readonly name: string;
  readonly url: () => string;
  /** Whether it is to be asked now: an edge that is not part of the world is not. */
  readonly present: () => boolean;
  readonly keys: readonly string[];
  /** Bytes that the key has now; undefined: none. */
  readonly sizeOf: (key: string) => number | undefined;
  readonly random: Random;
  readonly now: () => number;
  /** Takes what is known when a request is sent; what it returns is given back with the answer. */
  readonly begin: (key: string) => Floor;
  readonly answered: (seen: Observation, begun: Floor, latencyMs: number) => void;
  readonly failed: (failure: Failure) => void;
  /** Between two requests of one reader. */
  readonly pauseMs: number;
}

export class Readers {
  readonly #options: ReadersOptions;
  readonly #agent = new Agent({ keepAlive: true });
  /** The validator that was seen last, by key. */
  readonly #etags = new Map<string, string>();
  readonly #running: Promise<void>[];
  #stopped = false;

  constructor(options: ReadersOptions, count: number) {
    this.#options = options;
    this.#running = Array.from({ length: count }, (_, index) => this.#run(options.random.fork(`reader ${index}`)));
  }

  async #run(random: Random): Promise<void> {
    const { keys, pauseMs, present } = this.#options;
    while (!this.#stopped) {
      if (!present()) await pause(AFTER_FAILURE_MS);
      else if (!(await this.#read(random.pick(keys), random))) await pause(AFTER_FAILURE_MS);
      else if (pauseMs > 0) await pause(pauseMs);
    }
  }

  /** Asks once. @returns whether there was an answer to judge */
  async #read(key: string, random: Random): Promise<boolean> {
    const { name, url, now, begin, sizeOf, answered, failed } = this.#options;
    const headers = this.#fieldsFor(key, random, sizeOf(key));
    const begun = begin(key);
    const startedAtMs = now();
    const fail = (what: string, status?: number): false => {
      failed({ edge: name, key, startedAtMs, endedAtMs: now(), status, what });
      return false;
    };
    try {
      const { status, fields, version, body } = await exchange(`${url()}/${key}`, {
        agent: this.#agent,
        headers,
        timeoutMs: GIVEN_UP_AFTER_MS,
      });
      const endedAtMs = now();
      if (![200, 206, 304, 404, 416].includes(status)) return fail(`answered ${status}: ${body.toString().slice(0, 200)}`, status);
      const coding = fields['content-encoding'];
      const etag = fields.etag ?? '';
      if (status === 200) this.#etags.set(key, etag);
      const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(fields['content-range'] ?? '');
      const seen: Observation = {
        ...{ edge: name, key, startedAtMs, endedAtMs, status },
        body:
          coding === undefined || status === 304
            ? body
            : await ((DECODERS[coding] as (typeof DECODERS)[string] | undefined) ?? unknownCoding)(body),
        ...(range !== null && { range: { first: Number(range[1]), last: Number(range[2]), size: Number(range[3]) } }),
        version,
        cacheStatus: String(fields['cache-status'] ?? ''),
        etag: checksumIn(etag),
        ...(headers.range !== undefined && { askedFirst: Number(/\d+/.exec(headers.range)?.[0]) }),
        ...(headers['if-none-match'] !== undefined && { ifNoneMatch: checksumIn(headers['if-none-match']) }),
      };
      answered(seen, begun, endedAtMs - startedAtMs);
      return true;
    } catch (error) {
      return fail((error as Error).message);
    }
  }

  #fieldsFor(key: string, random: Random, size: number | undefined): Record<string, string> {
    if (size !== undefined && size > LARGE_BYTES && random.chance(0.9)) {
      const first = random.integer(0, size - 1);
      return { range: `bytes=${first}-${first + RANGE_BYTES}` };
    }
    const etag = this.#etags.get(key);
    switch (random.weighted({ whole: 8, range: 4, condition: etag === undefined ? 0 : 4, coded: 4 })) {
      case 'range': {
        // Of an empty content not even the first byte is there.
        const first = size === undefined || size === 0 ? 0 : random.integer(0, Math.floor(size / 2));
        return { range: first === 0 ? 'bytes=0-99' : `bytes=${first}-` };
      }
      case 'condition':
        return { 'if-none-match': etag as string };
      case 'coded':
        return { 'accept-encoding': random.pick(['br', 'gzip', 'zstd', 'zstd, br;q=0.5']) };
      default:
        return {};
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
    this.#agent.destroy();
  }
}

function checksumIn(etag: string): string {
  return /[0-9a-f]{64}/.exec(etag)?.[0] ?? '';
}

function unknownCoding(): never {
  throw new Error('a coding that was not asked for');
}
