import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { attempt, type Finding, inputOf } from './attempt.ts';
import { documentWith, readHistory } from './history.ts';
import { LIVE_TARGETS } from './live/mod.ts';
import { inputFromJson, inputToJson } from './target.ts';
import { TARGETS } from './targets/mod.ts';
import { runTarget } from './thread.ts';

/** The share of each check of a change; whole runs are made by hand, see docs/fuzzing.md. */
const SEED = 1;
const INPUTS = 1_500;

const corpus = inputFromJson(readFileSync(join(import.meta.dirname, 'corpus.json'), 'utf8')) as Readonly<
  Record<string, readonly unknown[]>
>;

describe.each(TARGETS.map((target) => [target.name, target] as const))('%s', (name, target) => {
  test(`${target.law} (what was found before)`, async () => {
    for (const input of corpus[name] ?? []) await target.check(input);
  });

  test(`${target.law} (${INPUTS} inputs)`, async () => {
    const findings: Finding[] = [];
    for (let at = 0; at < INPUTS && findings.length < 3; at += 1) {
      const finding = await attempt(target, SEED, at);
      if (finding !== undefined) findings.push(finding);
    }
    expect(findings).toEqual([]);
  });

  test('an input is the same for the same seed and number, and as JSON', () => {
    for (let at = 0; at < 20; at += 1) {
      const input = inputToJson(inputOf(target, SEED, at));
      expect(inputToJson(inputOf(target, SEED, at))).toBe(input);
      expect(inputToJson(inputFromJson(input))).toBe(input);
    }
  });
});

test('every input of the corpus is of a target', () => {
  const names = TARGETS.map(({ name }) => name);
  expect(Object.keys(corpus).filter((name) => !names.includes(name))).toEqual([]);
});

describe('the fuzzer notices', () => {
  const run = (name: string, hangMs = 30_000) => runTarget(name, { seed: 1, ms: 60_000, findingsMax: 1, hangMs });

  test.each([
    ['self-test-law', /^it is 7$/],
    ['self-test-failure', /Cannot read properties of undefined/],
    ['self-test-memory', /ends its thread: .*memory/],
    ['self-test-slow', /takes more than 1000 ms/],
  ])('%s', async (name, problem) => {
    const { findings } = await run(name);
    expect(findings).toEqual([expect.objectContaining({ problem: expect.stringMatching(problem) })]);
  });

  test('an input on which a target hangs, and tells its number', async () => {
    const { findings, inputs } = await run('self-test-hang', 1_500);
    expect(findings).toEqual([{ at: inputs - 1, input: '', problem: 'hangs for 1500 ms' }]);
  });
});

describe('the history', () => {
  test('is of targets that there are, and the document has its sums', () => {
    const names = [...TARGETS, ...LIVE_TARGETS].map(({ name }) => name);
    expect(readHistory().filter(({ target }) => !names.includes(target))).toEqual([]);
    expect(readFileSync(join(import.meta.dirname, '../../docs/fuzzing.md'), 'utf8')).toBe(documentWith(readHistory()));
  });
});
