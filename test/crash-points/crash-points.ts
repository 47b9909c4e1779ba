/**
 * Crash points: every labelled operation on a disk and every labelled exchange with the broker is a place at which a process may die or an error may come. A first run of a scenario
 * records them; then each is struck.
 */
import { type DirectoryImage, imageOf } from './directory-image.ts';

/** The `occurrence`-th time, from 1, that an operation of this label begins. */
export interface CrashPoint {
  readonly label: string;
  readonly occurrence: number;
}

/**
 * What happens there. `fails`: the operation is not carried out and throws. `answer-lost`: it is carried out and throws all the same; of exchanges with the broker only.
 * `killed-before`, `killed-after`: the process is gone before it begins, or after it has ended.
 */
export type Strike = 'fails' | 'answer-lost' | 'killed-before' | 'killed-after';

/** The type of `operate` of the disks and of the broker. */
export type Operate = <Result>(label: string, operation: () => Result) => Result;

const OF_THE_BROKER = /^(NATS|STREAM)_/;
/** What comes by the clock and not by what is done, and has no effect that lasts: it would be struck at random. */
const BY_THE_CLOCK = new Set([
  'NATS_PUBLISH:edge.heartbeat',
  'STREAM_WORKING:controller',
  'BLOB_SYNC:FILE',
  'BLOB_SYNC:ROW',
  'BLOB_READ:OPEN',
]);

export function describePoint({ label, occurrence }: CrashPoint): string {
  return `${label} (${occurrence})`;
}

/** An operation of a recorded run, and the step of the scenario during which it began. */
export interface Recorded extends CrashPoint {
  readonly step: string;
}

/**
 * Where to strike: each label once in each step. More of the same within a step is more of the same. An exchange that does not take place fails once for all steps: its lost answers
 * are the harder case.
 */
export function strikesIn(recorded: readonly Recorded[], strike: Strike): Recorded[] {
  const seen = new Set<string>();
  return recorded.filter(({ label, step }) => {
    if (BY_THE_CLOCK.has(label) || (strike === 'answer-lost' && !OF_THE_BROKER.test(label))) return false;
    const name = strike === 'fails' && OF_THE_BROKER.test(label) ? label : `${step} ${label}`;
    if (seen.has(name)) return false;
    seen.add(name);
    return true;
  });
}

/** Runs `after` when an operation has ended well, at once or as a promise. */
function followedBy<Result>(result: Result, after: () => void): Result {
  if (!(result instanceof Promise)) {
    after();
    return result;
  }
  return result.then((value) => {
    after();
    return value;
  }) as Result;
}

/** What the disk or the broker throws. `EIO` is not taken for a full disk, and so nowhere handled as an expected case. */
export class StruckError extends Error {
  readonly code = 'EIO';
  constructor(point: CrashPoint) {
    super(`EIO at ${describePoint(point)}`);
    this.name = 'StruckError';
  }
}

/** Counts the labels as they come, and calls `there` at the given one. */
class Counting {
  #left: number;
  readonly #label: string;
  constructor({ label, occurrence }: CrashPoint) {
    this.#label = label;
    this.#left = occurrence;
  }
  isThere(label: string): boolean {
    if (label !== this.#label) return false;
    this.#left -= 1;
    return this.#left === 0;
  }
}

/** Lets the operation at one point fail, once. `struck` tells whether it came to that. */
export function failingAt(point: CrashPoint, strike: 'fails' | 'answer-lost'): { readonly operate: Operate; struck(): boolean } {
  const counting = new Counting(point);
  let struck = false;
  const operate: Operate = (label, operation) => {
    if (!counting.isThere(label)) return operation();
    struck = true;
    if (strike === 'fails') throw new StruckError(point);
    return followedBy(operation(), () => {
      throw new StruckError(point);
    });
  };
  return { operate, struck: () => struck };
}

/** Ends this process at one point, as `kill -9` does. */
export function killingAt(point: CrashPoint, strike: 'killed-before' | 'killed-after'): Operate {
  const counting = new Counting(point);
  const die = (): void => void process.kill(process.pid, 'SIGKILL');
  return (label, operation) => {
    if (!counting.isThere(label)) return operation();
    if (strike === 'killed-before') die();
    return followedBy(operation(), die);
  };
}

/** What a process that dies at some point leaves: its directory, and what others had been told by then. */
export interface Remains<Told> {
  readonly point: CrashPoint;
  readonly strike: 'killed-before' | 'killed-after';
  readonly image: DirectoryImage;
  readonly told: Told;
}

/** Records the labels of a run, and what a process that died at each of them would leave. */
export class Recorder<Told extends object> {
  readonly recorded: Recorded[] = [];
  readonly remains: Remains<Told>[] = [];
  readonly #counts = new Map<string, number>();
  readonly #dir: string | undefined;
  readonly #told: () => Told;
  #step = 'start';

  /** Without a directory: of an app that keeps nothing. */
  constructor(dir: string | undefined, told: () => Told) {
    this.#dir = dir;
    this.#told = told;
  }

  /** A step of the scenario begins. */
  readonly step = (name: string): void => {
    this.#step = name;
  };

  /** The labels that came during a step, or during all of them. */
  labelsOf(step?: string): string[] {
    return this.recorded.filter((each) => step === undefined || each.step === step).map(({ label }) => label);
  }

  readonly operate: Operate = (label, operation) => {
    const occurrence = (this.#counts.get(label) ?? 0) + 1;
    this.#counts.set(label, occurrence);
    const point = { label, occurrence };
    this.recorded.push({ ...point, step: this.#step });
    if (BY_THE_CLOCK.has(label)) return operation();
    this.#note(point, 'killed-before');
    return followedBy(operation(), () => this.#note(point, 'killed-after'));
  };

  #note(point: CrashPoint, strike: 'killed-before' | 'killed-after'): void {
    if (this.#dir !== undefined) this.remains.push({ point, strike, image: imageOf(this.#dir), told: structuredClone(this.#told()) });
  }

  /** Those of which no other one has left the same: two processes that die with the same on the disk and the same said are one case. */
  get distinct(): Remains<Told>[] {
    const seen = new Set<string>();
    return this.remains.filter(({ image, told }) => {
      const name = `${image.digest} ${JSON.stringify(told)}`;
      if (seen.has(name)) return false;
      seen.add(name);
      return true;
    });
  }
}

/** One of each `step`: a sample for what is slow. With `CRASH_POINTS=all` the whole. */
export function oneOfEach<Point>(step: number, points: readonly Point[]): Point[] {
  return points.filter((_, position) => process.env.CRASH_POINTS === 'all' || position % step === 0);
}

/** The first point of every second label, killed before and after in turn: a sample for what is slow. With `CRASH_POINTS=all` of every label. */
export function sampleOf(
  recorded: readonly Recorded[],
): { readonly point: CrashPoint; readonly strike: 'killed-before' | 'killed-after' }[] {
  return oneOfEach(
    2,
    strikesIn(recorded, 'killed-before').filter(({ occurrence }) => occurrence === 1),
  ).map((point, position) => ({
    point,
    strike: position % 2 === 0 ? 'killed-after' : 'killed-before',
  }));
}
