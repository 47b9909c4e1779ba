/** What a key was, in the order in which it was written. */
import { sha256Of } from '@sluice/testkit';
import { expect, test } from 'vitest';
import { KeyHistory } from './key-history.ts';

const content = (text: string, beganAtMs: number) => {
  const bytes = Buffer.from(text);
  return { bytes, sha256: sha256Of(bytes), regions: [], tags: [], beganAtMs };
};

test('a key begins as one that is not there', () => {
  const { latest, states } = new KeyHistory();
  expect(states).toEqual([latest]);
  expect(latest).toMatchObject({ bytes: undefined, sha256: '', beganAtMs: 0, acknowledgedAtMs: 0, version: 0 });
});

test('a write may be seen from its beginning, and has its version when it is acknowledged', () => {
  const history = new KeyHistory();
  const state = history.begin(content('one', 10));
  expect(history.latest).toBe(state);
  expect(state).toMatchObject({ beganAtMs: 10, acknowledgedAtMs: undefined, version: undefined });
  history.acknowledge(state, 15, 100);
  expect(history.latest).toMatchObject({ beganAtMs: 10, acknowledgedAtMs: 15, version: 100 });
});

test('a write that begins before the one before it was acknowledged is a mistake of the suite', () => {
  const history = new KeyHistory();
  const first = history.begin(content('one', 10));
  expect(() => history.begin(content('two', 20))).toThrow('the write before is not acknowledged yet');
  expect(history.states).toHaveLength(2);
  history.acknowledge(first, 15, 100);
  expect(history.begin(content('two', 20))).toBe(history.latest);
});

test('histories of two keys share nothing', () => {
  const [one, other] = [new KeyHistory(), new KeyHistory()];
  one.acknowledge(one.begin(content('one', 10)), 15, 100);
  expect(other.states).toHaveLength(1);
  expect(other.latest.version).toBe(0);
});
