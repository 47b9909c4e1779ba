/** What a run will do and what will be done to it: a pure function of the seed, so that a run that failed can be had again. */
import { type Content, EDITS_MAX, editsOf, sizeOf } from './contents.ts';
import type { Fault, Target } from './faults/fault.ts';
import { type Random, randomOf } from './random.ts';
import { REGIONS, type World } from './world.ts';

const TAGS = ['red', 'green', 'blue'];
/** Keys of one run: few enough that each lives through many versions, enough that most are left in peace. */
const KEYS = 120;
const LARGE_BYTES = 2_000_000;

export type Operation =
  | {
      readonly kind: 'put';
      readonly key: string;
      readonly content: Content;
      readonly regions: readonly string[];
      readonly tags: readonly string[];
    }
  | { readonly kind: 'delete'; readonly key: string }
  | {
      readonly kind: 'invalidate';
      readonly selector: { key: string } | { prefix: string } | { tag: string } | { all: true };
      readonly mode: 'stale' | 'purge';
      /** By the origin's HTTP interface, or as an event published by hand. */
      readonly by: 'http' | 'nats';
    }
  /** `content.uploaded` by hand. */
  | { readonly kind: 'announce'; readonly key: string }
  /** An event of before comes again, `back` events old. */
  | { readonly kind: 'replay'; readonly back: number }
  | { readonly kind: 'garbage'; readonly subject: string; readonly payload: string };

export interface PlannedOperation {
  readonly atMs: number;
  readonly operation: Operation;
}

export interface PlannedFault {
  readonly atMs: number;
  readonly lastsMs: number;
  readonly fault: Fault;
  readonly target: Target;
}

export interface Plan {
  readonly seed: number;
  readonly durationMs: number;
  readonly operations: readonly PlannedOperation[];
  readonly faults: readonly PlannedFault[];
}

export function keysOf(): readonly string[] {
  return Array.from({ length: KEYS }, (_, index) => `chaos/${['a', 'b', 'c'][index % 3]}/${index}`);
}

/** `operationsPerSecond` on the average; faults one after the other, now and then two at a time. `faults`: those that this machine has. */
export function planOf(seed: number, durationMs: number, world: World, faults: readonly Fault[], operationsPerSecond = 16): Plan {
  const random = randomOf(seed);
  return {
    seed,
    durationMs,
    operations: planOperations(random.fork('operations'), durationMs, operationsPerSecond),
    faults: planFaults(random.fork('faults'), durationMs, world, faults),
  };
}

interface KeyPlan {
  /** What it holds when nothing fails; undefined: nothing. */
  readonly content: Content | undefined;
  readonly regions: readonly string[];
  readonly tags: readonly string[];
}

function planOperations(random: Random, durationMs: number, perSecond: number): PlannedOperation[] {
  const keys = keysOf();
  const state = new Map<string, KeyPlan>();
  const planned: PlannedOperation[] = [];
  let large = 0;
  let named = 0;
  const newContent = (): Content => {
    named += 1;
    const name = `content ${named} of ${random.integer(0, 2 ** 31)}`;
    const isLarge = large * 20_000 < durationMs && random.chance(0.02);
    if (isLarge) large += 1;
    return {
      kind: random.chance(0.4) ? 'text' : 'noise',
      name,
      size: isLarge ? random.integer(LARGE_BYTES, 50_000_000) : smallSize(random),
    };
  };
  const put = (key: string): Operation => {
    const before = state.get(key);
    const how = random.weighted({ new: 5, edit: 4, same: 1, elsewhere: 1 });
    const content = ((): Content => {
      if (before?.content === undefined || how === 'new') return newContent();
      if (how === 'edit' && sizeOf(before.content) > 0 && editsOf(before.content) < EDITS_MAX) {
        named += 1;
        return { kind: 'edit', of: before.content, name: `edit ${named}` };
      }
      return how === 'edit' ? newContent() : before.content;
    })();
    const isPlaced = how === 'elsewhere' ? true : random.chance(0.25);
    const regions = isPlaced ? REGIONS.filter(() => random.chance(0.5)) : [];
    const tags = TAGS.filter(() => random.chance(0.3));
    state.set(key, { content, regions, tags });
    return { kind: 'put', key, content, regions, tags };
  };
  // Everything begins with something to read.
  for (const key of keys.slice(0, KEYS / 2)) planned.push({ atMs: 0, operation: put(key) });
  const gapMs = 1000 / perSecond;
  for (let atMs = 0; atMs < durationMs; atMs += gapMs * 2 * random.fraction()) {
    const key = random.pick(keys);
    const kind = random.weighted({ put: 60, delete: 8, invalidate: 16, announce: 5, replay: 6, garbage: 3 });
    const operation = ((): Operation => {
      switch (kind) {
        case 'delete':
          state.set(key, { content: undefined, regions: [], tags: [] });
          return { kind, key };
        case 'invalidate':
          return {
            kind,
            selector: selectorFor(random, key),
            mode: random.chance(0.25) ? 'purge' : 'stale',
            by: random.chance(0.5) ? 'http' : 'nats',
          };
        case 'announce':
          return { kind, key };
        case 'replay':
          return { kind, back: random.integer(0, 200) };
        case 'garbage':
          return garbage(random);
        default:
          return put(key);
      }
    })();
    planned.push({ atMs: Math.round(atMs), operation });
  }
  return planned;
}

function smallSize(random: Random): number {
  switch (random.weighted({ empty: 1, tiny: 4, page: 10, script: 4 })) {
    case 'empty':
      return 0;
    case 'tiny':
      return random.integer(1, 500);
    case 'page':
      return random.integer(500, 20_000);
    default:
      return random.integer(20_000, 400_000);
  }
}

function selectorFor(random: Random, key: string): Extract<Operation, { kind: 'invalidate' }>['selector'] {
  switch (random.weighted({ key: 8, prefix: 2, tag: 2, all: 1 })) {
    case 'prefix':
      return { prefix: key.slice(0, key.lastIndexOf('/') + 1) };
    case 'tag':
      return { tag: random.pick(TAGS) };
    case 'all':
      return { all: true };
    default:
      return { key };
  }
}

function garbage(random: Random): Operation {
  const subject = random.pick(['content.uploaded', 'content.invalidated', 'content.removed']);
  const payload = random.pick([
    '',
    '{',
    '{"key":"no bucket"}',
    '{"key":"chaos/never/was"}',
    '[1,2]',
    '{"all":false}',
    '\u0000\u0001',
    '{"key":"chaos/a/0","version":-1}',
  ]);
  return { kind: 'garbage', subject, payload };
}

/** Longer than this nothing lasts in a run, so that a short one is struck by many things. */
const LASTS_MAX_MS = 6_000;

/** Most of the time something is broken; now and then two things are. All of them come before one comes again, each as often as it weighs. */
function planFaults(random: Random, durationMs: number, world: World, available: readonly Fault[]): PlannedFault[] {
  const planned: PlannedFault[] = [];
  const round = (): Fault[] => {
    const all = available.flatMap((fault) => Array.from({ length: fault.weight ?? 1 }, () => ({ fault, order: random.fraction() })));
    return all.sort((a, b) => a.order - b.order).map(({ fault }) => fault);
  };
  let left: Fault[] = [];
  for (let atMs = 2_000; available.length > 0 && atMs < durationMs - 2_000; ) {
    if (left.length === 0) left = round();
    const fault = left.shift() as Fault;
    const [min, max] = fault.lastsMs;
    const lastsMs = Math.min(random.integer(min, Math.max(min, Math.min(max, LASTS_MAX_MS))), durationMs - atMs);
    planned.push({ atMs, lastsMs, fault, target: fault.aim(world, random.fork(`aim ${planned.length}`)) });
    atMs += random.chance(0.4) ? random.integer(100, 800) : lastsMs + random.integer(100, 1_200);
  }
  return planned;
}
