/** A history of which every state is known, answers that an edge may give of it, and answers that it must not give. */
import { sha256Of } from '@sluice/testkit';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Floor, judgeAnswer } from './answer-judge.ts';
import { KeyHistory, type KeyState } from './key-history.ts';
import type { Observation, Violation } from './observation.ts';

const KEY = 'chaos/a/1';
const START: Floor = { index: 0, version: 0 };
const ALL_WRITTEN_MS = 1_000;

/** Contents one after the other, undefined for a removal: the one at n begins at 10 n ms and is told version 10 n. With `isLastOpen` the last one is under way. */
function historyOf(contents: readonly (string | undefined)[], isLastOpen = false): KeyHistory {
  const history = new KeyHistory();
  for (const [index, text] of contents.entries()) {
    const bytes = text === undefined ? undefined : Buffer.from(text);
    const beganAtMs = (index + 1) * 10;
    const state = history.begin({ bytes, sha256: bytes === undefined ? '' : sha256Of(bytes), regions: [], tags: [], beganAtMs });
    if (!isLastOpen || index < contents.length - 1) history.acknowledge(state, beganAtMs + 5, beganAtMs);
  }
  return history;
}

/** How an answer may speak of a state. A part begins at a share of the bytes. */
type Way = { readonly as: 'whole' | 'unchanged' | 'beyond' } | { readonly as: 'part'; readonly from: number; readonly length: number };

/** What an edge that holds this state answers. */
function answerOf({ bytes, sha256, version }: KeyState, way: Way, ofVersion = version): Observation {
  const common = { edge: 'edge us-1', key: KEY, startedAtMs: ALL_WRITTEN_MS, endedAtMs: ALL_WRITTEN_MS + 1, cacheStatus: 'us-1;hit' };
  if (bytes === undefined) return { ...common, status: 404, body: Buffer.from('not found'), version: undefined, etag: '' };
  const of = { ...common, version: ofVersion, etag: sha256 };
  const nothing = Buffer.alloc(0);
  switch (way.as) {
    case 'unchanged':
      return { ...of, status: 304, body: nothing, ifNoneMatch: sha256 };
    case 'beyond':
      return { ...of, status: 416, body: nothing, askedFirst: bytes.length };
    case 'part': {
      if (bytes.length === 0) return { ...of, status: 200, body: nothing, askedFirst: 0 };
      const first = Math.min(bytes.length - 1, Math.floor(way.from * bytes.length));
      const last = Math.min(bytes.length, first + way.length) - 1;
      const range = { first, last, size: bytes.length };
      return { ...of, status: 206, body: bytes.subarray(first, last + 1), range, askedFirst: first };
    }
    default:
      return { ...of, status: 200, body: bytes };
  }
}

function brokenBy(history: KeyHistory, ...answers: readonly Observation[]): Violation['invariant'] | undefined {
  let floor = START;
  for (const seen of answers) {
    const verdict = judgeAnswer(seen, history, floor);
    if (!verdict.ok) return verdict.violation.invariant;
    floor = verdict.floor;
  }
  return undefined;
}

const WHOLE: Way = { as: 'whole' };
const at = (history: KeyHistory, index: number, way: Way = WHOLE): Observation => answerOf(history.states[index] as KeyState, way);

describe('integrity', () => {
  const history = historyOf(['one', 'two, which is longer']);
  const other = historyOf(['of another key']);
  const part = at(history, 2, { as: 'part', from: 0.25, length: 5 });

  test.each<[string, Observation]>([
    ['one byte is wrong', { ...at(history, 1), body: Buffer.from('onE') }],
    ['the end is missing', { ...at(history, 1), body: Buffer.from('on') }],
    ['nothing came', { ...at(history, 1), body: Buffer.alloc(0) }],
    ['something follows', { ...at(history, 1), body: Buffer.from('one\n') }],
    ['right bytes of another key', at(other, 1)],
    ['bytes of one version with the number of another', { ...at(history, 2), version: 10 }],
    ['bytes of one version with a number that only the write before can have had', { ...at(history, 2), version: 9 }],
    ['a number that nothing can have', { ...at(history, 2), version: 21 }],
    ['a part with the validator of another version', { ...part, etag: at(history, 1).etag }],
    ['two versions spliced', { ...at(history, 2), body: Buffer.from('one, which is longer') }],
    ['a part with a wrong byte', { ...part, body: Buffer.from('xxxxx') }],
    ['a part with its end missing', { ...part, body: part.body.subarray(1) }],
    ['a part of a content of another size', { ...part, range: { first: 5, last: 9, size: 21 } }],
    ['a part from elsewhere', { ...part, range: { first: 6, last: 10, size: 20 } }],
    [
      'a part that is said to end behind the end',
      { ...part, body: Buffer.from('longer'), range: { first: 14, last: 20, size: 20 }, askedFirst: 14 },
    ],
    ['a part that was not asked for', { ...part, askedFirst: 6 }],
    ['a part without a range', { ...part, range: undefined } as unknown as Observation],
    ['"unchanged" for a checksum of something else', { ...at(history, 2, { as: 'unchanged' }), ifNoneMatch: 'f'.repeat(64) }],
    ['"unchanged" for the checksum of the version before', { ...at(history, 2, { as: 'unchanged' }), ifNoneMatch: at(history, 1).etag }],
    ['"unchanged" without a checksum to compare', { ...at(history, 2), status: 304 }],
    ['"no such range" of a byte that is there', { ...at(history, 2, { as: 'beyond' }), askedFirst: 19 }],
  ])('broken: %s', (_what, seen) => {
    expect(brokenBy(history, seen)).toBe('integrity');
  });

  test('what is not begun yet cannot be served', () => {
    const seen = at(history, 2);
    expect(brokenBy(history, { ...seen, endedAtMs: 19 })).toBe('integrity');
    expect(brokenBy(history, { ...seen, startedAtMs: 18, endedAtMs: 20 })).toBeUndefined();
  });

  test('a whole body that came coded is right, whatever its validator is', () => {
    expect(brokenBy(history, { ...at(history, 2), etag: sha256Of(Buffer.from('its coded form')) })).toBeUndefined();
  });

  test('nothing of an empty content is "no such range", whatever was asked for', () => {
    const empty = historyOf(['']);
    expect(brokenBy(empty, { ...at(empty, 1, { as: 'beyond' }), askedFirst: 0 })).toBeUndefined();
  });
});

describe('monotonicity', () => {
  const part: Way = { as: 'part', from: 0, length: 2 };
  const ways: readonly Way[] = [WHOLE, part, { as: 'unchanged' }, { as: 'beyond' }];

  test.each(ways.flatMap((before) => ways.map((after) => [before.as, after.as, before, after] as const)))(
    'a newer version that showed as %s and then an older one as %s is going back',
    (_before, _after, before, after) => {
      const history = historyOf(['one', 'two']);
      expect(brokenBy(history, at(history, 1, before), at(history, 2, after))).toBeUndefined();
      expect(brokenBy(history, at(history, 2, before), at(history, 1, after))).toBe('monotonic');
    },
  );

  test('nothing, after content that was never removed, is going back; before it, it is not', () => {
    const history = historyOf(['one', 'two']);
    expect(brokenBy(history, at(history, 0), at(history, 1))).toBeUndefined();
    expect(brokenBy(history, at(history, 1), at(history, 0))).toBe('monotonic');
  });

  test.each(ways)('content after its removal was seen is going back: $as', (way) => {
    const history = historyOf(['one', undefined]);
    expect(brokenBy(history, at(history, 1), at(history, 2))).toBeUndefined();
    expect(brokenBy(history, at(history, 1), at(history, 2), at(history, 1, way))).toBe('monotonic');
  });

  test('the same bytes again after a removal are told from those before it by their version', () => {
    const history = historyOf(['one', undefined, 'one']);
    expect(brokenBy(history, at(history, 1), at(history, 2), at(history, 3))).toBeUndefined();
    expect(brokenBy(history, at(history, 3), at(history, 1))).toBe('monotonic');
  });

  test('a smaller version of the same repeated write is going back, although the bytes are the same', () => {
    const history = historyOf(['one', 'two']);
    const seen = (version: number): Observation => ({ ...at(history, 2), version });
    expect(brokenBy(history, seen(13), seen(17), seen(20))).toBeUndefined();
    expect(brokenBy(history, seen(17), seen(13))).toBe('monotonic');
  });
});

/** 1 to 8 contents, each with bytes of its own, some of them removals. */
const contents = fc
  .array(fc.option(fc.string({ minLength: 4, maxLength: 40 }), { nil: undefined, freq: 4 }), { minLength: 1, maxLength: 8 })
  .map((texts) => texts.map((text, index) => (text === undefined ? undefined : `${index}:${text}`)));
const way: fc.Arbitrary<Way> = fc.oneof(
  fc.constantFrom<Way>({ as: 'whole' }, { as: 'unchanged' }, { as: 'beyond' }),
  fc.record({
    as: fc.constant('part' as const),
    from: fc.double({ min: 0, max: 1, noNaN: true }),
    length: fc.integer({ min: 1, max: 20 }),
  }),
);
/** How far to go on, how to speak of what is then there, and which of the versions that nobody was told of to name. */
const steps = fc.array(fc.record({ forward: fc.nat(2), way, share: fc.double({ min: 0, max: 1, noNaN: true }) }), {
  minLength: 1,
  maxLength: 20,
});
type Steps = typeof steps extends fc.Arbitrary<infer Values> ? Values : never;

/** What an edge says that only ever goes forward. */
function legalAnswers(history: KeyHistory, walk: Steps): Observation[] {
  let index = 0;
  let version = 0;
  return walk.map(({ forward, way, share }) => {
    index = Math.min(history.states.length - 1, index + forward);
    const state = history.states[index] as KeyState;
    if (state.bytes === undefined) return answerOf(state, way);
    const least = Math.max(version, (index - 1) * 10 + 1);
    version = least + Math.floor(share * ((state.version ?? index * 10) - least));
    return answerOf(state, way, version);
  });
}

test('an edge that only goes forward is never accused, whichever way it answers and whatever repeated writes were called', () => {
  fc.assert(
    fc.property(contents, fc.boolean(), steps, (texts, isLastOpen, walk) => {
      const history = historyOf(texts, isLastOpen);
      expect(brokenBy(history, ...legalAnswers(history, walk))).toBeUndefined();
    }),
    { numRuns: 500 },
  );
});

/** One wrong thing about a right answer; undefined where that answer cannot be wrong in this way. */
const MUTATIONS: Readonly<Record<string, (seen: Observation) => Observation | undefined>> = {
  'a bit is flipped': (seen) => {
    if (seen.status > 206 || seen.body.length === 0) return undefined;
    const body = Buffer.from(seen.body);
    body[body.length >> 1] = (body[body.length >> 1] as number) ^ 1;
    return { ...seen, body };
  },
  'the end is missing': (seen) => (seen.status > 206 || seen.body.length === 0 ? undefined : { ...seen, body: seen.body.subarray(0, -1) }),
  'the size is wrong': (seen) => (seen.range === undefined ? undefined : { ...seen, range: { ...seen.range, size: seen.range.size + 1 } }),
  'the part is moved': ({ range, ...seen }) =>
    range === undefined ? undefined : { ...seen, range: { ...range, first: range.first + 1, last: range.last + 1 } },
  'the validator of a part is another': (seen) => (seen.status === 206 ? { ...seen, etag: 'f'.repeat(64) } : undefined),
  'it names a checksum that is not current': (seen) => (seen.status === 304 ? { ...seen, ifNoneMatch: 'f'.repeat(64) } : undefined),
  'the version is none that was ever given': (seen) => (seen.version === undefined ? undefined : { ...seen, version: 1_000 }),
  // Of a range that is beyond the end of both, either may have been meant.
  'the version is of before': (seen) =>
    seen.version === undefined || seen.version <= 10 || seen.status === 416 ? undefined : { ...seen, version: 1 },
};

test.each(Object.entries(MUTATIONS))('one wrong answer among right ones is always found: %s', (_what, mutate) => {
  fc.assert(
    fc.property(contents, steps, fc.nat(), (texts, walk, pick) => {
      const history = historyOf(texts);
      const answers = legalAnswers(history, walk);
      const wrong = pick % answers.length;
      const mutated = mutate(answers[wrong] as Observation);
      fc.pre(mutated !== undefined);
      expect(brokenBy(history, ...answers.slice(0, wrong))).toBeUndefined();
      expect(brokenBy(history, ...answers.with(wrong, mutated as Observation))).toBeDefined();
    }),
    { numRuns: 200, maxSkipsPerRun: 1_000 },
  );
});
